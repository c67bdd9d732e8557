"""How packages may be chosen: how old a file has to be, and what goes before what was locked."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from provision.actions.context import Context
from provision.errors import UsageError
from provision.model.profile import FlashChoice

# Malicious uploads are mostly found within days:
# https://blog.yossarian.net/2025/11/21/We-should-all-be-using-dependency-cooldowns
COOLDOWN = timedelta(days=7)
ANY_AGE = "never"
_DURATION = re.compile(r"(\d{1,4}) ?(day|week)s?")


class Policy(Struct, frozen=True, kw_only=True):
    """How packages are chosen.

    `exclude_newer` is an ISO date and time after which nothing may have been uploaded, None for no limit.
    `bounds` replaces the profile's pins by ranges, for an update. `flash_attn` is the user's choice, which goes
    before the profile's. `fresh` leaves locks that were made before aside; `dated` leaves those that ship, since
    the user named a date.
    """

    exclude_newer: str | None = None
    bounds: dict[str, str] | None = None
    flash_attn: FlashChoice | None = None
    fresh: bool = False
    dated: bool = False


def build_policy(
    ctx: Context, exclude_newer: str | None = None, flash_attn: FlashChoice | None = None
) -> Policy:
    """The policy for what the user asked: an ISO date, days or weeks, ANY_AGE, or None for the cool-down.

    uv's own variable holds where nothing is asked. Raises UsageError for what is no date.
    """
    name, asked = "--exclude-newer", exclude_newer
    if asked is None and (from_env := ctx.env.get("UV_EXCLUDE_NEWER")):
        name, asked = "UV_EXCLUDE_NEWER", from_env
    policy = Policy(flash_attn=flash_attn, dated=asked is not None)
    if asked is None:
        return replace(policy, exclude_newer=_count_back(ctx, COOLDOWN))
    if asked == ANY_AGE:
        return policy
    if duration := _DURATION.fullmatch(asked.strip()):
        days = int(duration[1]) * (7 if duration[2] == "week" else 1)
        return replace(policy, exclude_newer=_count_back(ctx, timedelta(days=days)))
    try:
        moment = datetime.fromisoformat(asked)
    except ValueError as error:
        raise UsageError(
            f"{name}: {asked!r} is no date",
            hint=f"--exclude-newer 2026-01-31, --exclude-newer '3 days', or --exclude-newer {ANY_AGE}",
        ) from error
    return replace(
        policy, exclude_newer=_render_time(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    )


def _count_back(ctx: Context, age: timedelta) -> str:
    """Midnight UTC that long ago, so that all resolutions of a day agree."""
    midnight = ctx.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return _render_time(midnight - age)


def _render_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
