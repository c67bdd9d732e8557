"""This tool itself for the machine without a network: its own wheel and what that needs, uv among it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from provision.actions.bundle_parts import Part, fetch_parts, list_target_tags
from provision.actions.context import Context
from provision.actions.lock_stack import ResolvedStack
from provision.actions.uv_setup import build_uv, load_package_settings
from provision.core.bundle import TOOL_DIR
from provision.core.bundle_target import LockedFile, choose_files
from provision.core.locks import build_lock, find_undated, parse_resolution
from provision.core.targets import Target
from provision.errors import ToolError
from provision.model.bundle import Member
from provision.system.uv import Resolution, find_uv
from provision.system.wheel_build import Built, build_wheel

_Answer = TypeVar("_Answer")


def collect_tool(
    ctx: Context, stack: ResolvedStack, target: Target | None, folder: Path, exclude_newer: str | None
) -> list[Part]:
    """The wheels below `tool/`; none, with a warning, where they cannot be made: the bundle is of use without.

    Packages come from the sources of `stack`, none uploaded after `exclude_newer` where they tell it, as does
    what building needs. Raises DownloadError when one that was found cannot be fetched.
    """
    try:
        own = _build_own_wheel(ctx, exclude_newer)
        files = _resolve_needs(ctx, stack, target, exclude_newer)
    except ToolError as error:
        ctx.reporter.warn(f"provision itself is not packed: {error.message}")
        return []
    return [own, *fetch_parts(ctx, files, [stack], folder, TOOL_DIR)]


def _build_own_wheel(ctx: Context, exclude_newer: str | None) -> Part:
    """A wheel of the folder that this tool runs from, made with the user's sources of packages."""
    if not (ctx.data_dir / "pyproject.toml").is_file():
        raise ToolError(f"it does not run from its sources, which {ctx.data_dir} is not")
    with tempfile.TemporaryDirectory(prefix="provision-tool-") as work:

        def ask(any_age: frozenset[str]) -> Built:
            return build_wheel(
                find_uv(),
                ctx.data_dir,
                Path(work),
                python=ctx.python,
                env=ctx.env,
                settings=load_package_settings(ctx),
                exclude_newer=exclude_newer,
                any_age=any_age,
            )

        built = _ask_dated(ctx, ask, lambda built: None if built.path else built.output)
        if built.path is None:
            raise ToolError("uv cannot build it", output=built.output)
        data, name = built.path.read_bytes(), built.path.name
    digest = hashlib.sha256(data).hexdigest()
    return Part(member=Member(name=f"{TOOL_DIR}/{name}", size_bytes=len(data), sha256=digest), content=data)


def _ask_dated(
    ctx: Context, ask: Callable[[frozenset[str]], _Answer], find_complaint: Callable[[_Answer], str | None]
) -> _Answer:
    """What `ask` answers, told the packages whose sources give no dates: they cannot be held to one, which is said.

    `find_complaint` gives the words of an answer that failed. Each round names a package more, so it ends.
    """
    undated: frozenset[str] = frozenset()
    while True:
        answer = ask(undated)
        complaint = find_complaint(answer)
        found = frozenset[str]() if complaint is None else find_undated(complaint) - undated
        if not found:
            break
        undated |= found
    if undated and complaint is None:
        ctx.reporter.warn(
            f"the source of {', '.join(sorted(undated))} does not say when files were uploaded: "
            "for provision itself the newest are taken, however young"
        )
    return answer


def _resolve_needs(
    ctx: Context, stack: ResolvedStack, target: Target | None, exclude_newer: str | None
) -> tuple[LockedFile, ...]:
    """The files of what provision's own metadata asks for, on the target."""
    needs: Sequence[str] = metadata.requires("provision") or ()
    with tempfile.TemporaryDirectory(prefix="provision-tool-") as work:
        uv = build_uv(ctx, load_package_settings(ctx), Path(work), target)

        def ask(any_age: frozenset[str]) -> Resolution:
            return uv.compile(
                needs,
                python=ctx.python,
                sources=stack.sources,
                torch_source=stack.torch_source,
                exclude_newer=exclude_newer,
                any_age=any_age,
            )

        answer = _ask_dated(ctx, ask, lambda answer: answer.output if answer.text is None else None)
    if answer.text is None:
        raise ToolError("what it needs is not found for that machine", output=answer.output)
    lock = build_lock(parse_resolution(answer.text, list_target_tags(target)), {})
    return choose_files(answer.text, lock, list_target_tags(target))
