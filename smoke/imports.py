"""Imports distributions in a stack's interpreter and says what came: run as a script, names as arguments.

Only the standard library is imported before the packages that are asked about.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from importlib import metadata
from typing import Any


def find_modules(name: str) -> list[str]:
    """The modules and packages at the top of what the distribution installed, those with its own name first."""
    found = set()
    for path in metadata.files(name) or ():
        head, *rest = path.parts
        # A folder with a dot, such as pillow.libs, is none that can be imported.
        stem = head if rest else head.partition(".")[0]
        if stem.isidentifier() and stem != "__pycache__" and (rest or head.endswith((".py", ".so", ".pyd"))):
            found.add(stem)
    own = name.replace("-", "_").lower()
    return sorted(found, key=lambda module: (module.lower() != own, module.startswith("_"), module))


def try_import(name: str) -> dict[str, Any]:
    """Version and seconds of one import, or the error that ended it."""
    start = time.perf_counter()
    try:
        modules = find_modules(name)
        if modules:
            importlib.import_module(modules[0])
        version = metadata.version(name)
    except BaseException as error:
        return {"name": name, "error": f"{type(error).__name__}: {error}"}
    return {"name": name, "version": version, "import_s": time.perf_counter() - start}


def main() -> None:
    """Import every distribution that is named; torch says for which CUDA and devices it was built."""
    answer = os.dup(1)
    # What is imported may print.
    os.dup2(2, 1)
    report: dict[str, Any] = {"packages": [try_import(name) for name in sys.argv[1:]]}
    torch = sys.modules.get("torch")
    if torch is not None:
        report["cuda"] = torch.version.cuda
        report["hip"] = torch.version.hip
        # Not torch.cuda.get_arch_list, which is empty where no device is.
        flags = getattr(torch._C, "_cuda_getArchFlags", lambda: None)()
        report["architectures"] = (flags or "").split()
    os.write(answer, json.dumps(report).encode())


if __name__ == "__main__":
    main()
