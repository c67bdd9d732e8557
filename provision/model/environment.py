"""What a Python environment holds, as its own files tell it, and what is known about versions that clash."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from provision.model.profile import EvidenceStatus


class EnvironmentKind(StrEnum):
    """How an environment came to be; `none` when the folder holds no Python environment."""

    VENV = "venv"
    CONDA = "conda"
    PREFIX = "prefix"
    NONE = "none"


class FaultKind(StrEnum):
    """What is wrong with a file that a RECORD lists."""

    MISSING = "missing"
    SIZE = "size"
    HASH = "hash"
    UNREADABLE = "unreadable"


class FileFault(Struct, frozen=True, kw_only=True):
    """One file that is not as its RECORD lists it. `path` is relative to site-packages, as RECORD has it."""

    path: str
    kind: FaultKind


class InstalledDistribution(Struct, frozen=True, kw_only=True):
    """One distribution as its `.dist-info` (or `.egg-info`) describes it.

    `name` is normalised (PEP 503); `version` as METADATA has it, else as the folder's name has it; None when
    neither tells; `has_metadata` is False when there is none. `site_dir` is the site-packages folder that holds
    `info_name`. `requires` are the lines of Requires-Dist. `listed` is how many files RECORD lists, None when
    there is no RECORD; an installation by another program than a Python installer may have none. `faults` are
    the files that are not as listed, at most `MAX_FAULTS` of `fault_count`. `module_missing` means that none of
    the listed files outside of the `.dist-info` folder exists. `build` is what its own files say of how it was
    built: `version` with the local label that METADATA may lack, `cuda`, `torch`, and `cuda_libraries`, the
    CUDA versions that it has code for.
    """

    name: str
    version: str | None
    site_dir: str
    info_name: str
    installer: str | None = None
    editable: bool = False
    requires: tuple[str, ...] = ()
    has_metadata: bool = True
    listed: int | None = None
    faults: tuple[FileFault, ...] = ()
    fault_count: int = 0
    module_missing: bool = False
    build: dict[str, str] = {}


MAX_FAULTS = 20
# These keep their own lists of files, so a distribution of theirs needs no RECORD, and its RECORD binds nobody.
OTHER_INSTALLERS = frozenset({"conda", "debian", "apt", "dpkg", "rpm", "dnf", "portage", "nix"})


class Overwrite(Struct, frozen=True, kw_only=True):
    """Files that two distributions both list with different content: the later one replaced them.

    `path` is the first of `count`.
    """

    names: tuple[str, str]
    path: str
    count: int


class PathFile(Struct, frozen=True, kw_only=True):
    """A `.pth` file. `folders` are those that it adds and that exist, absolute; `imports` that it runs code."""

    name: str
    site_dir: str
    folders: tuple[str, ...] = ()
    imports: bool = False


class Interpreter(Struct, frozen=True, kw_only=True):
    """The environment's python and what `pyvenv.cfg` says of the one that it is based on.

    `exists` is False for a dangling link too. `version` is what pyvenv.cfg names, `minor` the `3.12` that the
    folder of site-packages names; `home_exists` is None when there is no pyvenv.cfg. `base_version` is the
    version of the interpreter that `home` holds now, read from its headers; None where that is not told.
    """

    path: str
    exists: bool
    version: str | None = None
    minor: str | None = None
    home: str | None = None
    home_exists: bool | None = None
    base_version: str | None = None
    system_site_packages: bool = False


class TorchFiles(Struct, frozen=True, kw_only=True):
    """What torch's files say without importing it.

    `version`, `cuda`, `hip` and `xpu` are from torch/version.py. `architectures` is the list that
    `torch.cuda.get_arch_list` would give: `sm_90` is native code, `compute_120` is PTX; None when no library
    holds one, as on the CPU.
    """

    version: str | None
    cuda: str | None = None
    hip: str | None = None
    xpu: str | None = None
    architectures: tuple[str, ...] | None = None


class LibraryFolder(Struct, frozen=True, kw_only=True):
    """A folder that `variable` names, and the CUDA libraries in it: `libnvJitLink.so.12` by its full version.

    The version is that of the file which the name links to, None when that does not say.
    """

    variable: str
    path: str
    libraries: dict[str, str | None]


class Shadow(Struct, frozen=True, kw_only=True):
    """A module that is found at `path` before the one that `name` installed in a later folder."""

    name: str
    path: str


class EnvironmentReport(Struct, frozen=True, kw_only=True):
    """Everything that the checks of one environment look at.

    `prefix` is the folder that was named. `problem` says why nothing could be read, None when it could.
    `site_dirs` in the order of import. `leftovers` are broken folders such as `~orch`, relative to the prefix.
    `managed` is True for a stack that this tool built. `libraries` are the names of the CUDA libraries that the
    wheels bring. `verified` says that SHA-256 of each file was compared, not only its size.
    """

    prefix: str
    kind: EnvironmentKind
    problem: str | None = None
    interpreter: Interpreter | None = None
    site_dirs: tuple[str, ...] = ()
    distributions: tuple[InstalledDistribution, ...] = ()
    leftovers: tuple[str, ...] = ()
    overwrites: tuple[Overwrite, ...] = ()
    shadows: tuple[Shadow, ...] = ()
    path_files: tuple[PathFile, ...] = ()
    user_site_dir: str | None = None
    user_site_packages: tuple[str, ...] = ()
    torch: TorchFiles | None = None
    libraries: tuple[str, ...] = ()
    library_folders: tuple[LibraryFolder, ...] = ()
    managed: bool = False
    files: int = 0
    verified: bool = False

    def get(self, name: str) -> InstalledDistribution | None:
        """The distribution that an import finds: the first called `name`, which is normalised."""
        return next((item for item in self.distributions if item.name == name), None)

    @property
    def versions(self) -> dict[str, str]:
        """What an import finds, by name, where its version is known."""
        return {item.name: item.version for item in reversed(self.distributions) if item.version is not None}


class PairCondition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On which machines a bad pair is bad; an empty field asks nothing.

    `systems` are `linux`, `windows`, `macos`; `capability` is a specifier on the compute capability of a GPU,
    such as ">=12".
    """

    systems: tuple[Literal["linux", "windows", "macos"], ...] = ()
    capability: str | None = None


class BadPair(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Versions that do not work together: bad when every one of `packages` is installed in its range.

    A range is a specifier of `packaging`, "" for any version. `what` is what happens, one clause; `cure` lists
    calls of `uv pip`, each by its arguments, such as `install` and `numpy<2`.
    """

    id: str
    packages: dict[str, str]
    when: PairCondition = PairCondition()
    severity: Literal["warn", "fail"]
    what: str
    cure: tuple[tuple[str, ...], ...]
    status: EvidenceStatus
    source: str
    date: str


class TorchPair(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The torchvision releases that work with one torch release, the one to choose first, and torchaudio."""

    torch: str
    torchvision: tuple[str, ...]
    torchaudio: str


class KnownPairs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `profiles/bad_pairs.yaml`."""

    schema: Literal[1]
    torch_pairs: tuple[TorchPair, ...]
    bad_pairs: tuple[BadPair, ...]
