"""What the files of torch and of its neighbours say about CUDA, without importing any of them."""

from __future__ import annotations

import json
import mmap
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from provision.model.environment import InstalledDistribution, LibraryFolder, TorchFiles
from provision.system.environment_layout import list_names, load_lenient

_ASSIGNMENT = re.compile(r"^(\w{1,40})\s*(?::[^='\"\n]{0,80})?=\s*['\"]([^'\"\n]{1,80})['\"]", re.MULTILINE)
# `torch.cuda.get_arch_list` splits a string that is compiled into this library: read out of the wheels of
# torch 2.7.0 to 2.15.0, 2026-11-21. In 32 MB three to eight places begin like it, so finding it takes 40 ms.
_ARCHITECTURE_LIBRARIES = ("libtorch_python.so", "torch_python.dll")
_ONE = rb"(?:sm_\d{2,3}[af]?|compute_\d{2,3}[af]?|gfx[0-9a-f]{3,4}(?:-generic)?)"
_ARCHITECTURES = re.compile(rb"\0(" + _ONE + rb"(?: " + _ONE + rb"){0,40})\0")
_CUDA_STARTS = (b"\0sm_", b"\0compute_")
_HIP_STARTS = (b"\0gfx",)
_CUDA_LIBRARY = re.compile(
    r"^(?:lib)?(?:cudart|cublas|cublasLt|cudnn\w{0,40}|nvJitLink|cusparse|cusparseLt|cusolver|cufft|curand|nccl"
    r"|nvrtc|nvshmem\w{0,20}|cupti|cufile)(?:64)?(?:\.so[.\d]{0,30}|_\d{1,3}(?:_\d)?\.dll)$"
)
_BNB = re.compile(r"libbitsandbytes_cuda(\d{3})\.(?:so|dll)$")


def inspect_torch(site_dirs: Iterable[Path]) -> TorchFiles | None:
    """The torch that an import finds first; None when there is none."""
    for site in site_dirs:
        text = load_lenient(site / "torch" / "version.py")
        if text is not None:
            said = _parse_assignments(text)
            starts = _CUDA_STARTS if "cuda" in said else _HIP_STARTS if "hip" in said else ()
            return TorchFiles(
                version=said.get("__version__"),
                cuda=said.get("cuda"),
                hip=said.get("hip"),
                xpu=said.get("xpu"),
                architectures=_find_architectures(site / "torch" / "lib", starts),
            )
    return None


def _parse_assignments(text: str) -> dict[str, str]:
    """Names that a module sets to a text. A later one counts."""
    return {match[1]: match[2] for match in _ASSIGNMENT.finditer(text)}


def _find_architectures(library_dir: Path, starts: tuple[bytes, ...]) -> tuple[str, ...] | None:
    for name in _ARCHITECTURE_LIBRARIES if starts else ():
        try:
            with (library_dir / name).open("rb") as stream:
                return _search_architectures(stream.fileno(), starts)
        except (OSError, ValueError):
            continue
    return None


def _search_architectures(descriptor: int, starts: tuple[bytes, ...]) -> tuple[str, ...] | None:
    """Raises OSError or ValueError when the file cannot be mapped."""
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
        for start in starts:
            position = data.find(start)
            while position >= 0:
                match = _ARCHITECTURES.match(data, position)
                if match:
                    return tuple(match[1].decode("ascii").split())
                position = data.find(start, position + 1)
    return None


def load_build(distribution: InstalledDistribution, paths: Iterable[str]) -> dict[str, str]:
    """What the files of a distribution say of how it was built; {} where they do not say.

    The keys are those of `InstalledDistribution.build`; `paths` are what its RECORD lists.
    """
    site = Path(distribution.site_dir)
    match distribution.name:
        case "torchvision" | "torchaudio":
            said = _parse_assignments(load_lenient(site / distribution.name / "version.py") or "")
            return {"version": said["__version__"]} if "__version__" in said else {}
        case "xformers":
            return _load_xformers(site)
        case "onnxruntime-gpu":
            return _load_cuda(site / "onnxruntime" / "capi" / "build_and_package_info.py")
        case "paddlepaddle-gpu":
            return _load_cuda(site / "paddle" / "version" / "__init__.py")
        case "bitsandbytes":
            versions = sorted({match[1] for path in paths if (match := _BNB.search(path))})
            return {"cuda_libraries": " ".join(f"{v[:2]}.{v[2:]}" for v in versions)} if versions else {}
    return {}


def _load_cuda(path: Path) -> dict[str, str]:
    cuda = _parse_assignments(load_lenient(path) or "").get("cuda_version", "")
    return {"cuda": cuda} if re.fullmatch(r"\d{1,2}(\.\d{1,2}){0,2}", cuda) else {}


def _load_xformers(site: Path) -> dict[str, str]:
    """xformers writes its CUDA as 1208 for 12.8."""
    try:
        about = json.loads(load_lenient(site / "xformers" / "cpp_lib.json") or "{}")["version"]
        cuda, torch = about["cuda"], about["torch"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    said = {"torch": torch} if isinstance(torch, str) else {}
    return said | {"cuda": f"{cuda // 100}.{cuda % 100}"} if isinstance(cuda, int) else said


def is_cuda_library(name: str) -> bool:
    """Whether a file's name is that of a CUDA library that torch or its neighbours load."""
    return _CUDA_LIBRARY.match(name) is not None


def find_library_folders(env: Mapping[str, str], prefix: Path) -> list[LibraryFolder]:
    """The folders that LD_LIBRARY_PATH names outside of `prefix` and that hold CUDA libraries."""
    found = []
    own = os.path.realpath(prefix) + os.sep
    for part in dict.fromkeys(env.get("LD_LIBRARY_PATH", "").split(os.pathsep)):
        if not part or "\0" in part or (os.path.realpath(part) + os.sep).startswith(own):
            continue
        names = [name for name in list_names(Path(part)) if is_cuda_library(name)]
        # `libcudart.so` is for the linker; what programs ask for has a number.
        libraries = {name: _find_version(part, name) for name in names if not name.endswith(".so")}
        if libraries:
            found.append(LibraryFolder(variable="LD_LIBRARY_PATH", path=part, libraries=libraries))
    return found


def _find_version(folder: str, name: str) -> str | None:
    """`12.4.127` for a `libnvJitLink.so.12` that links to `libnvJitLink.so.12.4.127`."""
    real = os.path.basename(os.path.realpath(os.path.join(folder, name)))  # noqa: PTH118, PTH119 - plain strings
    _, _, version = real.partition(".so.")
    return version if version.count(".") else None
