"""Fetches a model's files from the Hugging Face Hub at one commit, into the Hub's own cache."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from msgspec import DecodeError, Struct
from msgspec.json import decode

from provision.errors import DownloadError, UsageError
from provision.system.hub_errors import explain_hub_error
from provision.system.hub_request import HubRequest, is_true, read_hub_request

# Weights, configuration, tokenizer and chat template. Pickles run whatever they say when they are loaded, and
# Python files are code: neither is ever asked for.
_WANTED = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken")
_INDEX_NAME = "model.safetensors.index.json"
_POINTER_START = b"version https://git-lfs.github.com/spec/v1"
_POINTER_MAX_BYTES = 1024  # https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md

_FIRST_ANSWER_TIMEOUT_S = 10.0
# What huggingface-hub itself waits for and asks again.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})


class _Index(Struct):
    """`model.safetensors.index.json`: which shard holds which weight."""

    weight_map: dict[str, str]


def fetch_model(repo_id: str, revision: str, *, env: Mapping[str, str]) -> Path:
    """The folder of the snapshot of `repo_id` at the 40-hex `revision`, complete on disk.

    Nothing is asked of the network for a snapshot that the cache holds whole. `env` is honoured as
    huggingface-hub honours the process's: HF_HUB_CACHE, HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE.
    The Hub's redirect for a renamed model is followed: the commit says what is fetched, not the name.

    Raises DownloadError with the reason and its cure, UsageError for what can be no name or no token.
    """
    wanted = read_hub_request(repo_id, revision, env)
    folder = _fetch_snapshot(wanted, quiet=not (env.get("HF_HUB_VERBOSITY") or is_true(env.get("HF_DEBUG"))))
    _check_complete(folder, wanted)
    return folder


def _fetch_snapshot(wanted: HubRequest, *, quiet: bool) -> Path:
    """The snapshot's folder, as huggingface-hub gives it. Raises DownloadError or UsageError."""
    # huggingface-hub lets the errors of its HTTP library through: a connection that is lost in the middle of
    # a file is one. Both wait for their first use, since importing them takes longer than all else here.
    import httpx2
    from huggingface_hub import errors
    from huggingface_hub.utils import logging

    if quiet:
        # Its warnings quote addresses in full, with signatures; what matters of them comes as an error.
        logging.set_verbosity_error()
    try:
        if wanted.offline_by is not None:
            return _run_download(wanted, local_files_only=True)
        if (cached := _find_cached(wanted)) is not None:
            return cached
        _check_access(wanted)
        return _run_download(wanted, local_files_only=False)
    except errors.HFValidationError as error:
        raise UsageError(
            f"{wanted.repo_id} cannot be the name of a model on the Hub", hint="a name is OWNER/MODEL"
        ) from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, RuntimeError, ValueError) as error:
        raise explain_hub_error(error, wanted) from error


def _find_cached(wanted: HubRequest) -> Path | None:
    """The snapshot when all is there that its own listing names; None when that is not known."""
    from huggingface_hub import errors, get_cached_repo_tree

    try:
        get_cached_repo_tree(wanted.repo_id, revision=wanted.revision, cache_dir=wanted.cache_dir)
        return _run_download(wanted, local_files_only=True)
    except (errors.CachedRepoTreeNotFoundError, errors.LocalEntryNotFoundError):
        return None


def _check_access(wanted: HubRequest) -> None:
    """One question, asked once: what no patience cures is then known at once.

    Left to itself the library asks an endpoint that is not there six times, in 23 s.
    """
    from huggingface_hub import HfApi, errors

    api = HfApi(endpoint=wanted.endpoint, token=wanted.token)
    try:
        api.model_info(wanted.repo_id, revision=wanted.revision, timeout=_FIRST_ANSWER_TIMEOUT_S)
    except errors.HfHubHTTPError as error:
        if error.response.status_code not in _PASSING:
            raise


def _run_download(wanted: HubRequest, *, local_files_only: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import tqdm

    folder = snapshot_download(
        wanted.repo_id,
        revision=wanted.revision,
        cache_dir=wanted.cache_dir,
        endpoint=wanted.endpoint,
        token=wanted.token,
        allow_patterns=list(_WANTED),
        local_files_only=local_files_only,
        # Not disable_progress_bars(): that gives way to HF_HUB_DISABLE_PROGRESS_BARS=0.
        tqdm_class=partial(tqdm, disable=True),
    )
    return Path(folder)


def _check_complete(folder: Path, wanted: HubRequest) -> None:
    """Whether a model can be loaded from `folder`. Raises DownloadError that names the file."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    where = f"compare with {wanted.page}/tree/{wanted.revision}"
    if "config.json" not in files:
        raise DownloadError(f"{wanted.name} holds no config.json", hint=where)
    for name, path in sorted(files.items()):
        if _is_pointer(path):
            raise DownloadError(
                f"{wanted.name}: {name} is a Git LFS pointer in place of the file",
                hint=f"rm -r {wanted.cached_dir}   # then fetch it from another HF_ENDPOINT",
            )
    weights = {name for name in files if name.endswith(".safetensors")}
    if not weights:
        raise DownloadError(f"{wanted.name} holds no *.safetensors, and pickles are never loaded", hint=where)
    missing = sorted(_list_shards(files, wanted) - weights)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DownloadError(f"{wanted.name} lacks {missing[0]}{more}, which {_INDEX_NAME} names", hint=where)


def _is_pointer(path: Path) -> bool:
    return path.stat().st_size <= _POINTER_MAX_BYTES and path.read_bytes().startswith(_POINTER_START)


def _list_shards(files: Mapping[str, Path], wanted: HubRequest) -> set[str]:
    """The files that the index names; none where the weights are in one file."""
    if _INDEX_NAME not in files:
        return set()
    try:
        return set(decode(files[_INDEX_NAME].read_bytes(), type=_Index).weight_map.values())
    except DecodeError as error:
        raise DownloadError(
            f"{wanted.name}: {_INDEX_NAME} is no index of shards: {error}",
            hint=f"rm -r {wanted.cached_dir}   # then run the same command again",
        ) from error
