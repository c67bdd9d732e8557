"""Models fetched by the unmodified huggingface-hub from a Hub on loopback."""

from __future__ import annotations

import errno
import json
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import close_session, constants

from provision.errors import DownloadError, ProvisionError, UsageError
from provision.system.hub import fetch_model
from tests.support.hub_server import CDN_SIGNATURE, COMMIT, Answer, HubServer, Request, build_pointer

LOGIN = "hf_not-a-real-one"
SHORT = COMMIT[:12]
AGAIN = "run the same command again: files that are complete are kept"


def make_safetensors(values: int) -> bytes:
    """A valid file of one weight: the header's length, the header, the data."""
    weight = {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}
    header = json.dumps({"weight": weight}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * values)


def make_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


WANTED = {
    "chat_template.jinja": b"{{ messages }}",
    "config.json": b'{"model_type": "qwen2_vl"}',
    "merges.txt": b"#version: 0.2\n",
    "model.safetensors": make_safetensors(1000),
    "tokenizer.json": b'{"version": "1.0"}',
}
UNWANTED = {"README.md": b"#", "modeling_tiny.py": b"1", "optimizer.pt": b"2", "pytorch_model.bin": b"3"}
SIZE = len(WANTED["model.safetensors"])
POINTER = build_pointer("0" * 64, 4_000_000_000)
INDEX_NAME = "model.safetensors.index.json"
INDEX = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
SHARDED = {
    "config.json": b"{}",
    INDEX_NAME: json.dumps(INDEX).encode(),
    "model-00001-of-00002.safetensors": make_safetensors(1),
}


@pytest.fixture(autouse=True)
def fresh_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """huggingface-hub as in a process of its own that has none of the developer's settings."""
    # Telemetry would ask the real Hub for its list of coding agents.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    close_session()
    yield
    close_session()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that huggingface-hub would have waited between its attempts."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    tiny = make_folder(tmp_path / "tiny", WANTED | UNWANTED)
    with HubServer(dict.fromkeys(("acme/tiny", "acme/gated", "acme/private"), tiny)) as server:
        server.gated.add("acme/gated")
        server.private.add("acme/private")
        server.readers[LOGIN] = set()
        yield server


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hf" / "hub"


@pytest.fixture
def env(hub: HubServer, cache: Path) -> dict[str, str]:
    return {"HF_HOME": str(cache.parent), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}


def with_login(env: Mapping[str, str], token: str = LOGIN) -> dict[str, str]:
    return {name: value for name, value in env.items() if "IMPLICIT" not in name} | {"HF_TOKEN": token}


def tell(error: ProvisionError) -> list[str | None]:
    """Message and hint, which must hold no secret."""
    for secret in (LOGIN, CDN_SIGNATURE):
        assert secret not in f"{error.message} {error.hint}"
    return [error.message, error.hint]


def refuse(repo_id: str, env: Mapping[str, str], revision: str = COMMIT) -> list[str | None]:
    """Message and hint of the error that a fetch ends with."""
    with pytest.raises(DownloadError) as caught:
        fetch_model(repo_id, revision, env=env)
    return tell(caught.value)


def test_a_model_is_fetched_whole_without_code_and_in_silence(
    hub: HubServer,
    env: dict[str, str],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TQDM_POSITION", "-1")  # huggingface-hub then draws its bars without a terminal too
    folder = fetch_model("acme/tiny", COMMIT, env=env)
    assert folder == cache / "models--acme--tiny" / "snapshots" / COMMIT
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == WANTED
    assert hub.list_fetched() == sorted(WANTED)
    assert capfd.readouterr() == ("", "")


def test_nothing_is_asked_for_twice(hub: HubServer, env: dict[str, str]) -> None:
    folder = fetch_model("acme/tiny", COMMIT, env=env)
    hub.requests.clear()
    for changes in ({}, {"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
        assert fetch_model("acme/tiny", COMMIT, env=env | changes) == folder
    assert hub.requests == []


def test_only_what_is_missing_is_fetched(hub: HubServer, env: dict[str, str]) -> None:
    folder = fetch_model("acme/tiny", COMMIT, env=env)
    (folder / "tokenizer.json").resolve().unlink()
    hub.requests.clear()
    fetch_model("acme/tiny", COMMIT, env=env)
    assert hub.list_fetched() == ["tokenizer.json"]
    assert (folder / "tokenizer.json").read_bytes() == WANTED["tokenizer.json"]


def test_a_renamed_model_is_followed_to_the_same_commit(hub: HubServer, env: dict[str, str]) -> None:
    hub.renamed["old/tiny"] = "acme/tiny"
    folder = fetch_model("old/tiny", COMMIT, env=env)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == WANTED
    assert folder.parent.parent.name == "models--old--tiny"


def test_a_token_opens_a_gated_model_and_stays_with_the_hub(hub: HubServer, env: dict[str, str]) -> None:
    hub.readers[LOGIN] = {"acme/gated"}
    fetch_model("acme/gated", COMMIT, env=with_login(env))
    sent = {(request.site, request.headers.get("authorization")) for request in hub.requests}
    assert sent == {("hub", "Bearer ***"), ("cdn", None)}


def test_a_line_that_breaks_is_taken_up_where_it_broke(
    hub: HubServer, env: dict[str, str], waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # it resumes after a whole one, of 10 MiB

    def break_once(request: Request, answer: Answer) -> Answer:
        if request.site == "hub":
            return answer
        hub.fault = None
        return replace(answer, chunks=(b"".join(answer.chunks)[:1500],))

    hub.fault = break_once
    folder = fetch_model("acme/tiny", COMMIT, env=env)
    assert (folder / "model.safetensors").read_bytes() == WANTED["model.safetensors"]
    ranges = [request.headers.get("range") for request in hub.requests if request.site == "cdn"]
    assert (ranges, waits) == ([None, "bytes=1000-"], [1])


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"HF_HUB_CACHE": "{tmp}/a", "HF_HOME": "{tmp}/b"}, "a"),
        ({"HUGGINGFACE_HUB_CACHE": "{tmp}/a", "HF_HOME": "{tmp}/b"}, "a"),
        ({"HF_HOME": "$DATA/b", "DATA": "{tmp}", "XDG_CACHE_HOME": "{tmp}/c"}, "b/hub"),
        ({"XDG_CACHE_HOME": "{tmp}/c", "HOME": "{tmp}/d"}, "c/huggingface/hub"),
        ({"HF_HOME": "~/e", "HOME": "{tmp}"}, "e/hub"),
        ({"HOME": "{tmp}"}, ".cache/huggingface/hub"),
    ],
)
def test_the_cache_lies_where_the_environment_says(
    env: dict[str, str], tmp_path: Path, variables: dict[str, str], place: str
) -> None:
    del env["HF_HOME"]
    chosen = {name: value.format(tmp=tmp_path) for name, value in variables.items()}
    folder = fetch_model("acme/tiny", COMMIT, env=env | chosen)
    assert folder == tmp_path / place / "models--acme--tiny" / "snapshots" / COMMIT


MISSING = [
    "{hub} has no model {repo}, or it is private",
    "hf auth login   # if it is private and this account may read it",
]


@pytest.mark.parametrize(
    ("repo_id", "token", "told"),
    [
        (
            "acme/gated",
            None,
            [
                "{repo} is gated: {hub} gives it to accounts that accepted its terms",
                "hf auth login   # and accept the terms at {hub}/{repo}",
            ],
        ),
        (
            "acme/gated",
            LOGIN,
            [
                "{repo} is gated, and this account has not been let in",
                "accept the terms at {hub}/{repo}, then run the same command again",
            ],
        ),
        ("acme/private", None, MISSING),
        ("acme/private", LOGIN, MISSING),
        ("acme/none", None, MISSING),
        ("acme/none", LOGIN, MISSING),
        (
            "acme/tiny",
            "hf_expired",
            [
                "{hub} refuses access to {repo}: 401 Unauthorized",
                "hf auth whoami   # is the token valid, and may it read this model?",
            ],
        ),
    ],
)
def test_no_access(
    hub: HubServer, env: dict[str, str], repo_id: str, token: str | None, told: list[str]
) -> None:
    expected = [text.format(hub=hub.url, repo=repo_id) for text in told]
    assert refuse(repo_id, with_login(env, token) if token else env) == expected
    assert hub.list_fetched() == []


def test_missing_revision(hub: HubServer, env: dict[str, str]) -> None:
    assert refuse("acme/tiny", env, "f" * 40) == [
        f"acme/tiny has no revision {'f' * 40}",
        f"compare with {hub.url}/acme/tiny/commits/main: the history may have been rewritten",
    ]


@pytest.mark.parametrize(
    ("repo_id", "token", "told"),
    [
        ("../tiny/x", LOGIN, ["../tiny/x cannot be the name of a model on the Hub", "a name is OWNER/MODEL"]),
        ("acme/tiny", f"{LOGIN}\n{LOGIN}", ["HF_TOKEN holds characters that no token has", "unset HF_TOKEN"]),
        ("acme/tiny", f"{LOGIN}é", ["HF_TOKEN holds characters that no token has", "unset HF_TOKEN"]),
    ],
)
def test_what_need_not_be_asked(
    hub: HubServer, env: dict[str, str], repo_id: str, token: str, told: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        fetch_model(repo_id, COMMIT, env=with_login(env, token))
    assert tell(caught.value) == told
    assert hub.requests == []


def test_no_network(env: dict[str, str]) -> None:
    with HubServer({}) as gone:
        pass
    started = time.monotonic()
    assert refuse("acme/tiny", env | {"HF_ENDPOINT": gone.url}) == [
        f"acme/tiny at {SHORT} is not in the cache, and {gone.url} cannot be reached: "
        f"[Errno {errno.ECONNREFUSED}] Connection refused",
        "check the network, HTTPS_PROXY and SSL_CERT_FILE, or name a mirror in HF_ENDPOINT",
    ]
    assert time.monotonic() - started < 5  # the library alone would try for 23 s


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("mirror.example", "mirror.example"),
        (f"https://me:{LOGIN}@mirror.example:x", "https://mirror.example:x"),
    ],
)
def test_an_endpoint_that_is_no_address(env: dict[str, str], endpoint: str, shown: str) -> None:
    assert refuse("acme/tiny", env | {"HF_ENDPOINT": endpoint}) == [
        f"{shown} is no address of a Hub",
        "unset HF_ENDPOINT",
    ]


def test_a_login_page_in_place_of_the_hub(hub: HubServer, env: dict[str, str]) -> None:
    page = b"<html>Welcome to the hotel</html>"
    hub.fault = lambda *_: Answer(status=200, headers={"Content-Length": str(len(page))}, chunks=(page,))
    assert refuse("acme/tiny", env) == [
        f"{hub.url} does not answer as a Hub does",
        "check HF_ENDPOINT, and whether a proxy or the network's login page answers in its place",
    ]


def test_a_hub_that_stays_busy(
    hub: HubServer, env: dict[str, str], waits: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    hub.fault = lambda *_: Answer(status=503, headers={"Content-Length": "0"})
    assert refuse("acme/tiny", env) == [
        f"acme/tiny at {SHORT} could not be fetched: 127.0.0.1 answered 503 Service Unavailable",
        AGAIN,
    ]
    assert sum(waits) == 23
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
@pytest.mark.parametrize("fetched", [False, True])
def test_offline_without_all_files(
    hub: HubServer, env: dict[str, str], cache: Path, variable: str, fetched: bool
) -> None:
    if fetched:
        (fetch_model("acme/tiny", COMMIT, env=env) / "tokenizer.json").unlink()
    hub.requests.clear()
    assert refuse("acme/tiny", env | {variable: "1"}) == [
        f"acme/tiny at {SHORT} is not complete in {cache}, and {variable} forbids to fetch it",
        f"unset {variable}   # or copy models--acme--tiny from a machine that has it",
    ]
    assert hub.requests == []


def test_a_cache_that_cannot_be_written(env: dict[str, str], cache: Path) -> None:
    cache.parent.write_text("a file where the folder should be")
    assert refuse("acme/tiny", env) == [
        f"acme/tiny at {SHORT} cannot be stored in {cache}: Not a directory",
        f"ls -ld {cache}   # HF_HOME moves the cache",
    ]


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            [
                "cannot be stored in {cache}: No space left on device",
                "df -h {cache}   # HF_HOME moves the cache",
            ],
        ),
        (
            # What hf_xet 1.8.0 raises when its server does not answer.
            RuntimeError(f"Task error: error sending request for url (http://cas.example/?{CDN_SIGNATURE})"),
            [
                "could not be fetched: the transfer through Xet failed",
                "HF_HUB_DISABLE_XET=1   # fetches by plain HTTP",
            ],
        ),
        (
            ValueError("Invalid filename '../x': cannot contain a '..' path segment.\nAsk the owner."),
            ["could not be fetched: Invalid filename '../x': cannot contain a '..' path segment", AGAIN],
        ),
    ],
)
def test_what_cannot_be_made_to_happen_here(
    env: dict[str, str], cache: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, told: list[str]
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise raised

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    message, hint = (text.format(cache=cache) for text in told)
    assert refuse("acme/tiny", env) == [f"acme/tiny at {SHORT} {message}", hint]


@pytest.mark.parametrize(("is_named", "file"), [(True, "model.safetensors"), (False, "a file")])
def test_a_file_of_the_wrong_length(
    hub: HubServer, env: dict[str, str], cache: Path, is_named: bool, file: str
) -> None:
    def lie(_request: Request, answer: Answer) -> Answer:
        told = dict(answer.headers)
        if "X-Linked-Size" in told:
            told["X-Linked-Size"] = str(SIZE + 1)
        if not is_named:
            told.pop("Content-Disposition", None)
        return replace(answer, headers=told)

    hub.fault = lie
    assert refuse("acme/tiny", env) == [
        f"acme/tiny at {SHORT} could not be fetched: {file} should have {SIZE + 1} bytes and came with {SIZE}",
        AGAIN,
    ]
    assert list(cache.rglob("*.incomplete")) == []


SEE = "compare with {hub}/acme/odd/tree/" + COMMIT
ELSEWHERE = "rm -r {cache}/models--acme--odd   # then fetch it from another HF_ENDPOINT"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"model.safetensors": b"x"}, [" holds no config.json", SEE]),
        (
            {"config.json": b"{}", "pytorch_model.bin": b"x"},
            [" holds no *.safetensors, and pickles are never loaded", SEE],
        ),
        (SHARDED, [f" lacks model-00002-of-00002.safetensors, which {INDEX_NAME} names", SEE]),
        (
            WANTED | {INDEX_NAME: SHARDED[INDEX_NAME]},
            [f" lacks model-00001-of-00002.safetensors and 1 more, which {INDEX_NAME} names", SEE],
        ),
        (
            SHARDED | {INDEX_NAME: b'{"weight_map": ["a"]}'},
            [
                f": {INDEX_NAME} is no index of shards: Expected `object`, got `array` - at `$.weight_map`",
                "rm -r {cache}/models--acme--odd   # then run the same command again",
            ],
        ),
        (
            WANTED | {"model.safetensors": POINTER},
            [": model.safetensors is a Git LFS pointer in place of the file", ELSEWHERE],
        ),
        (
            WANTED | {"tokenizer.json": POINTER},
            [": tokenizer.json is a Git LFS pointer in place of the file", ELSEWHERE],
        ),
    ],
)
def test_a_snapshot_that_is_no_model(
    env: dict[str, str], cache: Path, tmp_path: Path, files: dict[str, bytes], told: list[str]
) -> None:
    with HubServer({"acme/odd": make_folder(tmp_path / "odd", files)}) as hub:
        problem, hint = told[0], told[1].format(hub=hub.url, cache=cache)
        assert refuse("acme/odd", env | {"HF_ENDPOINT": hub.url}) == [f"acme/odd at {SHORT}{problem}", hint]
