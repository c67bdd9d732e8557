"""`/etc/os-release`, as https://www.freedesktop.org/software/systemd/man/os-release.html describes it."""

from __future__ import annotations

import shlex

from provision.model.facts import Distribution


def parse_os_release(text: str) -> Distribution | None:
    """The distribution; None when the text has no assignment at all. Lines that are none are passed over."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and key.isidentifier():
            values[key] = _unquote(value)
    if not values:
        return None
    name = values.get("PRETTY_NAME") or values.get("NAME") or "Linux"
    return Distribution(
        id=values.get("ID") or "linux",
        name=name,
        version_id=values.get("VERSION_ID") or None,
        like=tuple(values.get("ID_LIKE", "").split()),
    )


def _unquote(value: str) -> str:
    """A value in the shell's quoting; as it stands where that does not close."""
    try:
        return " ".join(shlex.split(value))
    except ValueError:
        return value.strip("\"'")
