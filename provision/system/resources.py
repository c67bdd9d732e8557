"""The data that ships with the tool: profiles, the catalogue, the worker, the embedded models."""

from __future__ import annotations

from pathlib import Path

import provision
from provision.errors import BadFileError

# Files in `profiles/` that are not a profile.
_MOST_BYTES = 64 * 2**20
_OTHER_FILES = {"models", "torch", "gpus", "drivers", "failures", "pci_ids", "bad_pairs", "flash_attn"}


def find_data_dir() -> Path:
    """The folder that holds `profiles/` and `smoke/`: inside the wheel, or the checkout's root."""
    package = Path(provision.__file__).resolve().parent
    installed = package / "_data"
    return installed if installed.is_dir() else package.parent


def load_profile_texts(folder: Path) -> list[tuple[Path, str]]:
    """(path, text) of every profile in `folder`, sorted. Raises BadFileError when one cannot be read."""
    if not folder.is_dir():
        raise BadFileError(f"{folder}: no such folder of profiles", hint=f"mkdir {folder}")
    paths = sorted(folder.glob("*.yaml"))
    return [(path, load_text(path)) for path in paths if path.stem not in _OTHER_FILES]


def load_text(path: Path) -> str:
    """The text of a UTF-8 file of at most 64 MiB. Raises BadFileError with the reason."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise BadFileError(f"{path}: larger than {_MOST_BYTES >> 20} MiB", hint=f"ls -l {path}")
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadFileError(f"{path}: not UTF-8 at byte {error.start}", hint=f"file {path}") from error
    except OSError as error:
        raise BadFileError(f"{path}: {error.strerror or error}", hint=f"ls -l {path}") from error


def find_worker(data_dir: Path) -> Path:
    """The worker that a stack's interpreter runs."""
    return data_dir / "smoke" / "worker.py"


def has_family(data_dir: Path, family: str) -> bool:
    """Whether the worker has a module for models of `family`."""
    return (data_dir / "smoke" / "families" / f"{family}.py").is_file()


def find_imports(data_dir: Path) -> Path:
    """The script that imports what a stack holds, in its interpreter."""
    return data_dir / "smoke" / "imports.py"


def find_embedded_model(data_dir: Path, name: str) -> Path:
    """The folder of an embedded model. Raises BadFileError when it is not there."""
    folder = data_dir / "smoke" / "embedded" / name
    if not (folder / "config.json").is_file():
        raise BadFileError(
            f"{folder}: the embedded model is missing", hint="reinstall provision: ./install.sh"
        )
    return folder
