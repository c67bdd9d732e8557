"""Computes what a torch must get right on its device: `python -I deep.py REQUEST.json RESPONSE.json`.

It needs the standard library, torch and the files beside it. The answer is written after every step, so that
one that crashes leaves what was known; whoever asked starts it again for the rest.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

# As in worker.py: this folder is made the package `smoke` by itself.
if "smoke" not in sys.modules:
    _FOLDER = Path(__file__).resolve().parent
    _SPEC = importlib.util.spec_from_file_location(
        "smoke", _FOLDER / "__init__.py", submodule_search_locations=[str(_FOLDER)]
    )
    if _SPEC is None or _SPEC.loader is None:
        raise ImportError(f"{_FOLDER} holds no package")
    sys.modules["smoke"] = importlib.util.module_from_spec(_SPEC)
    _SPEC.loader.exec_module(sys.modules["smoke"])

from smoke.child import leave
from smoke.contract import save_json

SCHEMA = 1
IMPORT = "deep.import"
# Importing torch from a cold disk takes minutes where computing takes a second.
_IMPORT_LIMIT_S = 180.0
_EXIT_USAGE = 2


def main(arguments: list[str]) -> int:
    """Answer the request: 0 when a response was written, 2 when the request makes no sense."""
    if len(arguments) != 2:
        print("usage: deep.py REQUEST.json RESPONSE.json", file=sys.stderr)
        return _EXIT_USAGE
    try:
        request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        wanted, device, limit_s = request["checks"], request["device"], float(request["check_timeout_s"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{arguments[0]}: {error!r}", file=sys.stderr)
        return _EXIT_USAGE
    record = _Record(Path(arguments[1]).resolve())
    record.begin(IMPORT, _IMPORT_LIMIT_S)
    try:
        import torch

        from smoke import deep_checks
    except Exception as error:
        record.end(IMPORT, {"outcome": "error", "detail": _describe(error)})
        record.finish()
        return 0
    version = f"torch {torch.__version__}, CUDA {torch.version.cuda or 'none'}"
    imported = {"outcome": "ok", "detail": version, "figures": {"torch": torch.__version__}}
    record.end(IMPORT, imported, kept=IMPORT in wanted)
    chosen = deep_checks.choose_device() if device == "auto" else device
    record.fields["device"] = chosen
    if chosen in deep_checks.NOT_COVERED:
        _skip_all(
            record, wanted, f"these checks know GPUs of NVIDIA and AMD and the CPU, not torch's {chosen}"
        )
        return 0
    usable = deep_checks.is_usable(chosen)
    for name in wanted:
        if name == IMPORT:
            continue
        record.begin(name, limit_s)
        if usable or name in deep_checks.EXPLAINING:
            record.end(name, _run_check(deep_checks, name, chosen))
        else:
            record.end(name, {"outcome": "skipped", "detail": f"{chosen} cannot be computed on"})
        if usable and not deep_checks.is_usable(chosen):
            # What comes next in this process would fail with the device, and say nothing of itself.
            return 0
    record.finish()
    return 0


def _skip_all(record: _Record, wanted: list[str], reason: str) -> None:
    for name in wanted:
        if name != IMPORT:
            record.begin(name, _IMPORT_LIMIT_S)
            record.end(name, {"outcome": "skipped", "detail": reason})
    record.finish()


def _run_check(deep_checks: Any, name: str, device: str) -> dict[str, Any]:
    check = deep_checks.CHECKS.get(name)
    if check is None:
        return {"outcome": "skipped", "detail": f"this worker knows no check {name}"}
    try:
        result: dict[str, Any] = check(device)
    except Exception as error:
        return {"outcome": "error", "detail": _describe(error)}
    return result


def _describe(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}"[:500]


class _Record:
    """The response so far, on disk at every step, and the alarm that ends a process which is stuck."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = 0.0
        self.fields: dict[str, Any] = {"schema": SCHEMA, "device": None, "results": [], "running": None}

    def begin(self, name: str, limit_s: float) -> None:
        """Note which check runs. After `limit_s` the process ends itself, wherever it hangs."""
        self._start = time.perf_counter()
        self.fields |= {"running": name, "done": False}
        save_json(self._path, self.fields)
        faulthandler.dump_traceback_later(limit_s, exit=True)

    def end(self, name: str, result: dict[str, Any], *, kept: bool = True) -> None:
        """Note what came of it."""
        faulthandler.cancel_dump_traceback_later()
        if kept:
            elapsed_s = time.perf_counter() - self._start
            self.fields["results"].append({"id": name, "elapsed_s": elapsed_s, **result})
        self.fields["running"] = None
        save_json(self._path, self.fields)

    def finish(self) -> None:
        """Nothing is left to do."""
        self.fields["done"] = True
        save_json(self._path, self.fields)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
