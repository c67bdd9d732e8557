"""Small locks to render, compare and choose from."""

from __future__ import annotations

from provision.core.lock_text import parse_lock_text
from provision.model.lockfile import (
    ExpectedSmoke,
    LockDocument,
    LockedFile,
    LockedModel,
    LockedStack,
    Lockfile,
)
from provision.model.packages import StackLock, Wheel
from provision.model.smoke import Verdict

COMMIT = "895c3a49bc3fa70a340399125c650a463535e71c"
REQUIREMENTS = ("transformers==5.22.2", "pillow==13.0.0")


def make_lock(**versions: str) -> StackLock:
    """A lock of packages at versions, each with one hash that its name and version give."""
    named = versions or {"numpy": "2.4.6", "torch": "2.13.0+cu130", "transformers": "5.22.2"}
    text = "".join(
        f"{name}=={version} \\\n    --hash=sha256:{make_hash(name + version)}\n"
        for name, version in named.items()
    )
    return parse_lock_text(text, where="main.txt")


def make_hash(text: str) -> str:
    """64 hex digits that are easily told apart."""
    return text.encode().hex().ljust(64, "0")[:64]


def make_wheel(name: str, version: str, size_bytes: int | None = None) -> Wheel:
    """One wheel."""
    return Wheel(
        name=name, version=version, hashes=(f"sha256:{make_hash(name + version)}",), size_bytes=size_bytes
    )


def make_stack(
    lock: StackLock, *, name: str = "main", models: tuple[str, ...] = ("qwen_vl_2b",)
) -> LockedStack:
    """A stack for Blackwell."""
    return LockedStack(
        name=name,
        models=models,
        requirements=REQUIREMENTS,
        torch="2.13.0+cu130",
        tag="cu130",
        cuda="13.0",
        packages=len(lock.wheels),
        sha256=lock.sha256,
    )


def make_model(**changes: object) -> LockedModel:
    """A model of the Hub with a file, code of its own and a smoke."""
    fields: dict[str, object] = {
        "key": "qwen_vl_2b",
        "stack": "main",
        "repo_id": "Qwen/Qwen2-VL-2B-Instruct",
        "revision": COMMIT,
        "smoke": ExpectedSmoke(verdict=Verdict.PASS, dtype="bfloat16", attention="sdpa", cer=0.0),
        "files": (
            LockedFile(path="model.safetensors", size_bytes=7, sha256="1" * 64),
            LockedFile(path="config.json", size_bytes=3, sha256="2" * 64),
        ),
        "remote_code": (LockedFile(path="modeling.py", size_bytes=5, sha256="3" * 64),),
    }
    return LockedModel(**(fields | changes))  # type: ignore[arg-type]


def make_document(lock: StackLock | None = None, **changes: object) -> LockDocument:
    """`provision.lock` with one stack and one model."""
    own = lock or make_lock()
    fields: dict[str, object] = {
        "schema": 1,
        "profile": "blackwell",
        "platform": "linux-x86_64",
        "python": "3.12",
        "exclude_newer": "2026-11-14T00:00:00Z",
        "stacks": (make_stack(own),),
        "models": (make_model(),),
    }
    return LockDocument(lockfile=Lockfile(**(fields | changes)), locks={"main": own})  # type: ignore[arg-type]
