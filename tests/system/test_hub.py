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

TOKEN = "hf_loopbackTokenThatNobodyMaySee"
SHORT = COMMIT[:12]
AGAIN = "run the same command again: files that are complete are kept"
WANTED = ["chat_template.jinja", "config.json", "merges.txt", "model.safetensors", "tokenizer.json"]


def make_safetensors(values: int) -> bytes:
    """A valid file of one weight: the header's length, the header, the data."""
    weight = {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}
    header = json.dumps({"weight": weight}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * values)


def make_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


TINY = {
    "config.json": b'{"model_type": "qwen2_vl"}',
    "tokenizer.json": b'{"version": "1.0"}',
    "merges.txt": b"#version: 0.2\n",
    "chat_template.jinja": b"{{ messages }}",
    "model.safetensors": make_safetensors(1000),
    # None of these may be asked for.
    "pytorch_model.bin": b"\x80\x04.",
    "modeling_tiny.py": b"raise SystemExit",
    "optimizer.pt": b"\x80\x04.",
    "README.md": b"# tiny",
}
INDEX = json.dumps(
    {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
).encode()
SHARDED = {
    "config.json": b'{"model_type": "sharded"}',
    "model.safetensors.index.json": INDEX,
    "model-00001-of-00002.safetensors": make_safetensors(1),
}


@pytest.fixture(autouse=True)
def fresh_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """huggingface-hub as in a process of its own that has none of the developer's settings."""
    # Telemetry would ask the real Hub for its list of coding agents.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    close_session()
    yield
    close_session()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "tiny", TINY)


@pytest.fixture
def hub(tmp_path: Path, tiny: Path) -> Iterator[HubServer]:
    models = {"acme/tiny": tiny, "acme/sharded": make_folder(tmp_path / "sharded", SHARDED)}
    with HubServer(models) as server:
        yield server


@pytest.fixture
def env(hub: HubServer, tmp_path: Path) -> dict[str, str]:
    return {
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    }


def with_token(env: Mapping[str, str], token: str = TOKEN) -> dict[str, str]:
    return {name: value for name, value in env.items() if "IMPLICIT" not in name} | {"HF_TOKEN": token}


def refuse(repo_id: str, env: Mapping[str, str], revision: str = COMMIT) -> tuple[str, str | None]:
    """Message and hint of the error that a fetch ends with."""
    with pytest.raises(DownloadError) as caught:
        fetch_model(repo_id, revision, env=env)
    return tell(caught.value)


def tell(error: ProvisionError) -> tuple[str, str | None]:
    """Message and hint, which must never hold a secret."""
    for secret in (TOKEN, CDN_SIGNATURE):
        assert secret not in f"{error.message} {error.hint}"
    return error.message, error.hint


def test_a_model_is_fetched_whole_without_code_and_in_silence(
    hub: HubServer,
    env: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TQDM_POSITION", "-1")  # huggingface-hub then draws its bars without a terminal too
    folder = fetch_model("acme/tiny", COMMIT, env=env)
    assert folder == tmp_path / "hf" / "hub" / "models--acme--tiny" / "snapshots" / COMMIT
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: TINY[name] for name in WANTED
    }
    assert hub.list_fetched() == WANTED
    assert capfd.readouterr() == ("", "")


def test_nothing_is_asked_for_twice(hub: HubServer, env: dict[str, str]) -> None:
    folder = fetch_model("acme/tiny", COMMIT, env=env)
    hub.requests.clear()
    assert fetch_model("acme/tiny", COMMIT, env=env) == folder
    assert hub.requests == []


def test_only_what_is_missing_is_fetched(hub: HubServer, env: dict[str, str]) -> None:
    folder = fetch_model("acme/tiny", COMMIT, env=env)
    (folder / "tokenizer.json").resolve().unlink()
    hub.requests.clear()
    fetch_model("acme/tiny", COMMIT, env=env)
    assert hub.list_fetched() == ["tokenizer.json"]
    assert (folder / "tokenizer.json").read_bytes() == TINY["tokenizer.json"]


def test_a_renamed_model_is_followed_to_the_same_commit(hub: HubServer, env: dict[str, str]) -> None:
    hub.renamed["old/tiny"] = "acme/tiny"
    folder = fetch_model("old/tiny", COMMIT, env=env)
    assert sorted(path.name for path in folder.iterdir()) == WANTED
    assert folder.parent.parent.name == "models--old--tiny"


@pytest.mark.parametrize(
    ("variables", "cache"),
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
    env: dict[str, str], tmp_path: Path, variables: dict[str, str], cache: str
) -> None:
    del env["HF_HOME"]
    chosen = {name: value.format(tmp=tmp_path) for name, value in variables.items()}
    folder = fetch_model("acme/tiny", COMMIT, env=env | chosen)
    assert folder == tmp_path / cache / "models--acme--tiny" / "snapshots" / COMMIT


def test_a_line_that_breaks_is_taken_up_where_it_broke(
    hub: HubServer, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)

    def break_once(request: Request, answer: Answer) -> Answer:
        if request.site == "hub":
            return answer
        hub.fault = None
        content = b"".join(answer.chunks)
        return replace(answer, chunks=(content[:1500],))

    hub.fault = break_once
    folder = fetch_model("acme/tiny", COMMIT, env=env)
    assert (folder / "model.safetensors").read_bytes() == TINY["model.safetensors"]
    assert [request.headers.get("range") for request in hub.requests if request.site == "cdn"] == [
        None,
        "bytes=1500-",
    ]
    assert waits == [1]


def test_a_token_opens_a_gated_model_and_stays_with_the_hub(hub: HubServer, env: dict[str, str]) -> None:
    hub.gated.add("acme/tiny")
    hub.readers[TOKEN] = {"acme/tiny"}
    fetch_model("acme/tiny", COMMIT, env=with_token(env))
    sent = {(request.site, request.headers.get("authorization")) for request in hub.requests}
    assert sent == {("hub", "Bearer ***"), ("cdn", None)}


def test_gated_without_a_login(hub: HubServer, env: dict[str, str]) -> None:
    hub.gated.add("acme/tiny")
    assert refuse("acme/tiny", env) == (
        f"acme/tiny is gated: {hub.url} gives it to accounts that accepted its terms",
        f"hf auth login   # and accept the terms at {hub.url}/acme/tiny",
    )
    assert hub.list_fetched() == []


def test_gated_for_an_account_that_was_not_let_in(hub: HubServer, env: dict[str, str]) -> None:
    hub.gated.add("acme/tiny")
    hub.readers[TOKEN] = set()
    assert refuse("acme/tiny", with_token(env)) == (
        "acme/tiny is gated, and this account has not been let in",
        f"accept the terms at {hub.url}/acme/tiny, then run the same command again",
    )


@pytest.mark.parametrize("logged_in", [False, True])
@pytest.mark.parametrize("repo_id", ["acme/tiny", "acme/none"])
def test_private_or_missing(hub: HubServer, env: dict[str, str], repo_id: str, logged_in: bool) -> None:
    hub.private.add("acme/tiny")
    hub.readers[TOKEN] = set()
    assert refuse(repo_id, with_token(env) if logged_in else env) == (
        f"{hub.url} has no model {repo_id}, or it is private",
        "hf auth login   # if it is private and this account may read it",
    )


def test_a_token_that_is_not_valid(hub: HubServer, env: dict[str, str]) -> None:
    assert refuse("acme/tiny", with_token(env)) == (
        f"{hub.url} refuses access to acme/tiny: 401 Unauthorized",
        "hf auth whoami   # is the token valid, and may it read this model?",
    )


@pytest.mark.parametrize("token", [f"{TOKEN}\n{TOKEN}", f"{TOKEN}\x01", f"{TOKEN}é"])
def test_a_token_that_cannot_be_sent(env: dict[str, str], token: str) -> None:
    with pytest.raises(UsageError) as caught:
        fetch_model("acme/tiny", COMMIT, env=with_token(env, token))
    assert tell(caught.value) == ("HF_TOKEN holds characters that no token has", "unset HF_TOKEN")


def test_missing_revision(hub: HubServer, env: dict[str, str]) -> None:
    revision = "f" * 40
    assert refuse("acme/tiny", env, revision) == (
        f"acme/tiny has no revision {revision}",
        f"compare with {hub.url}/acme/tiny/commits/main: the history may have been rewritten",
    )


def test_a_name_that_is_none(hub: HubServer, env: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        fetch_model("../acme/tiny", COMMIT, env=env)
    assert tell(caught.value) == (
        "../acme/tiny cannot be the name of a model on the Hub",
        "a name is OWNER/MODEL",
    )
    assert hub.requests == []


def test_no_network(env: dict[str, str]) -> None:
    with HubServer({}) as gone:
        pass
    started = time.monotonic()
    assert refuse("acme/tiny", env | {"HF_ENDPOINT": gone.url}) == (
        f"acme/tiny at {SHORT} is not in the cache, and {gone.url} cannot be reached: "
        f"[Errno {errno.ECONNREFUSED}] Connection refused",
        "check the network, HTTPS_PROXY and SSL_CERT_FILE, or name a mirror in HF_ENDPOINT",
    )
    assert time.monotonic() - started < 5  # the library alone would try for 23 s


def test_no_network_does_not_matter_for_what_is_there(env: dict[str, str]) -> None:
    folder = fetch_model("acme/tiny", COMMIT, env=env)
    assert fetch_model("acme/tiny", COMMIT, env=env | {"HF_ENDPOINT": "http://127.0.0.1:9"}) == folder


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("mirror.example", "mirror.example"),
        (f"https://me:{TOKEN}@mirror.example:port", "https://mirror.example:port"),
    ],
)
def test_an_endpoint_that_is_no_address(env: dict[str, str], endpoint: str, shown: str) -> None:
    assert refuse("acme/tiny", env | {"HF_ENDPOINT": endpoint}) == (
        f"{shown} is no address of a Hub",
        "unset HF_ENDPOINT",
    )


def test_a_login_page_in_place_of_the_hub(hub: HubServer, env: dict[str, str]) -> None:
    page = b"<html>Welcome to the hotel</html>"
    hub.fault = lambda _request, _answer: Answer(
        status=200, headers={"Content-Length": str(len(page))}, chunks=(page,)
    )
    assert refuse("acme/tiny", env) == (
        f"{hub.url} does not answer as a Hub does",
        "check HF_ENDPOINT, and whether a proxy or a login page of the network answers in its place",
    )


def test_a_hub_that_stays_busy(
    hub: HubServer, env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    hub.fault = lambda _request, _answer: Answer(status=503, headers={"Content-Length": "0"})
    assert refuse("acme/tiny", env) == (
        f"acme/tiny at {SHORT} could not be fetched: 127.0.0.1 answered 503 Service Unavailable",
        AGAIN,
    )
    assert sum(waits) == 23
    assert capfd.readouterr() == ("", "")


def test_a_cdn_that_refuses(hub: HubServer, env: dict[str, str]) -> None:
    def expire(request: Request, answer: Answer) -> Answer:
        return answer if request.site == "hub" else Answer(status=410, headers={"Content-Length": "0"})

    hub.fault = expire
    assert refuse("acme/tiny", env) == (
        f"acme/tiny at {SHORT} could not be fetched: 127.0.0.1 answered 410 Gone",
        AGAIN,
    )


def test_offline_with_the_files(hub: HubServer, env: dict[str, str]) -> None:
    folder = fetch_model("acme/tiny", COMMIT, env=env)
    hub.requests.clear()
    assert fetch_model("acme/tiny", COMMIT, env=env | {"HF_HUB_OFFLINE": "1"}) == folder
    assert hub.requests == []


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
@pytest.mark.parametrize("fetched", [False, True])
def test_offline_without_all_files(
    hub: HubServer, env: dict[str, str], tmp_path: Path, variable: str, fetched: bool
) -> None:
    if fetched:
        (fetch_model("acme/tiny", COMMIT, env=env) / "tokenizer.json").unlink()
    hub.requests.clear()
    assert refuse("acme/tiny", env | {variable: "1"}) == (
        f"acme/tiny at {SHORT} is not complete in {tmp_path}/hf/hub, and {variable} forbids to fetch it",
        f"unset {variable}   # or copy models--acme--tiny from a machine that has it",
    )
    assert hub.requests == []


def test_a_full_disk(env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fill)
    assert refuse("acme/tiny", env) == (
        f"acme/tiny at {SHORT} cannot be stored in {tmp_path}/hf/hub: No space left on device",
        f"df -h {tmp_path}/hf/hub   # HF_HOME moves the cache",
    )


def test_a_cache_that_cannot_be_written(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "hf").write_text("a file where the folder should be")
    assert refuse("acme/tiny", env) == (
        f"acme/tiny at {SHORT} cannot be stored in {tmp_path}/hf/hub: Not a directory",
        f"ls -ld {tmp_path}/hf/hub   # HF_HOME moves the cache",
    )


def test_a_file_of_the_wrong_length(hub: HubServer, env: dict[str, str], tmp_path: Path) -> None:
    size = len(TINY["model.safetensors"])

    def lie(_request: Request, answer: Answer) -> Answer:
        told = {"X-Linked-Size": str(size + 1)} if "X-Linked-Size" in answer.headers else {}
        return replace(answer, headers={**answer.headers, **told})

    hub.fault = lie
    assert refuse("acme/tiny", env) == (
        f"acme/tiny at {SHORT} could not be fetched: "
        f"file should be of size {size + 1} but has size {size} (model.safetensors)",
        AGAIN,
    )
    assert list((tmp_path / "hf").rglob("*.incomplete")) == []


def test_a_shard_that_is_not_there(hub: HubServer, env: dict[str, str]) -> None:
    assert refuse("acme/sharded", env) == (
        f"acme/sharded at {SHORT} lacks model-00002-of-00002.safetensors, "
        "which model.safetensors.index.json names",
        f"compare with {hub.url}/acme/sharded/tree/{COMMIT}",
    )


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_pointer_in_place_of_a_file(env: dict[str, str], tmp_path: Path, tiny: Path, name: str) -> None:
    (tiny / name).write_bytes(build_pointer("0" * 64, 4_000_000_000))
    with HubServer({"acme/tiny": tiny}) as hub:
        assert refuse("acme/tiny", env | {"HF_ENDPOINT": hub.url}) == (
            f"acme/tiny at {SHORT}: {name} is a Git LFS pointer in place of the file",
            f"rm -r {tmp_path}/hf/hub/models--acme--tiny   # then fetch it from another HF_ENDPOINT",
        )


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"model.safetensors": b"x"}, "holds no config.json"),
        (
            {"config.json": b"{}", "pytorch_model.bin": b"x"},
            "holds no *.safetensors, and pickles are never loaded",
        ),
        (
            {"config.json": b"{}", "other.safetensors": b"x", "model.safetensors.index.json": INDEX},
            "lacks model-00001-of-00002.safetensors and 1 more, which model.safetensors.index.json names",
        ),
    ],
)
def test_a_repository_that_is_no_model(
    env: dict[str, str], tmp_path: Path, files: dict[str, bytes], problem: str
) -> None:
    with HubServer({"acme/odd": make_folder(tmp_path / "odd", files)}) as hub:
        assert refuse("acme/odd", env | {"HF_ENDPOINT": hub.url}) == (
            f"acme/odd at {SHORT} {problem}",
            f"compare with {hub.url}/acme/odd/tree/{COMMIT}",
        )


def test_an_index_that_is_none(env: dict[str, str], tmp_path: Path) -> None:
    files = SHARDED | {"model.safetensors.index.json": b'{"weight_map": ["a"]}'}
    with HubServer({"acme/odd": make_folder(tmp_path / "odd", files)}) as hub:
        assert refuse("acme/odd", env | {"HF_ENDPOINT": hub.url}) == (
            f"acme/odd at {SHORT}: model.safetensors.index.json is no index of shards: "
            "Expected `object`, got `array` - at `$.weight_map`",
            f"rm -r {tmp_path}/hf/hub/models--acme--odd   # then run the same command again",
        )
