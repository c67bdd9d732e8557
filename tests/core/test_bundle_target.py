"""Which file of a package a machine takes, and whether a bundle is for a machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from packaging.tags import Tag

from provision.core.bundle_target import check_machine, choose_files, describe_gpus
from provision.core.targets import Target, list_tags
from provision.errors import BadFileError, ToolError
from provision.model.bundle import BundleTarget
from provision.model.facts import Facts
from provision.model.packages import StackLock, Wheel
from provision.model.profile import ProfileFit
from tests.support.bundles import build_manifest
from tests.support.machines import LINUX, make_facts, make_gpu

ARM = Target(platform="linux-aarch64", python="3.12", uv_platform="aarch64-manylinux_2_28")
AA, BB, CC = "a" * 64, "b" * 64, "c" * 64
_FILE = '{{ url = "https://me:secret@host/torch-2.11.0-{}.whl", size = {}, hashes = {{ sha256 = "{}" }} }},'
_FILES = [
    ("cp312-cp312-manylinux_2_28_x86_64", 1, AA),
    ("cp312-cp312-manylinux_2_28_aarch64", 2, BB),
    ("cp313-cp313-manylinux_2_28_aarch64", 3, CC),
]
PYLOCK = "\n".join(
    [
        *(
            'lock-version = "1.0"',
            'created-by = "uv"',
            "[[packages]]",
            'name = "torch"',
            'version = "2.11.0"',
        ),
        *("wheels = [", *(_FILE.format(*file) for file in _FILES), "]"),
    ]
)


def make_lock(*hashes: str) -> StackLock:
    wheel = Wheel(name="torch", version="2.11.0", hashes=tuple(f"sha256:{item}" for item in hashes))
    return StackLock(text="", sha256="", wheels=(wheel,))


def choose(lock: StackLock) -> list[tuple[str, str, str, int | None]]:
    found = choose_files(PYLOCK, lock, list_tags(ARM))
    return [(file.filename, file.label, file.sha256, file.size_bytes) for file in found]


def test_the_file_of_the_targets_platform_and_python_is_taken() -> None:
    name = "torch-2.11.0-cp312-cp312-manylinux_2_28_aarch64.whl"
    assert choose(make_lock(AA, BB, CC)) == [(name, f"https://host/{name}", BB, 2)]


@pytest.mark.parametrize("hashes", [(AA,), (CC,), ("d" * 64,)])
def test_a_file_that_is_not_locked_or_does_not_fit_is_not_taken(hashes: tuple[str, ...]) -> None:
    with pytest.raises(ToolError) as caught:
        choose(make_lock(*hashes))
    assert caught.value.message == "torch 2.11.0 has no wheel of the lock for that machine"


def test_what_uv_did_not_print_is_said() -> None:
    with pytest.raises(ToolError, match="^uv's resolution cannot be read: "):
        choose_files("no toml", make_lock(AA), [])


HERE = make_facts(host=replace(LINUX, python_version="3.12.4"))
FITS = (ProfileFit(name="cpu", fits=True, reasons=("no GPU was found",)),)
TAGS = (Tag("py3", "none", "any"),)


def find_problem(
    target: BundleTarget, facts: Facts = HERE, fits: tuple[ProfileFit, ...] = FITS
) -> str | None:
    try:
        check_machine(build_manifest(target=target), facts, fits, TAGS, where="b.tar")
    except BadFileError as error:
        return error.message.removeprefix("b.tar is for another machine: ")
    return None


def test_each_difference_is_named() -> None:
    target = build_manifest().target
    assert find_problem(target) is None
    assert find_problem(replace(target, platform="linux-aarch64")) == (
        "its platform is linux-aarch64, this one is linux-x86_64"
    )
    assert find_problem(replace(target, python="3.11")) == "its Python is 3.11, this one is 3.12"
    assert find_problem(replace(target, profile="mine")) == "its profile mine is not known here"


def test_another_generation_of_gpu_is_named_with_both() -> None:
    reason = "NVIDIA GeForce RTX 3090 has compute capability 8.6; the profile is for 12.1"
    fits = (ProfileFit(name="gb10", fits=False, reasons=(reason,)),)
    facts = make_facts(make_gpu("NVIDIA GeForce RTX 3090", "8.6"), host=HERE.host)
    target = replace(
        build_manifest().target,
        profile="gb10",
        gpus=describe_gpus(make_facts(make_gpu("NVIDIA GB10", "12.1"))),
    )
    assert find_problem(target, facts, fits) == (
        f"its profile gb10 does not fit here: {reason} (it: NVIDIA GB10, compute capability 12.1; "
        "here: NVIDIA GeForce RTX 3090, compute capability 8.6)"
    )


def test_a_system_that_is_too_old_for_a_wheel_is_told_so() -> None:
    manifest = build_manifest()
    with pytest.raises(BadFileError) as caught:
        check_machine(manifest, HERE, FITS, [Tag("cp312", "cp312", "linux_x86_64")], where="b.tar")
    name = Path(manifest.stacks[0].wheels[0].member).name
    assert caught.value.message == (
        f"b.tar is for another machine: {name} cannot be installed on this system"
    )
    assert caught.value.hint == (
        "provision detect --save-probe probe.json   # here; there: provision bundle FILE --probe probe.json"
    )
