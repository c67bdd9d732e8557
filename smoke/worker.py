"""Lets models read pages in a stack's interpreter: `python -I worker.py REQUEST.json RESPONSE.json`.

Imports torch and transformers once, then gives each job a process of its own. It needs nothing from the
tool: the standard library, torch, transformers, PIL and the files beside it.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Under `-I`, and inside an installed wheel, the folder of this file is not importable by name. It is made the
# package `smoke` by itself, so that nothing that lies beside it becomes importable in the stack.
if "smoke" not in sys.modules:
    _FOLDER = Path(__file__).resolve().parent
    _SPEC = importlib.util.spec_from_file_location(
        "smoke", _FOLDER / "__init__.py", submodule_search_locations=[str(_FOLDER)]
    )
    if _SPEC is None or _SPEC.loader is None:
        raise ImportError(f"{_FOLDER} holds no package")
    sys.modules["smoke"] = importlib.util.module_from_spec(_SPEC)
    _SPEC.loader.exec_module(sys.modules["smoke"])

from smoke.child import end_with_parent, leave, run_in_child
from smoke.contract import (
    SCHEMA,
    RequestError,
    describe_fault,
    parse_request,
    save_json,
)

_EXIT_USAGE = 2


def main(arguments: list[str]) -> int:
    """Answer the request. 0 when a response was written, 2 when it says that the request makes no sense."""
    if len(arguments) != 2:
        print("usage: worker.py REQUEST.json RESPONSE.json", file=sys.stderr)
        return _EXIT_USAGE
    # Whoever ends the worker ends its jobs: they have process groups of their own.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    end_with_parent(signal.SIGTERM)
    request_path, response_path = (Path(argument).resolve() for argument in arguments)
    response: dict[str, Any] = {"schema": SCHEMA, "versions": None, "import_s": None, "results": []}
    try:
        request = parse_request(request_path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RequestError) as error:
        save_json(response_path, response | {"fault": describe_fault(error)})
        return _EXIT_USAGE
    try:
        response |= import_stack()
    except Exception as error:
        save_json(response_path, response | {"fault": describe_fault(error)})
        return 0
    with tempfile.TemporaryDirectory(dir=response_path.parent, prefix="jobs-") as folder:
        for index, job in enumerate(request.jobs):
            result = run_in_child(job, threads=request.threads, stem=Path(folder, f"job-{index}"))
            response["results"].append(result)
    response["versions"]["arch_list"] = list_architectures()
    save_json(response_path, response)
    return 0


def import_stack() -> dict[str, Any]:
    """Import what every job needs and say which versions came, and how many seconds it took.

    CUDA is not touched: a process that has initialised it cannot hand it on to the ones that it forks.
    """
    # Some import asks whether there is a GPU; through NVML the answer leaves CUDA alone.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    # Its notes about itself are nobody's last words.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # Threads that wait by spinning starve each other on a busy machine: seen here with two cores under load,
    # a tiny model gave 13 tokens/s, and 568 with threads that sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    start = time.perf_counter()
    import torch
    import transformers

    # transformers imports lazily, and what lies behind these two names is most of its import.
    from transformers import AutoModelForImageTextToText, AutoProcessor  # noqa: F401

    import_s = time.perf_counter() - start
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "torchvision": _find_version("torchvision"),
        "cuda": torch.version.cuda,
    }
    return {"versions": versions, "import_s": import_s}


def list_architectures() -> list[str]:
    """What this torch was compiled for, such as sm_90, whether or not a GPU is there.

    To be asked after the last fork: torch 2.11 then holds CUDA for initialised (seen on an H200), and every
    job forked later refuses to use it.
    """
    import torch

    return (getattr(torch._C, "_cuda_getArchFlags", str)() or "").split()


def _find_version(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
