"""What became of a plan, written down as a generation and made the active one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from provision.actions.build import name_stack_dir
from provision.actions.configure import build_config_patch
from provision.actions.context import Context
from provision.actions.lock_stack import ResolvedStack
from provision.actions.plan import Prepared
from provision.actions.situation import read_config_text
from provision.actions.weights import ModelFiles
from provision.core.config_doc import merge_config
from provision.core.machine_record import build_machine_record
from provision.errors import ApplyFailedError, SmokeFailedError, ToolError
from provision.model.plan import Plan
from provision.model.smoke import SmokeResult, Verdict
from provision.model.state import GenerationRecord, ModelRecord, StackRecord
from provision.system.files import hash_bytes, list_sizes
from provision.system.spaces import find_full, find_temporary_dir
from provision.system.stack_folder import find_interpreter
from provision.system.store import Store

_FULL = "No space left on device"


@contextmanager
def keeping_state(ctx: Context) -> Iterator[None]:
    """Tell of a disk that is full or refuses: what was active before still is. Raises ApplyFailedError."""
    try:
        yield
    except OSError as error:
        raise _stopped(ctx, f"{error.strerror or error}: {error.filename or ctx.root}") from error
    except (ToolError, SmokeFailedError) as error:
        # A program says so in its own words, or, when not even those can be written, only dies.
        said = f"{error.message}\n{getattr(error, 'output', '')}"
        if _FULL not in said and find_full(ctx.root, find_temporary_dir(ctx.env)) is None:
            raise
        raise _stopped(ctx, f"{_FULL}: {error.message}") from error


def _stopped(ctx: Context, reason: str) -> ApplyFailedError:
    hint = f"df -h {ctx.root} {find_temporary_dir(ctx.env)}   # what was active before still is"
    return ApplyFailedError(f"apply stopped: {reason}", hint=hint)


def build_record(
    ctx: Context,
    store: Store,
    prepared: Prepared,
    plan: Plan,
    files: dict[str, ModelFiles],
    results: Sequence[SmokeResult],
) -> GenerationRecord:
    created = ctx.timestamp()
    folders = {stack.spec.name: name_stack_dir(store, stack) for stack in prepared.resolved}
    return GenerationRecord(
        number=plan.generation,
        created=created,
        profile=plan.profile,
        fingerprint=plan.fingerprint,
        stacks=tuple(build_stack_record(store, stack) for stack in prepared.resolved),
        models=record_models(files, results),
        smoke=tuple(results),
        machine=build_machine_record(prepared.situation.detection.facts),
        config=build_config_patch(
            prepared.situation,
            generation=plan.generation,
            interpreters={name: str(find_interpreter(folder)) for name, folder in folders.items()},
            files=files,
            results=results,
            verified=created[:10],
        ),
    )


def build_stack_record(store: Store, stack: ResolvedStack) -> StackRecord:
    """A stack that was built, as a generation refers to it."""
    return StackRecord(
        name=stack.spec.name,
        path=name_stack_dir(store, stack).relative_to(store.state_dir).as_posix(),
        lock_sha256=stack.lock.sha256,
        models=stack.spec.models,
    )


def record_models(files: dict[str, ModelFiles], results: Sequence[SmokeResult]) -> tuple[ModelRecord, ...]:
    return tuple(
        ModelRecord(
            key=result.model,
            stack=result.stack,
            model_dir=str(files[result.model].folder),
            revision=files[result.model].revision,
            attention=str(result.attention),
            dtype=str(result.dtype),
            files=list_sizes(files[result.model].folder),
        )
        for result in results
        if result.verdict is not Verdict.FAIL
    )


def promote(store: Store, record: GenerationRecord, locks: Mapping[str, str]) -> None:
    """Merge into config.yaml as it is now: the steps before took minutes in which it may have been edited."""
    before = store.load_config()
    text = read_config_text(store, before)
    store.promote(
        record,
        config=merge_config(text, record.config, where=str(store.config_path)).encode(),
        before=before,
        before_sha256=hash_bytes(before),
        locks=locks,
    )
