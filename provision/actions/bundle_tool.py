"""This tool itself for the machine without a network: its own wheel and what that needs, uv among it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from provision.actions.bundle_parts import Part, fetch_parts, list_target_tags
from provision.actions.context import Context
from provision.actions.resolve import ResolvedStack, build_uv, load_package_settings
from provision.core.bundle import TOOL_DIR
from provision.core.bundle_target import LockedFile, choose_files
from provision.core.locks import build_lock, find_undated, parse_resolution
from provision.core.targets import Target
from provision.errors import ToolError
from provision.model.bundle import Member
from provision.model.packages import PackageSettings, SourceKind
from provision.system.run import run
from provision.system.uv import Resolution, find_uv

_BUILD_LIMIT_S = 300.0
_OPTIONS = {
    SourceKind.INDEX: "--default-index",
    SourceKind.EXTRA_INDEX: "--index",
    SourceKind.FIND_LINKS: "--find-links",
}


def collect_tool(
    ctx: Context, stack: ResolvedStack, target: Target | None, folder: Path, exclude_newer: str | None
) -> list[Part]:
    """The wheels below `tool/`; none, with a warning, where they cannot be made: the bundle is of use without.

    Packages come from the sources of `stack`, none uploaded after `exclude_newer` where they tell it. Raises
    DownloadError when one that was found cannot be fetched.
    """
    try:
        own = _build_own_wheel(ctx)
        files = _resolve_needs(ctx, stack, target, exclude_newer)
    except ToolError as error:
        ctx.reporter.warn(f"provision itself is not packed: {error.message}")
        return []
    return [own, *fetch_parts(ctx, files, [stack], folder, TOOL_DIR)]


def _build_own_wheel(ctx: Context) -> Part:
    """A wheel of the folder that this tool runs from, made with the user's sources of packages."""
    if not (ctx.data_dir / "pyproject.toml").is_file():
        raise ToolError(f"it does not run from its sources, which {ctx.data_dir} is not")
    settings = load_package_settings(ctx)
    with tempfile.TemporaryDirectory(prefix="provision-tool-") as work:
        argv = [str(find_uv()), "build", "--wheel", "--quiet", "--no-config", "--python", str(ctx.python)]
        argv += [*list_source_options(settings), "--out-dir", work, str(ctx.data_dir)]
        done = run(argv, timeout_s=_BUILD_LIMIT_S, env=_build_env(settings, ctx.env))
        built = next(Path(work).glob("*.whl"), None)
        if built is None:
            raise ToolError("uv cannot build it", output=done.stderr)
        data, name = built.read_bytes(), built.name
    digest = hashlib.sha256(data).hexdigest()
    return Part(member=Member(name=f"{TOOL_DIR}/{name}", size_bytes=len(data), sha256=digest), content=data)


def list_source_options(settings: PackageSettings) -> list[str]:
    """pip's sources as `uv build` takes them, which fetches what building needs."""
    argv = ["--index-strategy", "unsafe-best-match", *(["--no-index"] if settings.no_index else [])]
    for source in settings.sources:
        if source.location is not None and source.kind in _OPTIONS:
            argv += [_OPTIONS[source.kind], source.location]
    return argv


def _build_env(settings: PackageSettings, env: Mapping[str, str]) -> dict[str, str]:
    told = dict(env)
    if settings.certificate:
        told.setdefault("SSL_CERT_FILE", settings.certificate)
    if settings.proxy:
        told.setdefault("ALL_PROXY", settings.proxy)
    return told | {"UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}


def _resolve_needs(
    ctx: Context, stack: ResolvedStack, target: Target | None, exclude_newer: str | None
) -> tuple[LockedFile, ...]:
    """The files of what provision's own metadata asks for, on the target."""
    needs: Sequence[str] = metadata.requires("provision") or ()
    with tempfile.TemporaryDirectory(prefix="provision-tool-") as work:
        uv = build_uv(ctx, load_package_settings(ctx), Path(work), target)

        def ask(limit: str | None) -> Resolution:
            return uv.compile(
                needs,
                python=ctx.python,
                sources=stack.sources,
                torch_source=stack.torch_source,
                exclude_newer=limit,
            )

        answer = ask(exclude_newer)
        if answer.text is None and exclude_newer and find_undated(answer.output):
            answer = ask(None)
    if answer.text is None:
        raise ToolError("what it needs is not found for that machine", output=answer.output)
    lock = build_lock(parse_resolution(answer.text, list_target_tags(target)), {})
    return choose_files(answer.text, lock, list_target_tags(target))
