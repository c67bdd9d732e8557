"""The environment that a stack's code sees: what it needs to run, and nothing that opens a door."""

from __future__ import annotations

import re
from collections.abc import Mapping

# What programs need to find their libraries, their folders and their devices. All else stays outside, since
# nobody can list the names under which people keep secrets.
_KEPT = frozenset(
    """
    PATH HOME USER LOGNAME LANG LANGUAGE TZ TERM TMPDIR TEMP TMP LD_LIBRARY_PATH
    HF_HOME HF_HUB_CACHE HF_MODULES_CACHE
    SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC PATHEXT PROGRAMDATA PROGRAMFILES USERPROFILE HOMEDRIVE HOMEPATH
    APPDATA LOCALAPPDATA NUMBER_OF_PROCESSORS PROCESSOR_ARCHITECTURE
    """.split()  # noqa: SIM905 - words, not a list of forty lines
)
_KEPT_PREFIXES = (
    *("LC_", "XDG_"),
    *("CUDA_", "NVIDIA_", "NCCL_", "CUBLAS_", "CUDNN_"),
    *("HIP_", "HSA_", "ROCR_", "ROCM_", "ZE_", "ONEAPI_", "SYCL_"),
    *("TORCH_", "PYTORCH_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_"),
)
# Also among the names above, in case somebody has a CUDA_LICENCE_KEY.
_SECRET_NAME = re.compile(
    r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|AUTH|(API|ACCESS|PRIVATE)?KEY)(_|$)",
    re.IGNORECASE,
)
_URL_WITH_CREDENTIALS = re.compile(r"://[^/\s@]*@")

# No network, no telemetry, no tokens from the disk, no threads behind a fork.
_SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONNOUSERSITE": "1",
}


def build_worker_env(env: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that runs a stack's code, which may be a model's own.

    Of `env` it keeps what is named above, without tokens, keys and URLs that hold credentials. Python's own
    variables are left out: a PYTHONPATH of the user's would put foreign packages into the stack.
    """
    kept = {name: value for name, value in env.items() if is_kept(name) and not is_secret(name, value)}
    return kept | _SETTINGS


def is_kept(name: str) -> bool:
    """Whether a variable belongs to what programs need. Windows does not tell case apart."""
    upper = name.upper()
    return upper in _KEPT or upper.startswith(_KEPT_PREFIXES)


def is_secret(name: str, value: str) -> bool:
    """Whether a variable is named like a secret or holds a URL with credentials."""
    return bool(_SECRET_NAME.search(name) or _URL_WITH_CREDENTIALS.search(value))
