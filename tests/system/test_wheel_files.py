"""Files of a lock from a server that fails in every way that servers do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from filelock import FileLock

from provision.errors import DownloadError, StateError
from provision.system.files import hash_file
from provision.system.wheel_files import Progress, WheelFile, fetch_wheels
from provision.system.wheel_server import Access
from tests.support.index_faults import declare_length, flip_byte, redirect_to, refuse, reset_at, truncate_at
from tests.support.index_server import IndexServer
from tests.support.wheels import build_wheel

PLAIN = Access(logins={})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[IndexServer]:
    for name in ("one", "two"):
        build_wheel(tmp_path / "wheels", name, "1.0", source=f"VALUE = '{name * 20_000}'\n")
    with IndexServer((tmp_path / "wheels",)) as server:
        yield server


def list_files(tmp_path: Path, server: IndexServer) -> list[WheelFile]:
    host = urlsplit(server.url).netloc.rpartition("@")[2]
    return [
        WheelFile(
            url=f"http://{host}/files/{path.name}",
            label=path.name,
            sha256=hash_file(path),
            size_bytes=path.stat().st_size,
        )
        for path in sorted((tmp_path / "wheels").glob("*.whl"))
    ]


def fetch(tmp_path: Path, files: list[WheelFile], access: Access = PLAIN) -> list[str]:
    """The hashes of the files that lie where `fetch_wheels` says."""
    found = fetch_wheels(files, tmp_path / "kept", access, on_progress=lambda _: None, pause_s=0.001)
    assert {key: hash_file(path) for key, path in found.items()} == {key: key for key in found}
    return sorted(found)


def test_files_are_fetched_once_and_kept_by_their_hash(tmp_path: Path, server: IndexServer) -> None:
    files, seen = list_files(tmp_path, server), list[Progress]()
    found = fetch_wheels(files, tmp_path / "kept", PLAIN, on_progress=seen.append)
    assert found == {file.sha256: tmp_path / "kept" / f"{file.sha256}.whl" for file in files}
    assert fetch(tmp_path, files) == sorted(file.sha256 for file in files)
    assert len(server.list_fetched()) == 2
    assert (seen[-1].files, seen[-1].total_files) == (2, 2)
    assert seen[-1].fetched_bytes == sum(file.size_bytes or 0 for file in files)


def test_what_was_kept_and_altered_is_fetched_again(tmp_path: Path, server: IndexServer) -> None:
    file = list_files(tmp_path, server)[0]
    fetch(tmp_path, [file])
    (tmp_path / "kept" / f"{file.sha256}.whl").write_bytes(b"altered")
    assert fetch(tmp_path, [file]) == [file.sha256]
    assert len(server.list_fetched()) == 2


@pytest.mark.parametrize("fault", [refuse(503), refuse(429), reset_at(0), reset_at(0.5), truncate_at(0.4)])
def test_what_passes_is_waited_for(tmp_path: Path, server: IndexServer, fault: object) -> None:
    server.fail("*.whl", fault, times=2)  # type: ignore[arg-type]
    files = list_files(tmp_path, server)
    assert fetch(tmp_path, files) == sorted(file.sha256 for file in files)


def test_a_fetch_goes_on_where_it_was_cut(tmp_path: Path, server: IndexServer) -> None:
    file = list_files(tmp_path, server)[0]
    whole = next((tmp_path / "wheels").glob("one*.whl")).read_bytes()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / f"{file.sha256}.part").write_bytes(whole[:1000])
    assert fetch(tmp_path, [file]) == [file.sha256]
    request = server.requests[-1]
    assert (request.headers["range"], request.status) == ("bytes=1000-", 206)


@pytest.mark.parametrize("kept", [b"x" * 1000, b"x" * 100_000_0])
def test_a_wrong_beginning_is_dropped(tmp_path: Path, server: IndexServer, kept: bytes) -> None:
    """Of another file, or longer than the file: the server then has no such part."""
    file = list_files(tmp_path, server)[0]
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / f"{file.sha256}.part").write_bytes(kept)
    assert fetch(tmp_path, [file]) == [file.sha256]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (refuse(503), "one-1.0-py3-none-any.whl cannot be fetched: the server answers 503"),
        (refuse(404), "one-1.0-py3-none-any.whl cannot be fetched: the server answers 404"),
        (
            refuse(403),
            "one-1.0-py3-none-any.whl cannot be fetched: the server answers 403, a login is missing or wrong",
        ),
        (
            flip_byte,
            "one-1.0-py3-none-any.whl is not the file that the lock names: its SHA-256 differs",
        ),
        (
            reset_at(0),
            "one-1.0-py3-none-any.whl cannot be fetched: the connection failed (ConnectionError)",
        ),
        (
            redirect_to("/files/one-1.0-py3-none-any.whl"),
            "one-1.0-py3-none-any.whl cannot be fetched: the connection failed (TooManyRedirects)",
        ),
    ],
)
def test_what_stays_wrong_is_said(tmp_path: Path, server: IndexServer, fault: object, message: str) -> None:
    server.fail("*.whl", fault)  # type: ignore[arg-type]
    with pytest.raises(DownloadError) as caught:
        fetch(tmp_path, list_files(tmp_path, server)[:1])
    assert caught.value.message == message
    assert not list((tmp_path / "kept").glob("*.whl"))


def test_a_body_that_never_ends_is_cut_at_the_size_of_the_lock(tmp_path: Path, server: IndexServer) -> None:
    file = list_files(tmp_path, server)[0]
    short = WheelFile(url=file.url, label=file.label, sha256=file.sha256, size_bytes=1000)
    with pytest.raises(DownloadError, match="is not the file that the lock names"):
        fetch(tmp_path, [short])


def test_a_promise_of_more_bytes_is_no_reason_to_accept_less(tmp_path: Path, server: IndexServer) -> None:
    server.fail("*.whl", declare_length(100), times=1)
    file = list_files(tmp_path, server)[0]
    assert fetch(tmp_path, [file]) == [file.sha256]


def test_the_login_of_an_index_holds_for_its_host(tmp_path: Path, server: IndexServer) -> None:
    with IndexServer(server.folders, login="me:secret") as guarded:
        files = list_files(tmp_path, guarded)
        host = urlsplit(files[0].url).netloc
        access = Access(logins={f"http://{host}": ("me", "secret")})
        assert fetch(tmp_path, files, access) == sorted(file.sha256 for file in files)
        with pytest.raises(DownloadError) as caught:
            fetch(tmp_path / "other", files[:1])
    assert caught.value.message.endswith("the server answers 401, a login is missing or wrong")
    assert caught.value.hint == (
        "put it into PIP_INDEX_URL as https://USER:PASSWORD@HOST/…, or into ~/.netrc"
    )


def test_files_of_this_machine_are_taken_where_they_are(tmp_path: Path, server: IndexServer) -> None:
    path = next((tmp_path / "wheels").glob("one*.whl"))
    file = WheelFile(url=path.as_uri(), label=path.name, sha256=hash_file(path), size_bytes=None)
    found = fetch_wheels([file], tmp_path / "kept", PLAIN, on_progress=lambda _: None)
    assert found == {file.sha256: path}
    path.write_bytes(b"other")
    with pytest.raises(DownloadError) as caught:
        fetch(tmp_path, [file])
    assert caught.value.message == f"{path.name} is missing or not the file that the lock names"


def test_a_percent_sign_in_the_name_of_a_folder_is_one(tmp_path: Path) -> None:
    """`%2520` in an address is the three signs `%20` of a name: it is decoded once."""
    path = build_wheel(tmp_path / "50%20off", "one", "1.0")
    url = path.as_uri()
    assert "50%2520off" in url
    file = WheelFile(url=url, label="one", sha256=hash_file(path), size_bytes=path.stat().st_size)
    assert fetch_wheels([file], tmp_path / "kept", PLAIN, on_progress=lambda _: None) == {file.sha256: path}


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with FileLock(tmp_path / "kept" / "lock"), pytest.raises(StateError) as caught:
        fetch(tmp_path, [])
    assert caught.value.message == f"{tmp_path / 'kept'} is in use by another provision"
