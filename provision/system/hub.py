"""Fetches a model's files from the Hugging Face Hub at one commit, into the Hub's own cache."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from provision.errors import DownloadError, UsageError

# Pickles are never fetched: loading one runs whatever it says.
_WANTED = ("*.json", "*.safetensors", "*.txt", "*.jinja", "*.model", "tokenizer*")
_REFUSED = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt", "*.h5", "*.msgpack", "*.onnx", "*.gguf")


def fetch_model(repo_id: str, revision: str, *, env: Mapping[str, str]) -> Path:
    """The folder of a snapshot of `repo_id` at the 40-hex `revision`, complete on disk.

    `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_HUB_OFFLINE` and the token hold as huggingface-hub reads
    them from the process's environment. Raises DownloadError with the reason and its cure.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    endpoint = env.get("HF_ENDPOINT", "the Hugging Face Hub")
    try:
        return Path(
            snapshot_download(
                repo_id, revision=revision, allow_patterns=list(_WANTED), ignore_patterns=list(_REFUSED)
            )
        )
    except GatedRepoError as error:
        raise DownloadError(
            f"{repo_id} is gated: its licence must be accepted on its page first", hint="hf auth login"
        ) from error
    except RevisionNotFoundError as error:
        raise DownloadError(
            f"{repo_id} has no revision {revision}",
            hint="compare with the model's page; it may have been rewritten",
        ) from error
    except RepositoryNotFoundError as error:
        raise DownloadError(
            f"{endpoint} has no {repo_id}, or it is private", hint="hf auth login   # if the model is private"
        ) from error
    except LocalEntryNotFoundError as error:
        raise DownloadError(
            f"{repo_id} is not in the cache and {endpoint} does not answer",
            hint="check the network, or name a mirror in HF_ENDPOINT",
        ) from error
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DownloadError(f"{repo_id} could not be fetched from {endpoint}: {reason}") from error
    except ValueError as error:
        raise UsageError(f"{repo_id} is no name of a model on the Hub: {error}") from error
