"""uv's cache lets go of the packages that are named, by a stand-in for uv."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from provision.errors import ToolError
from provision.system import uv_cache
from provision.system.uv_cache import remove_from_cache


def make_uv(folder: Path, *, exit_code: int) -> Path:
    """A program that writes its arguments beside itself and ends as it is told."""
    program = folder / "uv"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nopen({str(folder / 'said')!r}, 'w').write(' '.join(sys.argv[1:]))\n"
        f"print('warning: x', file=sys.stderr)\nprint('error: locked', file=sys.stderr)\nsys.exit({exit_code})\n"
    )
    program.chmod(0o755)
    return program


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script")
def test_names_are_given_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv_cache, "find_uv", lambda: make_uv(tmp_path, exit_code=0))
    remove_from_cache({"torch", "idna"}, env={})
    assert (tmp_path / "said").read_text() == "cache clean idna torch"


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script")
def test_what_uv_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv_cache, "find_uv", lambda: make_uv(tmp_path, exit_code=2))
    with pytest.raises(ToolError) as caught:
        remove_from_cache(["idna"], env={})
    assert (caught.value.message, caught.value.hint) == (
        "uv cannot clean its cache: error: locked",
        "uv cache dir",
    )
