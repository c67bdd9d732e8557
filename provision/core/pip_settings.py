"""What pip's configuration and environment say about sources: uv reads neither and must be told."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from provision.errors import BadFileError
from provision.model.packages import PackageSettings, Source, SourceKind

# pip's own order within one file: a command's section overrides the global one.
_SECTIONS = ("global", "install")
_KEYS = (
    "index-url",
    "extra-index-url",
    "find-links",
    "no-index",
    "cert",
    "client-cert",
    "proxy",
    "trusted-host",
    "default-timeout",
    "timeout",
)
_TRUE = {"y", "yes", "t", "true", "on", "1"}
# uv's variables for the same things; they stand above pip's since they were set for the tool that installs.
_UV_VARIABLES = {
    "UV_DEFAULT_INDEX": "index-url",
    "UV_INDEX_URL": "index-url",
    "UV_INDEX": "extra-index-url",
    "UV_EXTRA_INDEX_URL": "extra-index-url",
    "UV_FIND_LINKS": "find-links",
}


class _Value(NamedTuple):
    text: str
    origin: str


def parse_package_settings(
    files: Iterable[tuple[str, str]], environ: Mapping[str, str], *, base: str = ""
) -> PackageSettings:
    """Merge pip's files, lowest precedence first, with `PIP_*` and `UV_*` of `environ`.

    `files` holds (path, text). As with pip, a value replaces the same key of lower precedence as a whole.
    Relative paths are taken from `base`, the user's working folder, since uv runs in another.
    Raises BadFileError for a file that is no INI file, with its path and line.
    """
    values: dict[str, _Value] = {}
    for path, text in files:
        values |= _parse_file(path, text)
    values |= {
        key: _Value(environ[name], name)
        for key in _KEYS
        if environ.get(name := "PIP_" + key.upper().replace("-", "_"))
    }
    for name, key in reversed(_UV_VARIABLES.items()):
        if environ.get(name):
            values[key] = _Value(environ[name], name)
    return _build_settings(values, base, environ.get("HOME", "~"))


def _parse_file(path: str, text: str) -> dict[str, _Value]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text, source=path)
    except configparser.Error as error:
        reason = " ".join(str(error).split())
        raise BadFileError(
            f"{path}: not a pip configuration file: {reason}",
            hint="pip config debug   # shows every file that pip reads",
        ) from error
    found: dict[str, _Value] = {}
    for section in _SECTIONS:
        if parser.has_section(section):
            found |= {
                key.replace("_", "-"): _Value(value, path)
                for key, value in parser.items(section)
                if key.replace("_", "-") in _KEYS and value
            }
    return found


def _build_settings(values: Mapping[str, _Value], base: str, home: str) -> PackageSettings:
    no_index = "no-index" in values and values["no-index"].text.strip().lower() in _TRUE
    sources: list[Source] = []
    for key, kind in (
        ("index-url", SourceKind.INDEX),
        ("extra-index-url", SourceKind.EXTRA_INDEX),
        ("find-links", SourceKind.FIND_LINKS),
    ):
        if key in values and not (no_index and kind is not SourceKind.FIND_LINKS):
            value = values[key]
            locations = (_anchor(location, base, home) for location in value.text.split())
            sources += [build_source(kind, location, value.origin) for location in locations]
    timeout = values.get("timeout") or values.get("default-timeout")
    return PackageSettings(
        sources=tuple(sources),
        no_index=no_index,
        certificate=_path(values, "cert", base, home),
        client_certificate=_path(values, "client-cert", base, home),
        proxy=_text(values, "proxy"),
        trusted_hosts=tuple(values["trusted-host"].text.split()) if "trusted-host" in values else (),
        timeout_s=float(timeout.text) if timeout and _is_number(timeout.text) else None,
    )


def build_source(kind: SourceKind, location: str, origin: str) -> Source:
    """A source whose label is safe to show: credentials and query are taken out of a URL.

    uv writes an index as `name=URL`; the name is of no use here.
    """
    bare = re.sub(r"^[A-Za-z0-9._-]+=(?=[a-z]+://)", "", location)
    return Source(kind=kind, location=bare, origin=origin, label=build_label(bare))


def build_label(location: str) -> str:
    """`location` without user name, password, query and fragment."""
    parts = urlsplit(location)
    if not parts.scheme or len(parts.scheme) == 1:  # a plain path, or a Windows drive letter
        return location
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _text(values: Mapping[str, _Value], key: str) -> str | None:
    return values[key].text.strip() if key in values else None


def _path(values: Mapping[str, _Value], key: str, base: str, home: str) -> str | None:
    text = _text(values, key)
    return None if text is None else _anchor(text, base, home)


def _anchor(location: str, base: str, home: str) -> str:
    """A path as it is meant wherever uv runs; a URL, also one with uv's `name=` before it, as it is."""
    if "://" in location:
        return location
    expanded = home + location[1:] if location.startswith("~/") else location
    absolute = PurePosixPath(expanded).is_absolute() or PureWindowsPath(expanded).is_absolute()
    return expanded if absolute or not base else f"{base}/{expanded}"


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", text.strip()) is not None
