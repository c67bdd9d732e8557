"""A probe as JSON text: what `--save-probe` writes and `--probe` reads."""

from __future__ import annotations

import msgspec

from provision.errors import BadFileError
from provision.model.facts import PROBE_SCHEMA, Probe

_HINT = "provision detect --save-probe FILE"


class _Header(msgspec.Struct, frozen=True):
    schema: int


def parse_probe_json(text: str, where: str) -> Probe:
    """The probe that `render_probe_json` rendered.

    Raises BadFileError naming `where`, the key path and the reason, in one sentence.
    """
    try:
        schema = msgspec.json.decode(text, type=_Header).schema
        if schema != PROBE_SCHEMA:
            reason = f"schema: this version reads {PROBE_SCHEMA}, not {schema}"
            raise BadFileError(f"{where}: {reason}", hint=_HINT)
        return msgspec.json.decode(text, type=Probe)
    except msgspec.ValidationError as error:
        raise BadFileError(f"{where}: {_render_reason(error)}", hint=_HINT) from error
    except msgspec.DecodeError as error:
        raise BadFileError(f"{where}: this is no saved probe: {error}", hint=_HINT) from error
    except UnicodeError as error:
        raise BadFileError(f"{where}: this is no saved probe: it is not UTF-8", hint=_HINT) from error
    except RecursionError as error:
        raise BadFileError(f"{where}: this is no saved probe: it is nested too deeply", hint=_HINT) from error


def render_probe_json(probe: Probe) -> str:
    """JSON with two spaces of indentation and a newline at the end; the raw texts are strings in it."""
    return msgspec.json.format(msgspec.json.encode(probe), indent=2).decode() + "\n"


def _render_reason(error: msgspec.ValidationError) -> str:
    """`readings[0].outcome: Invalid enum value 'x'` from msgspec's `... - at `$.readings[0].outcome``."""
    reason, _, path = str(error).partition(" - at `$")
    key = path.rstrip("`").lstrip(".")
    return f"{key}: {reason}" if key else reason
