"""uv's own lines, recorded, and what the user sees of them."""

from __future__ import annotations

from provision.core.install_progress import InstallProgress, Said
from provision.model.packages import StackLock, Wheel

SIZES = {
    "torch": 530_000_000,
    "nvidia-cublas": 423_000_000,
    "nvidia-cudnn-cu13": 366_000_000,
    "numpy": 16_900_000,
}
LOCK = StackLock(
    text="",
    sha256="",
    wheels=tuple(Wheel(name=name, version="1", hashes=(), size_bytes=size) for name, size in SIZES.items()),
)
LINES = """\
Using Python 3.11.7 environment at: stack
Resolved 61 packages in 339ms
Downloading nvidia-cublas (403.5MiB)
Downloading torch (506.0MiB)
Downloading nvidia-cudnn-cu13 (349.1MiB)
Downloading numpy (16.1MiB)
 Downloaded numpy
 Downloaded nvidia-cudnn-cu13
 Downloaded nvidia-cublas
 Downloaded torch
Prepared 61 packages in 32.39s
Installed 61 packages in 2.13s
 + torch==2.11.0
 + numpy==2.4.6
"""


def test_one_line_a_group_with_bytes_and_rate() -> None:
    progress = InstallProgress(LOCK)
    said = [
        item for second, line in enumerate(LINES.splitlines()) for item in progress.read(line, float(second))
    ]
    assert [item.text for item in said if not item.passing] == [
        "Using Python 3.11.7 environment at: stack",
        "Resolved 61 packages in 339ms",
        "CUDA libraries: 2 of 2 files, 789.0 MB, 132 MB/s",
        "torch: 1 of 1 files, 530.0 MB, 88 MB/s",
        "transformers and others: 1 of 1 files, 16.9 MB, 17 MB/s",
        "Prepared 61 packages in 32.39s",
        "Installed 61 packages in 2.13s",
    ]
    assert said[3] == Said(text="CUDA libraries: 1 of 2 files, 366.0 MB, 73 MB/s", passing=True)


def test_what_uv_says_else_is_passed_on() -> None:
    progress = InstallProgress(LOCK)
    line = "warning: Failed to hardlink files; falling back to full copy."
    assert progress.read(line, 0.0) == [Said(text=line)]
