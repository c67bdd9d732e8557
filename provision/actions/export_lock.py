"""`provision.lock` in the form that other installers read: PEP 751's pylock.toml, one for each stack."""

from __future__ import annotations

import tempfile
from pathlib import Path

from provision.actions.context import Context
from provision.actions.situation import Situation
from provision.actions.torch_source import choose_torch, hide_location
from provision.actions.uv_setup import build_uv, load_package_settings
from provision.core.pylock_export import build_pylock, list_pins
from provision.errors import DownloadError, StateError
from provision.model.lockfile import LockDocument
from provision.system.files import write_atomic


def export_pylocks(ctx: Context, situation: Situation, document: LockDocument) -> tuple[Path, ...]:
    """Write `pylock.NAME.toml` for each stack beside `provision.lock`, and give their paths.

    A lock has no addresses, so uv is asked where its very files are. A dot in a stack's name becomes a hyphen,
    since PEP 751 allows none there. Raises DownloadError, ToolError or StateError.
    """
    written = []
    for name, text in _ask_pylocks(ctx, situation, document).items():
        path = ctx.root / f"pylock.{name.replace('.', '-')}.toml"
        try:
            write_atomic(path, text.encode())
        except OSError as error:
            raise StateError(f"{path}: {error.strerror or error}", hint=f"ls -ld {ctx.root}") from error
        written.append(path)
    return tuple(written)


def _ask_pylocks(ctx: Context, situation: Situation, document: LockDocument) -> dict[str, str]:
    lockfile = document.lockfile
    needed = any(stack.torchvision for stack in lockfile.stacks)
    texts = {}
    with tempfile.TemporaryDirectory(prefix="provision-export-") as work:
        folder = Path(work).resolve()
        uv = build_uv(ctx, load_package_settings(ctx), folder, situation.target)
        ctx.reporter.step("asking where the locked files are")
        torch = choose_torch(ctx, uv, situation.build, lockfile.platform, torchvision_needed=needed)
        for stack in lockfile.stacks:
            own = document.locks[stack.name]
            answer = uv.compile(
                list_pins(own.wheels), python=ctx.python, sources=torch.sources, torch_source=torch.source
            )
            if answer.text is None:
                raise DownloadError(
                    f"the files of stack {stack.name} cannot be found: {hide_location(torch.source, answer.error)}",
                    hint="provision doctor --network   # shows which sources answer",
                )
            texts[stack.name] = build_pylock(answer.text, own, python=lockfile.python, base=folder)
    return texts
