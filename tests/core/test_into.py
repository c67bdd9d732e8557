"""What a change of a user's environment comes to, from what is installed and a lock."""

from __future__ import annotations

import hashlib

import pytest

from provision.core.into import build_into_plan, select_requirements
from provision.core.into_conflicts import find_new_conflicts, list_retry_requirements
from provision.model.environment import (
    EnvironmentKind,
    EnvironmentReport,
    FaultKind,
    FileFault,
    InstalledDistribution,
    Interpreter,
    TorchFiles,
)
from provision.model.into import ChangeKind, Conflict, IntoPlan
from provision.model.packages import Answer, Source, SourceAttempt, SourceKind, StackLock, Wheel
from tests.support.machines import LINUX

SITE = "/env/lib/python3.12/site-packages"


def make_item(name: str, version: str, *requires: str, **changes: object) -> InstalledDistribution:
    fields: dict[str, object] = {
        "name": name,
        "version": version,
        "site_dir": SITE,
        "info_name": f"{name.replace('-', '_')}-{version}.dist-info",
        "installer": "uv",
        "requires": requires,
        "listed": 3,
    }
    return InstalledDistribution(**(fields | changes))  # type: ignore[arg-type]


def make_lock(**versions: str) -> StackLock:
    wheels = tuple(
        Wheel(name=name.replace("_", "-"), version=version, hashes=("sha256:aa",), size_bytes=100)
        for name, version in versions.items()
    )
    text = "".join(f"{wheel.name}=={wheel.version} \\\n    --hash=sha256:aa\n" for wheel in wheels)
    return StackLock(text=text, sha256=hashlib.sha256(text.encode()).hexdigest(), wheels=wheels)


def plan_change(
    *installed: InstalledDistribution, keep_flash: bool = False, tag: str = "cu130", **lock: str
) -> IntoPlan:
    report = EnvironmentReport(
        prefix="/env",
        kind=EnvironmentKind.VENV,
        interpreter=Interpreter(path="/env/bin/python", exists=True, version="3.12.11", minor="3.12"),
        distributions=installed,
    )
    return build_into_plan(
        report,
        LINUX,
        make_lock(**({"torch": "2.11.0"} | lock)),
        lambda version: (keep_flash, f"{version} was not verified"),
        profile="blackwell",
        models=("m",),
        tag=tag,
    )


def list_changes(plan: IntoPlan) -> list[tuple[str, str, str | None, str | None]]:
    return [(one.kind.value, one.name, one.before, one.after) for one in plan.changes]


TORCH_27 = make_item(
    "torch",
    "2.7.0",
    "nvidia-cublas-cu12==12.6.4.1; platform_system == 'Linux'",
    "nvidia-cudnn-cu12==9.5.1.17; platform_system == 'Linux'",
    "triton==3.3.0; platform_system == 'Linux'",
    "opt-einsum>=3.3; extra == 'opt-einsum'",
    build={"version": "2.7.0+cu126"},
)
CUBLAS = make_item("nvidia-cublas-cu12", "12.6.4.1")
CUDNN = make_item("nvidia-cudnn-cu12", "9.5.1.17", "nvidia-cublas-cu12")
TRITON = make_item("triton", "3.3.0")


def test_versions_are_compared_and_what_the_lock_does_not_name_stays() -> None:
    plan = plan_change(
        TORCH_27, make_item("numpy", "2.4.6"), make_item("mine", "1"), numpy="2.4.6", new="1.0"
    )
    assert list_changes(plan) == [("add", "new", None, "1.0"), ("change", "torch", "2.7.0+cu126", "2.11.0")]
    assert (plan.unchanged, plan.kept, plan.download_bytes) == (("numpy",), ("mine",), 200)
    assert (plan.python, plan.torch, plan.conflicts, plan.warnings) == ("3.12.11", "2.11.0", (), ())


@pytest.mark.parametrize(
    ("installed", "wanted", "tag", "same"),
    [
        ("2.11.0+cu130", "2.11.0+cu130", "cu130", True),
        ("2.11.0+cu130", "2.11.0", "cu130", True),
        ("2.11.0+cu126", "2.11.0", "cu130", False),
        ("2.11.0+cu126", "2.11.0+cu130", "cu130", False),
        ("2.11.0", "2.11.0+cu130", "cu130", True),
        ("2.11.0+cpu", "2.11.0+cpu", "cpu", True),
        ("no version", "2.11.0", "cu130", False),
    ],
)
def test_torch_is_compared_with_what_it_was_built_for(
    installed: str, wanted: str, tag: str, same: bool
) -> None:
    base = installed.partition("+")[0]
    plan = plan_change(make_item("torch", base, build={"version": installed}), tag=tag, torch=wanted)
    assert bool(plan.changes) is not same


@pytest.mark.parametrize(("files", "changed"), [("2.11.0+cu130", True), ("2.11.0+cpu", False)])
def test_what_the_files_of_torch_say_counts(files: str, changed: bool) -> None:
    """PyPI's METADATA has no label, whatever the wheel is built for."""
    report = EnvironmentReport(
        prefix="/env",
        kind=EnvironmentKind.VENV,
        distributions=(make_item("torch", "2.11.0"),),
        torch=TorchFiles(version=files),
    )
    lock = make_lock(torch="2.11.0+cpu")
    plan = build_into_plan(
        report, LINUX, lock, lambda _version: (True, ""), profile="cpu", models=("a",), tag="cpu"
    )
    expected = [("change", "torch", files, "2.11.0+cpu")] if changed else []
    assert list_changes(plan) == expected


def test_a_source_that_does_not_answer_is_a_warning() -> None:
    source = Source(kind=SourceKind.INDEX, location="https://a.test", origin="pip.conf", label="a.test")
    attempt = SourceAttempt(source=source, answer=Answer.UNREACHABLE, detail="it timed out")
    report = EnvironmentReport(prefix="/env", kind=EnvironmentKind.VENV)
    plan = build_into_plan(
        report,
        LINUX,
        make_lock(torch="2.11.0"),
        lambda _version: (True, ""),
        profile="cpu",
        models=("a",),
        tag="cpu",
        attempts=(attempt,),
    )
    assert plan.warnings == ("a.test (pip.conf) does not answer: it timed out",)
    assert plan.attempts == (attempt,)


def test_a_damaged_package_is_installed_again() -> None:
    fault = FileFault(path="numpy/core.py", kind=FaultKind.SIZE)
    plan = plan_change(make_item("numpy", "2.4.6", faults=(fault,), fault_count=1), numpy="2.4.6")
    [repair] = plan.list_changes(ChangeKind.REPAIR)
    assert (repair.name, repair.before, repair.after) == ("numpy", "2.4.6", "2.4.6")
    assert repair.reason == "numpy/core.py is not as it was installed"


def test_flash_attention_goes_where_it_does_not_fit_and_says_why() -> None:
    flash = make_item("flash-attn", "2.7.3", "torch", "einops")
    [removal] = plan_change(flash).list_changes(ChangeKind.REMOVE)
    assert (removal.name, removal.before, removal.reason) == ("flash-attn", "2.7.3", "2.7.3 was not verified")
    assert plan_change(flash, keep_flash=True).kept == ("flash-attn",)
    locked = plan_change(flash, flash_attn="2.8.3")
    assert list_changes(locked)[0] == ("change", "flash-attn", "2.7.3", "2.8.3")


def test_flash_attention_goes_even_where_a_package_that_stays_asks_for_it() -> None:
    plan = plan_change(make_item("flash-attn", "2.7.3"), make_item("mine", "1", "flash-attn>=2"))
    assert [one.name for one in plan.list_changes(ChangeKind.REMOVE)] == ["flash-attn"]
    assert [one.sentence for one in plan.conflicts] == [
        "mine asks for flash-attn>=2, which would not be installed"
    ]


def test_libraries_of_the_former_torch_go_when_nobody_else_asks() -> None:
    plan = plan_change(TORCH_27, CUBLAS, CUDNN, TRITON, make_item("nvidia-ml-py", "13.0"), triton="3.6.0")
    assert [(one.name, one.reason) for one in plan.list_changes(ChangeKind.REMOVE)] == [
        ("nvidia-cublas-cu12", "only torch 2.7.0+cu126 and its libraries asked for it"),
        ("nvidia-cudnn-cu12", "only torch 2.7.0+cu126 and its libraries asked for it"),
    ]
    assert plan.kept == ("nvidia-ml-py",)


def test_libraries_stay_that_a_package_that_stays_asks_for() -> None:
    plan = plan_change(TORCH_27, CUBLAS, CUDNN, TRITON, make_item("jaxlib", "0.5", "nvidia-cudnn-cu12>=9.1"))
    assert [one.name for one in plan.list_changes(ChangeKind.REMOVE)] == ["triton"]
    assert plan.kept == ("jaxlib", "nvidia-cublas-cu12", "nvidia-cudnn-cu12")


@pytest.mark.parametrize("name", ["torchaudio", "torchvision"])
def test_companions_of_another_torch_go_unless_somebody_asks(name: str) -> None:
    companion = make_item(name, "2.7.0", "torch==2.7.0")
    [removal] = plan_change(TORCH_27, companion).list_changes(ChangeKind.REMOVE)
    assert removal.reason == "it is built for torch==2.7.0, and nothing that stays asks for it"
    kept = plan_change(TORCH_27, companion, make_item("mine", "1", name))
    assert kept.kept == ("mine", name)
    assert [one.sentence for one in kept.conflicts] == [
        f"{name} asks for torch==2.7.0, and 2.11.0 would be installed"
    ]


def test_a_companion_that_fits_the_new_torch_stays() -> None:
    assert plan_change(TORCH_27, make_item("torchaudio", "2.11.0", "torch==2.11.0")).kept == ("torchaudio",)


def test_what_a_package_lacked_before_is_no_conflict_of_the_change() -> None:
    vllm = make_item("vllm", "0.8", "torch==2.7.0", "xgrammar", "torch>2.6; python_version < '3'")
    plan = plan_change(TORCH_27, vllm)
    assert plan.conflicts == (Conflict(package="vllm", requirement="torch==2.7.0", found="2.11.0"),)
    assert plan.warnings == ("compiled against the former torch, it may have to be installed anew: vllm",)


def test_what_lies_outside_of_the_environment_is_not_its_own() -> None:
    base = make_item("numpy", "1.26", site_dir="/usr/lib/python3/dist-packages")
    assert list_changes(plan_change(base, numpy="2.4.6"))[0] == ("add", "numpy", None, "2.4.6")


def test_wishes_for_a_second_resolution_leave_pins_alone() -> None:
    plan = plan_change(
        TORCH_27,
        make_item("numpy", "1.26.4"),
        make_item("pillow", "11.0.0"),
        make_item("a", "1", "numpy<2"),
        make_item("b", "1", "pillow<12", "torch<2.8", "numpy<2"),
        numpy="2.4.6",
        pillow="13.0.0",
    )
    assert len(plan.conflicts) == 4
    assert list_retry_requirements(plan, ["Pillow", "transformers"]) == ("numpy<2",)


def test_requirements_of_some_packages_with_their_hashes() -> None:
    lock = make_lock(torch="2.11.0", numpy="2.4.6", typing_extensions="4.16.0")
    assert select_requirements(lock, ["typing-extensions", "torch"]) == (
        "torch==2.11.0 \\\n    --hash=sha256:aa\ntyping-extensions==4.16.0 \\\n    --hash=sha256:aa\n"
    )


def test_conflicts_that_the_plan_had_not_announced() -> None:
    plan = plan_change(TORCH_27, make_item("vllm", "0.8", "torch==2.7.0"))
    old = "The package `a` requires `b==2.0`, but `1.0` is installed"
    told = "The package `vllm` requires `torch==2.7.0 ; python_version > '3'`, but `2.11.0` is installed"
    new = "The package `c` requires `d>=1`, but it's not installed"
    assert find_new_conflicts([old], [old, told, new], plan) == (new,)
    odd = "The package `torch` has multiple installed distributions:"
    assert find_new_conflicts([], [odd], plan) == (odd,)
