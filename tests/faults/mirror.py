"""A user whose only source of packages is one index, for tests that break it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision.actions.build import build_stack, name_stack_dir
from provision.actions.context import Context
from provision.actions.lock_stack import ResolvedStack, resolve_stack
from provision.errors import DownloadError, ProvisionError, ToolError
from provision.model.state import StackManifest
from provision.system.store import Store
from tests.support.index_server import IndexServer
from tests.support.reports import Recorder
from tests.support.sources import DEAD, PLATFORM, SPEC, make_build, make_context

PINS = [("numpy", "2.4.6"), ("torch", "2.13.0+cpu"), ("transformers", "5.22.2")]


@dataclass(kw_only=True)
class Mirror:
    """The index, and a folder for everything that the user has."""

    folder: Path
    server: IndexServer

    @property
    def store(self) -> Store:
        """The application's state."""
        return Store(self.folder)

    def make_context(self, **env: str) -> Context:
        """No cache of uv's is used twice: what was fetched once would hide every later fault.

        uv's own default index is the dead one, so that no test asks a real one.
        """
        settings = self.folder / ".config" / "uv" / "uv.toml"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(f'[[index]]\nurl = "{DEAD}"\ndefault = true\n', encoding="utf-8")
        taken = len(list(self.folder.glob("cache-*")))
        cache = self.folder / f"cache-{taken}"
        cache.mkdir()
        return make_context(
            self.folder,
            {
                "PIP_INDEX_URL": self.server.url,
                "UV_CACHE_DIR": str(cache),
                "UV_HTTP_TIMEOUT": "1",
                "UV_HTTP_RETRIES": "0",
            }
            | env,
        )

    def resolve(self, **env: str) -> ResolvedStack:
        """Lock the stack."""
        return resolve_stack(self.make_context(**env), SPEC, make_build("cpu"), PLATFORM)

    def build(self, stack: ResolvedStack, **env: str) -> StackManifest:
        """Build the stack."""
        return build_stack(self.make_context(**env), self.store, stack)

    def check_refused(self, caught: pytest.ExceptionInfo[ProvisionError]) -> None:
        """One sentence with the exit code of a download or of a tool, and no stack under its final name."""
        assert isinstance(caught.value, (DownloadError, ToolError)), caught.value
        assert "\n" not in caught.value.message
        assert list_stacks(self.store) == []


def list_stacks(store: Store) -> list[str]:
    """What lies among the stacks, under whatever name."""
    return sorted(path.name for path in store.stacks_dir.glob("*")) if store.stacks_dir.exists() else []


def check_built(store: Store, stack: ResolvedStack, manifest: StackManifest) -> None:
    """The stack is there, whole, and nothing else is."""
    assert [(item.name, item.version) for item in manifest.packages] == PINS
    assert list_stacks(store) == [name_stack_dir(store, stack).name]


def list_pins(stack: ResolvedStack) -> list[tuple[str, str]]:
    """Names and versions of the lock."""
    return [(wheel.name, wheel.version) for wheel in stack.lock.wheels]


def join_lines(contexts: Iterable[Context]) -> str:
    """All that was reported."""
    lines = [line for ctx in contexts if isinstance(ctx.reporter, Recorder) for line in ctx.reporter.lines]
    return "\n".join(lines)
