"""Builds and proves a profile's stacks without activating anything: for another machine, or ahead of time."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace
from packaging.specifiers import SpecifierSet

from provision.actions.activate import build_stack_record, keeping_state
from provision.actions.build import build_stack, name_stack_dir
from provision.actions.context import Context
from provision.actions.knowledge import load_catalogue
from provision.actions.lock_stack import ResolvedStack
from provision.actions.plan import Prepared, Request, prepare
from provision.actions.settle import settle
from provision.actions.smoke import Subject, smoke_stack
from provision.actions.verify import verify_imports
from provision.actions.weights import ensure_weights
from provision.core.models import DEFAULT_MODEL, find_model
from provision.errors import StateError
from provision.model.plan import Plan
from provision.model.smoke import SmokeResult
from provision.model.state import BuiltRecord
from provision.system.built import save_built
from provision.system.imports import ImportReport
from provision.system.stack_folder import find_interpreter
from provision.system.store import Store, build_holder


class BuiltStack(Struct, frozen=True, kw_only=True):
    """A stack that stands: what it could import, and what the embedded model read in it on the CPU.

    `smoke` is empty where the embedded model does not run with the stack's transformers.
    """

    name: str
    path: str
    models: tuple[str, ...]
    torch: str
    installed_bytes: int
    imports: ImportReport
    smoke: tuple[SmokeResult, ...]


class Built(Struct, frozen=True, kw_only=True):
    """What a build came to; nothing is active because of it."""

    prepared: Prepared
    stacks: tuple[BuiltStack, ...]


def build_only(
    ctx: Context, request: Request, *, dry_run: bool = False, agree: Callable[[Plan], None]
) -> Built:
    """Build every stack of the plan, import what was asked for, and bring the weights if those are asked for.

    No device is needed. config.yaml and the active generation are left alone. Raises StateError for another
    platform or Python than this machine's: what is built for those cannot be proved here.
    """
    store = Store(ctx.root)
    with store.locked(build_holder(f"provision apply {request.profile} --build-only", ctx.timestamp())):
        settle(ctx, store)
        prepared = prepare(ctx, store, request)
        plan, target = prepared.plan, prepared.situation.target
        if target is not None and not dry_run:
            raise StateError(
                f"a stack for {target.platform} with Python {target.python} cannot be built on this machine",
                hint="provision bundle FILE   # packs the wheels for it instead",
            )
        if plan is None or dry_run:
            return Built(prepared=prepared, stacks=())
        agree(plan)
        request.supply.prepare(ctx)
        with keeping_state(ctx):
            stacks = tuple(_build(ctx, store, prepared, stack) for stack in prepared.resolved)
            _remember(ctx, store, prepared)
            if request.weights:
                ctx.reporter.step("bringing the weights")
                for model in prepared.situation.selection.models:
                    request.supply.bring_weights(ctx, store, model)
    return Built(prepared=prepared, stacks=stacks)


def _remember(ctx: Context, store: Store, prepared: Prepared) -> None:
    """So that `gc` keeps the stacks, which no generation uses."""
    save_built(
        store.state_dir,
        BuiltRecord(
            profile=prepared.situation.profile.name,
            created=ctx.timestamp(),
            stacks=tuple(build_stack_record(store, stack) for stack in prepared.resolved),
        ),
    )


def _build(ctx: Context, store: Store, prepared: Prepared, stack: ResolvedStack) -> BuiltStack:
    ctx.reporter.step(f"building stack {stack.spec.name}")
    manifest = build_stack(ctx, store, stack)
    folder = name_stack_dir(store, stack)
    ctx.reporter.step(f"importing what stack {stack.spec.name} holds")
    imports = verify_imports(ctx, find_interpreter(folder), stack.spec.requirements, prepared.situation.build)
    return BuiltStack(
        name=stack.spec.name,
        path=str(folder),
        models=stack.spec.models,
        torch=manifest.torch,
        installed_bytes=manifest.installed_bytes,
        imports=imports,
        smoke=_read_on_cpu(ctx, store, prepared, stack),
    )


def _read_on_cpu(
    ctx: Context, store: Store, prepared: Prepared, stack: ResolvedStack
) -> tuple[SmokeResult, ...]:
    """The embedded model reads in the new stack, where its transformers is one that the model knows."""
    model = find_model(DEFAULT_MODEL, load_catalogue(ctx))
    if not SpecifierSet(model.transformers).contains(stack.lock.versions.get("transformers", "0")):
        return ()
    ctx.reporter.step(f"letting {model.key} read on the CPU in stack {stack.spec.name}")
    files = ensure_weights(ctx, store, model)
    profile = replace(prepared.situation.profile, device="cpu")
    interpreter = find_interpreter(name_stack_dir(store, stack))
    subject = Subject(key=model.key, model=model, folder=files.folder)
    return smoke_stack(ctx, profile, stack.spec.name, interpreter, [subject])
