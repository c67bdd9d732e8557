"""What a lock is to be for: the machine, the profile and the models, and the stacks for them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from provision.actions.active_locks import resolve_active
from provision.actions.context import Context
from provision.actions.package_policy import Policy
from provision.actions.plan import NetworkSupply, Prepared
from provision.actions.situation import read_config_text, survey
from provision.core.config_doc import wanted_models
from provision.core.lock_machine import build_lock_probe, is_for_machine
from provision.core.parse.host import parse_host
from provision.core.targets import choose_target
from provision.errors import StateError, UsageError
from provision.model.facts import Probe
from provision.model.lockfile import Lockfile
from provision.system.probe_host import probe_host
from provision.system.store import Store


class LockRequest(Struct, frozen=True, kw_only=True):
    """What to lock. Profile, models and machine of an existing lock hold where none are named.

    `exclude_newer` as the user wrote it. `check` writes nothing; `upgrade` resolves anew what is locked;
    `from_active` locks what the active generation is built of.
    """

    profile: str | None = None
    models: tuple[str, ...] = ()
    probe: Probe | None = None
    exclude_newer: str | None = None
    check: bool = False
    upgrade: bool = False
    from_active: bool = False

    @property
    def anew(self) -> bool:
        """Who names a date asks for what there was then, not for what somebody locked."""
        return self.upgrade or self.exclude_newer is not None


def prepare_lock(
    ctx: Context, store: Store, former: Lockfile | None, request: LockRequest, policy: Policy
) -> Prepared:
    """Survey and resolve as a plan does, but for what `former` is for where the user names nothing else.

    Its profile needs no device here, and its platform and Python need not be those of this machine: the answer
    is then the same in CI. Nothing is resolved where the active generation is what is wanted, unless all is to be
    resolved anew. Raises what surveying and resolving raise.
    """
    ctx.reporter.step("looking at the machine")
    models, probe = request.models, request.probe
    if former is not None and not models:
        models = tuple(model.key for model in former.models)
        _tell_other_models(ctx, store, models)
    if former is not None and request.profile is None and probe is None:
        probe = _find_machine(ctx, former)
    name = request.profile or (former.profile if former else "auto")
    situation = survey(ctx, store, name, models, probe, building=True)
    for assumption in situation.assumptions:
        ctx.reporter.warn(assumption)
    for key in situation.selection.unknown:
        ctx.reporter.warn(
            f"config.yaml names the model {key!r}, which the catalogue does not know; it is left out"
        )
    if not situation.is_as_locked and not request.anew:
        ctx.reporter.warn("provision.lock names other packages than the active generation has; they stay")
    if situation.is_current and not request.anew:
        return Prepared(situation=situation, plan=None, resolved=())
    ctx.reporter.step(f"resolving packages for profile {situation.profile.name}")
    # What an update took is not given up for the pins because a file has to be repaired.
    keeps = situation.is_as_locked and not request.anew
    own = resolve_active(ctx, store, situation) if keeps else None
    found = own or NetworkSupply(policy=policy).resolve(ctx, situation)
    return Prepared(situation=situation, plan=None, resolved=found.stacks)


def look_at_active(ctx: Context, store: Store) -> Prepared:
    """The active generation as what is wanted. Raises StateError without one."""
    active = store.load_active()
    if active is None:
        raise StateError("no generation is active", hint="provision apply auto")
    situation = survey(ctx, store, active.profile, active.asked_models)
    return Prepared(situation=situation, plan=None, resolved=())


def _find_machine(ctx: Context, former: Lockfile) -> Probe | None:
    """The machine that `former` is for; None where this one runs the same. Raises UsageError."""
    here = parse_host(Probe(created="", readings=(probe_host(ctx.env, None),)))
    if is_for_machine(former, here):
        return None
    probe = build_lock_probe(former)
    if choose_target(parse_host(probe), here) is None:
        raise UsageError(
            f"provision.lock is for {former.platform}, and this machine cannot resolve for that",
            hint="provision lock auto   # locks for this machine",
        )
    ctx.reporter.detail(
        f"provision.lock is for {former.platform} and Python {former.python}: so is what follows"
    )
    return probe


def _tell_other_models(ctx: Context, store: Store, locked: Sequence[str]) -> None:
    config = read_config_text(store, store.load_config())
    configured = wanted_models(config, where=str(store.config_path))
    if configured and set(configured) != set(locked):
        ctx.reporter.warn(
            f"config.yaml names {', '.join(configured)}, provision.lock {', '.join(locked)}, which holds; "
            f"to lock the former: provision lock --models {','.join(configured)}"
        )
