"""Looks at everything that the checks need, and runs them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from provision.actions.context import Context
from provision.actions.detect import Detection, detect
from provision.actions.knowledge import load_catalogue
from provision.actions.resolve import build_uv, find_torch, load_package_settings
from provision.actions.situation import read_config_text
from provision.actions.wholeness import check_stack, check_weights
from provision.core.checks import CHECKS, Checkup, StackState
from provision.core.config_doc import check_config, diff_config
from provision.core.models import build_stack_specs, choose_models
from provision.errors import BadFileError, StateError, ToolError, UsageError
from provision.model.finding import Finding
from provision.model.packages import SourceAttempt
from provision.model.state import GenerationRecord, StackRecord
from provision.system.stack_folder import load_manifest
from provision.system.store import Store
from provision.system.uv import ask_version, find_uv

_SUPPORTED_MINORS = range(11, 15)


def examine(ctx: Context, *, only: Sequence[str] = (), network: bool = False) -> tuple[Finding, ...]:
    """Run the checks called `only`, or all, and give every finding.

    `network` also asks the sources of packages. Raises UsageError for an unknown check.
    """
    unknown = [name for name in only if name not in CHECKS]
    if unknown:
        raise UsageError(
            f"there is no check {unknown[0]!r}", hint=f"provision doctor --list   # {', '.join(CHECKS)}"
        )
    checkup = _take_checkup(ctx, network=network)
    return tuple(check(checkup) for name, check in CHECKS.items() if not only or name in only)


def _take_checkup(ctx: Context, *, network: bool) -> Checkup:
    detection = detect(ctx)
    store = Store(ctx.root)
    active, pending, state_problem = _look_at_state(store)
    uv_version, uv_problem = _ask_uv(ctx)
    config_exists, config_problem, drift = _look_at_config(store, active)
    minor = int(detection.facts.host.python_version.split(".")[1])
    models = active.models if active else ()
    return Checkup(
        facts=detection.facts,
        profile=detection.profile,
        obstacle=detection.obstacle,
        uv_version=uv_version,
        uv_problem=uv_problem,
        python_supported=minor in _SUPPORTED_MINORS,
        config_exists=config_exists,
        config_problem=config_problem,
        drift=drift,
        pending=pending,
        state_problem=state_problem,
        generation=active.number if active else None,
        stacks=tuple(_look_at_stack(store, stack) for stack in active.stacks) if active else (),
        weights_problems=tuple(f"{m.key}: {problem}" for m in models if (problem := check_weights(m))),
        smoke=active.smoke if active else (),
        sources=_ask_sources(ctx, detection) if network and detection.profile else None,
    )


def _look_at_state(store: Store) -> tuple[GenerationRecord | None, bool, str | None]:
    try:
        return store.load_active(), store.load_pending() is not None, None
    except StateError as error:
        return None, False, f"{error.message}; {error.hint}"


def _ask_uv(ctx: Context) -> tuple[str | None, str | None]:
    try:
        return ask_version(find_uv(), env=ctx.env), None
    except ToolError as error:
        return None, error.message


def _look_at_config(
    store: Store, active: GenerationRecord | None
) -> tuple[bool, str | None, tuple[str, ...]]:
    try:
        config = store.load_config()
        text = read_config_text(store, config)
        check_config(text, where=str(store.config_path))
        drift = diff_config(text, active.config) if active and config is not None else ()
    except (BadFileError, StateError) as error:
        return True, error.message, ()
    return config is not None, None, tuple(f"{item.key_path} is {item.found}" for item in drift)


def _look_at_stack(store: Store, stack: StackRecord) -> StackState:
    folder = store.state_dir / stack.path
    manifest = load_manifest(folder)
    return StackState(
        name=stack.name,
        path=str(folder),
        problem=check_stack(folder),
        packages=len(manifest.packages) if manifest else 0,
    )


def _ask_sources(ctx: Context, detection: Detection) -> tuple[SourceAttempt, ...]:
    profile = detection.knowledge.get_profile(str(detection.profile))
    build = detection.knowledge.builds[profile.torch]
    models = choose_models((), (), load_catalogue(ctx)).models
    spec = build_stack_specs(models, profile)[0]
    with tempfile.TemporaryDirectory(prefix="provision-doctor-") as folder:
        uv = build_uv(ctx, load_package_settings(ctx), Path(folder))
        return tuple(find_torch(ctx, uv, spec, build, detection.facts.host.platform))
