"""Fetches a model's files from the Hugging Face Hub at one commit, into the Hub's own cache."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from json import JSONDecodeError
from pathlib import Path
from string import Template
from typing import Any

from msgspec import DecodeError, Struct
from msgspec.json import decode

from provision.errors import DownloadError, UsageError

# Weights, configuration, tokenizer and chat template. Pickles run whatever they say when they are loaded, and
# Python files are code: neither is ever asked for.
_WANTED = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken")
_INDEX_NAME = "model.safetensors.index.json"
_POINTER_START = b"version https://git-lfs.github.com/spec/v1"
_POINTER_MAX_BYTES = 1024  # https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md

_FIRST_ANSWER_TIMEOUT_S = 10.0
# What huggingface-hub itself waits for and asks again.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_AGAIN = "run the same command again: files that are complete are kept"
# Where the CDN does not tell the file's name, the library shows the end of its address: signatures and all.
_LENGTHS = re.compile(r"of size (?P<expected>\d+) but has size (?P<received>\d+) \((?:(?P<name>[\w.-]+)\))?")
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What to fetch, and how the user's environment says to. `offline_by` names the variable that forbids it.

    A dataclass for `repr=False`: the token must not show where this is printed. None leaves the search for a
    login to huggingface-hub, which also renews it; False sends none.
    """

    repo_id: str
    revision: str
    cache_dir: Path
    endpoint: str
    token: str | bool | None = field(repr=False)
    offline_by: str | None

    @property
    def name(self) -> str:
        return f"{self.repo_id} at {self.revision[:12]}"

    @property
    def hub(self) -> str:
        """The endpoint as it may be shown: without a user's name and password."""
        scheme, separator, rest = self.endpoint.rpartition("://")
        host, slash, path = rest.partition("/")
        return scheme + separator + host.rpartition("@")[2] + slash + path

    @property
    def page(self) -> str:
        return f"{self.hub}/{self.repo_id}"

    @property
    def cached_dir(self) -> Path:
        return self.cache_dir / f"models--{self.repo_id.replace('/', '--')}"


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
    wanted = _read_environment(repo_id, revision, env)
    folder = _fetch_snapshot(wanted, quiet=not (env.get("HF_HUB_VERBOSITY") or _is_true(env.get("HF_DEBUG"))))
    _check_complete(folder, wanted)
    return folder


def _read_environment(repo_id: str, revision: str, env: Mapping[str, str]) -> _Wanted:
    """huggingface-hub reads these variables once, when it is imported; here they hold for each call."""
    home = env.get("HF_HOME") or f"{env.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    cache = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    token = (env.get("HF_TOKEN") or env.get("HUGGING_FACE_HUB_TOKEN") or "").strip()
    if not (token.isascii() and token.isprintable()):
        raise UsageError("HF_TOKEN holds characters that no token has", hint="unset HF_TOKEN")
    offline = (name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if _is_true(env.get(name)))
    return _Wanted(
        repo_id=repo_id,
        revision=revision,
        cache_dir=_expand(cache, env),
        endpoint=(env.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/"),
        token=False if _is_true(env.get("HF_HUB_DISABLE_IMPLICIT_TOKEN")) else token or None,
        offline_by=next(offline, None),
    )


def _is_true(value: str | None) -> bool:
    return (value or "").upper() in {"1", "ON", "YES", "TRUE"}


def _expand(path: str, env: Mapping[str, str]) -> Path:
    home = env.get("HOME") or env.get("USERPROFILE") or str(Path.home())
    expanded = Template(path).safe_substitute(env)
    return Path(home + expanded[1:] if expanded.startswith("~/") else expanded).absolute()


def _fetch_snapshot(wanted: _Wanted, *, quiet: bool) -> Path:
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
        raise _explain(error, wanted) from error


def _find_cached(wanted: _Wanted) -> Path | None:
    """The snapshot when all is there that its own listing names; None when that is not known."""
    from huggingface_hub import errors, get_cached_repo_tree

    try:
        get_cached_repo_tree(wanted.repo_id, revision=wanted.revision, cache_dir=wanted.cache_dir)
        return _run_download(wanted, local_files_only=True)
    except (errors.CachedRepoTreeNotFoundError, errors.LocalEntryNotFoundError):
        return None


def _check_access(wanted: _Wanted) -> None:
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


def _run_download(wanted: _Wanted, *, local_files_only: bool) -> Path:
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


def _explain(error: BaseException, wanted: _Wanted) -> DownloadError:
    """The user's sentence for what was raised: the library's own may quote logins and signed addresses."""
    import httpx2
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError) and wanted.offline_by is None:
        error = error.__cause__ or error  # it only adds that the cache cannot help either
    if isinstance(error, errors.LocalEntryNotFoundError) and wanted.offline_by is not None:
        message = f"{wanted.name} is not complete in {wanted.cache_dir}, and {wanted.offline_by} forbids to fetch it"
        hint = f"unset {wanted.offline_by}   # or copy {wanted.cached_dir.name} from a machine that has it"
    elif isinstance(error, errors.HfHubHTTPError):
        message, hint = _word_answer(error, wanted)
    elif isinstance(error, httpx2.HTTPError | httpx2.InvalidURL | JSONDecodeError | errors.FileMetadataError):
        message, hint = _word_connection(error, wanted)
    elif isinstance(error, OSError) and (error.errno in _NO_SPACE or error.filename is not None):
        message = f"{wanted.name} cannot be stored in {wanted.cache_dir}: {error.strerror}"
        command = "df -h" if error.errno in _NO_SPACE else "ls -ld"
        hint = f"{command} {wanted.cache_dir}   # HF_HOME moves the cache"
    elif isinstance(error, RuntimeError) or type(error).__module__ == "hf_xet":  # which raises both
        message = f"{wanted.name} could not be fetched: the transfer through Xet failed"
        hint = "HF_HUB_DISABLE_XET=1   # fetches by plain HTTP"
    else:
        lengths = _LENGTHS.search(str(error))
        reason = str(error).partition("\n")[0].rstrip(".")
        if lengths:
            file = lengths["name"] or "a file"
            reason = f"{file} should have {lengths['expected']} bytes and came with {lengths['received']}"
        message, hint = f"{wanted.name} could not be fetched: {reason}", _AGAIN
    return DownloadError(message, hint=hint)


def _word_answer(error: Any, wanted: _Wanted) -> tuple[str, str]:
    """Message and hint for an HfHubHTTPError: an answer with a status code that refuses."""
    from huggingface_hub import errors

    status, reason = error.response.status_code, error.response.reason_phrase
    if isinstance(error, errors.GatedRepoError) and status == 401:
        message = f"{wanted.repo_id} is gated: {wanted.hub} gives it to accounts that accepted its terms"
        hint = f"hf auth login   # and accept the terms at {wanted.page}"
    elif isinstance(error, errors.GatedRepoError):
        message = f"{wanted.repo_id} is gated, and this account has not been let in"
        hint = f"accept the terms at {wanted.page}, then run the same command again"
    elif isinstance(error, errors.RevisionNotFoundError):
        message = f"{wanted.repo_id} has no revision {wanted.revision}"
        hint = f"compare with {wanted.page}/commits/main: the history may have been rewritten"
    elif isinstance(error, errors.RepositoryNotFoundError):
        message = f"{wanted.hub} has no model {wanted.repo_id}, or it is private"
        hint = "hf auth login   # if it is private and this account may read it"
    elif status in (401, 403):
        message = f"{wanted.hub} refuses access to {wanted.repo_id}: {status} {reason}"
        hint = "hf auth whoami   # is the token valid, and may it read this model?"
    else:
        message = f"{wanted.name} could not be fetched: {error.response.url.host} answered {status} {reason}"
        hint = _AGAIN
    return message, hint


def _word_connection(error: Exception, wanted: _Wanted) -> tuple[str, str]:
    """Message and hint for a question that got no answer, not the whole of one, or one of somebody else."""
    import httpx2

    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return f"{wanted.hub} is no address of a Hub", "unset HF_ENDPOINT"
    if isinstance(error, httpx2.ConnectError | httpx2.ProxyError | httpx2.TimeoutException):
        message = f"{wanted.name} is not in the cache, and {wanted.hub} cannot be reached: {error}"
        return message, "check the network, HTTPS_PROXY and SSL_CERT_FILE, or name a mirror in HF_ENDPOINT"
    if isinstance(error, httpx2.TransportError):
        return f"{wanted.name} could not be fetched: the connection broke off", _AGAIN
    message = f"{wanted.hub} does not answer as a Hub does"
    return message, "check HF_ENDPOINT, and whether a proxy or the network's login page answers in its place"


def _check_complete(folder: Path, wanted: _Wanted) -> None:
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


def _list_shards(files: Mapping[str, Path], wanted: _Wanted) -> set[str]:
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
