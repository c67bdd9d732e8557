"""The worker's side of the JSON that it shares with the tool: the request, and how answers are written."""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1
_TRACEBACK_CHARACTERS = 6000


class RequestError(ValueError):
    """The request is not what this worker understands; the message names the key."""


@dataclass(frozen=True)
class Page:
    """`lines` to draw on the grid, or the picture at `image_path` instead."""

    name: str
    lines: tuple[str, ...]
    image_path: str | None


@dataclass(frozen=True)
class Job:
    """One model to load and the pages that it reads; `time_limit_s` is for all of it."""

    model: str
    family: str
    model_dir: str
    device: str
    dtype: str
    attention: str
    prompt: str
    max_new_tokens: int
    trust_remote_code: bool
    time_limit_s: float
    pages: tuple[Page, ...]


@dataclass(frozen=True)
class Request:
    """All jobs of one stack. `threads` is for torch on the CPU, None leaves its own choice."""

    threads: int | None
    jobs: tuple[Job, ...]


def parse_request(text: str) -> Request:
    """Raises RequestError with the key path of the first thing that is wrong."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise RequestError(f"not JSON: {error}") from error
    schema = _take(document, "", "schema", int)
    if schema != SCHEMA:
        raise RequestError(f"schema: {schema} is not {SCHEMA}, the worker and the tool are of two versions")
    jobs = _take(document, "", "jobs", list)
    return Request(
        threads=_take(document, "", "threads", int, type(None)),
        jobs=tuple(_parse_job(job, f"jobs[{index}]") for index, job in enumerate(jobs)),
    )


def _parse_job(source: object, where: str) -> Job:
    pages = _take(source, where, "pages", list)
    texts = ("model", "family", "model_dir", "device", "dtype", "attention", "prompt")
    return Job(
        **{key: _take(source, where, key, str) for key in texts},
        max_new_tokens=_take(source, where, "max_new_tokens", int),
        trust_remote_code=_take(source, where, "trust_remote_code", bool),
        time_limit_s=_take(source, where, "time_limit_s", int, float),
        pages=tuple(_parse_page(page, f"{where}.pages[{index}]") for index, page in enumerate(pages)),
    )


def _parse_page(source: object, where: str) -> Page:
    lines = _take(source, where, "lines", list)
    if not all(type(line) is str for line in lines):
        raise RequestError(f"{where}.lines: not a list of texts")
    return Page(
        name=_take(source, where, "name", str),
        lines=tuple(lines),
        image_path=_take(source, where, "image_path", str, type(None)),
    )


def _take(source: object, where: str, key: str, *kinds: type) -> Any:
    """`source[key]`, which must be of exactly one of `kinds`: True is no number."""
    path = f"{where}.{key}".lstrip(".")
    if not isinstance(source, dict):
        raise RequestError(f"{where or 'the request'}: not an object but {type(source).__name__}")
    if key not in source and type(None) not in kinds:
        raise RequestError(f"{path}: missing")
    value = source.get(key)
    if type(value) not in kinds:
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise RequestError(f"{path}: {type(value).__name__} instead of {wanted}")
    return value


def describe_fault(error: BaseException) -> dict[str, str]:
    """Class, message and the end of the traceback, as the answer carries them."""
    lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {"type": type(error).__name__, "message": str(error), "traceback": lines[-_TRACEBACK_CHARACTERS:]}


def save_json(path: Path, document: dict[str, Any]) -> None:
    """Write whole or not at all: a reader never meets half a file. Finite numbers only."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
    temporary.replace(path)


def load_json(path: Path) -> dict[str, Any]:
    """What `save_json` wrote, {} when it never did."""
    if not path.exists():
        return {}
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
