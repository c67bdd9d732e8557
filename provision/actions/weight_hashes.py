"""Whether the content of a model's files is what its revision names: seconds for gigabytes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from provision.model.state import ModelRecord
from provision.system.files import hash_file, hash_folder

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")


def find_altered(model: ModelRecord) -> str | None:
    """What differs from the revision, in one sentence; None when nothing does."""
    try:
        altered = list_altered(model)
    except OSError as error:
        return f"{error.filename}: {error.strerror or error}"
    if not altered:
        return None
    if _SHA256.fullmatch(model.revision):
        return "its files are not those of its revision"
    return f"{altered[0].name} has not the content that the Hub named"


def list_altered(model: ModelRecord) -> tuple[Path, ...]:
    """The files that are not what the revision names; all of an embedded model's where one is not.

    Raises OSError for a file that cannot be read. An embedded model's revision is a hash over its folder. The
    Hub's cache names each file by the hash of its content: SHA-256 for large files, git's own for the others.
    """
    folder = Path(model.model_dir)
    if _SHA256.fullmatch(model.revision):
        whole = hash_folder(folder) == model.revision
        return () if whole else tuple(folder / name for name in sorted(model.files))
    blobs = ((folder / name, (folder / name).resolve()) for name in sorted(model.files))
    return tuple(path for path, blob in blobs if _hash_like(blob) not in (None, blob.name))


def _hash_like(blob: Path) -> str | None:
    """The hash of the kind that the blob's name is; None for a copy under another name."""
    if _SHA256.fullmatch(blob.name):
        return hash_file(blob)
    if _SHA1.fullmatch(blob.name):
        return hash_git_blob(blob)
    return None


def hash_git_blob(path: Path) -> str:
    """The SHA-1 that git gives to the file's content. https://git-scm.com/book/en/v2/Git-Internals-Git-Objects"""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
