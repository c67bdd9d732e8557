"""`uv build` is told of sources without a login on its command line, and held to the date."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from provision.core.locks import find_undated
from provision.core.pip_settings import build_source
from provision.model.packages import PackageSettings, SourceKind
from provision.system.uv import find_uv
from provision.system.wheel_build import build_env, build_wheel
from tests.support.wheels import build_wheel as build_small_wheel
from tests.support.wheels import serve_index

SOURCES = (
    build_source(SourceKind.INDEX, "https://one.example/simple", "test"),
    build_source(SourceKind.EXTRA_INDEX, "http://me:S3CRET@two.example/simple", "test"),
    build_source(SourceKind.EXTRA_INDEX, "https://three.example/simple", "test"),
    build_source(SourceKind.FIND_LINKS, "/wheels", "test"),
)
# A program in uv's place, which writes down how it was called: the command line is what everybody can read.
RECORDER = """\
#!{python}
import json, os, pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index("--out-dir") + 1])
told = {{name: value for name, value in os.environ.items() if name.startswith("UV_")}}
(out / "call.json").write_text(json.dumps([sys.argv[1:], told]))
"""


def record(tmp_path: Path, settings: PackageSettings, **named: object) -> tuple[list[str], dict[str, str]]:
    program, out = tmp_path / "uv", tmp_path / "out"
    program.write_text(RECORDER.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    out.mkdir()
    env = {"UV_INDEX": "https://users.example", "UV_CONSTRAINT": "c.txt", "UV_CACHE_DIR": "/cache"}
    built = build_wheel(
        program,
        tmp_path / "source",
        out,
        python=Path("python3"),
        env=env,
        settings=settings,
        **named,  # type: ignore[arg-type]
    )
    assert built.path is None
    argv, told = json.loads((out / "call.json").read_text(encoding="utf-8"))
    return argv, told


def test_indexes_and_their_logins_stand_in_variables(tmp_path: Path) -> None:
    argv, told = record(tmp_path, PackageSettings(sources=SOURCES), exclude_newer="2026-11-14T00:00:00Z")
    assert argv == [
        *("build", "--wheel", "--no-config", "--python", "python3"),
        *("--exclude-newer", "2026-11-14T00:00:00Z"),
        *("--index-strategy", "unsafe-best-match", "--find-links", "/wheels"),
        *("--out-dir", str(tmp_path / "out"), str(tmp_path / "source")),
    ]
    assert told == {
        "UV_CACHE_DIR": "/cache",
        "UV_DEFAULT_INDEX": "https://one.example/simple",
        "UV_INDEX": "http://me:S3CRET@two.example/simple https://three.example/simple",
        "UV_PYTHON_DOWNLOADS": "never",
    }


def test_without_an_index_only_folders_are_named(tmp_path: Path) -> None:
    argv, told = record(tmp_path, PackageSettings(sources=SOURCES, no_index=True))
    assert argv[5:9] == ["--index-strategy", "unsafe-best-match", "--no-index", "--find-links"]
    assert told == {"UV_CACHE_DIR": "/cache", "UV_PYTHON_DOWNLOADS": "never"}


def test_the_network_is_reached_as_pip_reaches_it() -> None:
    settings = PackageSettings(
        certificate="/ca.pem",
        client_certificate="/me.pem",
        proxy="http://proxy:3128",
        trusted_hosts=("a.example", "b.example"),
        timeout_s=20.0,
    )
    assert build_env({"PATH": "/bin", "VIRTUAL_ENV": "/venv", "UV_FIND_LINKS": "/x"}, settings) == {
        "PATH": "/bin",
        "SSL_CERT_FILE": "/ca.pem",
        "SSL_CLIENT_CERT": "/me.pem",
        "ALL_PROXY": "http://proxy:3128",
        "UV_INSECURE_HOST": "a.example b.example",
        "UV_HTTP_TIMEOUT": "20",
        "UV_PYTHON_DOWNLOADS": "never",
        "NO_COLOR": "1",
    }


@pytest.mark.parametrize(("any_age", "undated"), [((), {"backend"}), (("backend",), set())])
def test_a_backend_without_a_date_is_taken_only_when_it_may_be_of_any_age(
    tmp_path: Path, any_age: tuple[str, ...], undated: set[str]
) -> None:
    """With real uv: the backend is installed once its age does not count, and fails for being none."""
    build_small_wheel(tmp_path / "wheels", "backend", "1.0")
    source, out = tmp_path / "source", tmp_path / "out"
    for folder in (source, out):
        folder.mkdir()
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["backend"]\nbuild-backend = "backend.none"\n', encoding="utf-8"
    )
    with serve_index(tmp_path / "served", tmp_path / "wheels") as url:
        built = build_wheel(
            find_uv(),
            source,
            out,
            python=Path(sys.executable),
            env={"HOME": str(tmp_path), "UV_CACHE_DIR": str(tmp_path / "cache")},
            settings=PackageSettings(sources=(build_source(SourceKind.INDEX, url, "test"),)),
            exclude_newer="2026-11-14T00:00:00Z",
            any_age=any_age,
        )
    assert built.path is None
    assert find_undated(built.output) == undated
    assert ("No module named 'backend.none'" in built.output) == (not undated)
