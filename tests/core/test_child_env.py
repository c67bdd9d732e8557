"""What of an environment reaches a stack's code."""

from __future__ import annotations

import pytest

from provision.core.child_env import build_worker_env

SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONNOUSERSITE": "1",
}


def test_an_empty_environment_gets_the_settings():
    assert build_worker_env({}) == SETTINGS


def test_what_programs_need_is_kept():
    needed = {
        "PATH": "/usr/bin",
        "HOME": "/home/ada",
        "TMPDIR": "/scratch",
        "LANG": "de_DE.UTF-8",
        "LC_ALL": "C",
        "LD_LIBRARY_PATH": "/usr/lib/wsl/lib",
        "CUDA_VISIBLE_DEVICES": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "NVIDIA_VISIBLE_DEVICES": "all",
        "OMP_NUM_THREADS": "4",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "HF_HOME": "/data/hf",
        "HF_HUB_CACHE": "/data/hub",
        "SystemRoot": "C:\\Windows",
        "USERPROFILE": "C:\\Users\\ada",
    }
    assert build_worker_env(needed) == needed | SETTINGS


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HF_TOKEN_PATH",
        "GITHUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "OPENAI_API_KEY",
        "MY_COMPANY_PASSWORD",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "SSH_AUTH_SOCK",
        "KRB5CCNAME",
        "PIP_INDEX_URL",
        "UV_DEFAULT_INDEX",
        "HTTPS_PROXY",
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "VIRTUAL_ENV",
        "LD_PRELOAD",
        "SOMETHING_NOBODY_HEARD_OF",
        "CUDA_LICENCE_KEY",
        "TORCH_HUB_TOKEN",
        "XDG_SECRET_DIR",
        "nccl_password",
    ],
)
def test_everything_else_stays_outside(name):
    assert build_worker_env({name: "value"}) == SETTINGS


def test_a_url_with_credentials_stays_outside_whatever_its_name():
    env = {"TORCH_HOME": "https://ada:sesame@example.org/simple", "TORCH_MIRROR": "https://example.org/a@b"}
    assert build_worker_env(env) == {"TORCH_MIRROR": "https://example.org/a@b"} | SETTINGS


def test_the_settings_win_over_the_users():
    assert build_worker_env({"HF_HUB_OFFLINE": "0", "TOKENIZERS_PARALLELISM": "true"}) == SETTINGS


def test_words_that_only_contain_a_secret_s_name_are_kept():
    kept = {"CUDA_KEYBOARD": "1", "OMP_AUTHORITY": "x", "TORCH_TOKENIZER": "y"}
    assert build_worker_env(kept) == kept | SETTINGS
