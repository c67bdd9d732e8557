"""What the Hub and its library raise, as the one sentence and the hint that a user needs."""

from __future__ import annotations

import errno
import re
from json import JSONDecodeError
from typing import Any

from provision.errors import DownloadError
from provision.system.hub_request import HubRequest

_AGAIN = "run the same command again: files that are complete are kept"
# Where the CDN does not tell the file's name, the library shows the end of its address: signatures and all.
_LENGTHS = re.compile(r"of size (?P<expected>\d+) but has size (?P<received>\d+) \((?:(?P<name>[\w.-]+)\))?")
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def explain_hub_error(error: BaseException, wanted: HubRequest) -> DownloadError:
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


def _word_answer(error: Any, wanted: HubRequest) -> tuple[str, str]:
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


def _word_connection(error: Exception, wanted: HubRequest) -> tuple[str, str]:
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
