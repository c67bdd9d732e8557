"""The newest versions that the user's sources have, whatever a profile allows."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.version import Version

from provision.actions.context import Context
from provision.actions.lock_stack import ResolvedStack
from provision.actions.uv_setup import build_uv, load_package_settings
from provision.core.locks import parse_pins
from provision.model.packages import Source, SourceKind

_TORCH = "torch"


def ask_latest(ctx: Context, stack: ResolvedStack, names: Sequence[str]) -> dict[str, str]:
    """The newest version of each package, and of torch, that the sources have for this Python.

    What no source tells is left out: it is only reported.
    """
    own_index = any(source.kind is SourceKind.INDEX for source in stack.sources)
    skipped = {SourceKind.PYTORCH, *([SourceKind.DEFAULT] if own_index else [])}
    everything = (*names, _TORCH)
    questions: list[tuple[Source, Sequence[str]]] = [
        (source, everything) for source in stack.sources if source.kind not in skipped
    ]
    own = [(stack.torch_source, (_TORCH,))] if stack.torch_source.kind is SourceKind.PYTORCH else []
    latest: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="provision-latest-") as work:
        uv = build_uv(ctx, load_package_settings(ctx), Path(work))
        for source, wanted in [*questions, *own]:
            answer = uv.ask(source, wanted, python=ctx.python)
            texts = [answer.text or ""]
            if answer.text is None and answer.lacks and len(wanted) > 1:
                texts = [uv.ask(source, [name], python=ctx.python).text or "" for name in wanted]
            for name, version in (pin for text in texts for pin in parse_pins(text).items()):
                latest[name] = max(version, latest.get(name, version), key=Version)
    return latest
