"""A stack of tiny wheels behind an index whose answers go wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.mirror import Mirror
from tests.support.index_server import IndexServer
from tests.support.sources import make_wheels
from tests.support.wheels import build_wheel

_PAD_CHARACTERS = 200_000


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """torch, transformers and a numpy that is large enough to be cut in pieces."""
    folder = make_wheels(tmp_path_factory.mktemp("wheels"), ("torch", "2.13.0+cpu"))
    noise = random.Random(0).randbytes(_PAD_CHARACTERS // 2).hex()
    build_wheel(folder, "numpy", "2.4.6", source=f"# {noise}\n")
    return folder


@pytest.fixture
def mirror(tmp_path: Path, wheels: Path) -> Iterator[Mirror]:
    """The index of `wheels` as the only source that a context knows."""
    with IndexServer((wheels,)) as server:
        yield Mirror(folder=tmp_path, server=server)
