"""`provision lock` with real uv over folders of small wheels: write, check, export, and what is refused."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest
from msgspec.structs import replace
from packaging.pylock import Pylock

from provision.actions.context import Context
from provision.actions.export_lock import export_pylocks
from provision.actions.knowledge import load_knowledge
from provision.actions.known_locks import load_lock_document
from provision.actions.lock import lock
from provision.actions.lock_subject import LockRequest
from provision.core.lock_choice import LockTerms, find_lock
from provision.core.lock_machine import build_lock_probe
from provision.core.parse.recognise import build_pasted_probe
from provision.core.shipped_locks import ShippedLock, render_shipped_lock
from provision.errors import BadFileError, StateError, UsageError
from provision.model.lockfile import ChangeKind, LockChange, Lockfile, LockWanted
from provision.system.resources import find_data_dir
from tests.support.profiles import BUILDS, PROFILES
from tests.support.reports import Recorder
from tests.support.sources import make_context
from tests.support.wheels import build_wheel

CPU = next(profile for profile in PROFILES if profile.name == "cpu")
TORCH = f"{BUILDS[CPU.torch].torch}+cpu"
MODEL = "tiny_qwen2_vl"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    build_wheel(folder, "torch", TORCH, requires=("numpy",))
    build_wheel(folder, "torchvision", f"{BUILDS[CPU.torch].torchvision}+cpu")
    build_wheel(folder, "numpy", "2.4.6")
    for name, version in CPU.packages.items():
        build_wheel(folder, name, version)
    return folder


def open_context(root: Path, wheels: Path) -> Context:
    root.mkdir(exist_ok=True)
    # Any project settings of the machine are kept out; a cache of its own makes each test start anew.
    ctx = make_context(root, {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"})
    return replace(ctx, data_dir=find_data_dir())


REQUEST = LockRequest(profile="cpu", models=(MODEL,))


def test_a_lock_is_written_once_and_then_up_to_date(tmp_path: Path, wheels: Path) -> None:
    ctx = open_context(tmp_path / "app", wheels)
    first = lock(ctx, REQUEST)
    assert (first.existed, first.written, first.changes, first.is_current) == (False, True, (), False)
    text = first.path.read_bytes()
    again = lock(ctx, REQUEST)
    assert (again.existed, again.written, again.changes, again.is_current) == (True, False, (), True)
    assert first.path.read_bytes() == text
    (stack,) = first.document.lockfile.stacks
    assert (stack.name, stack.torch, stack.tag, stack.cuda) == ("main", TORCH, "cpu", None)
    assert first.document.locks["main"].versions == {"numpy": "2.4.6", "torch": TORCH, **held(first)}
    (model,) = first.document.lockfile.models
    assert (model.key, model.embedded, model.smoke) == (MODEL, MODEL, None)
    assert {"config.json", "model.safetensors"} <= {file.path for file in model.files}
    assert load_lock_document(ctx.root) == first.document


def held(outcome) -> dict[str, str]:
    versions = outcome.document.locks["main"].versions
    return {name: version for name, version in versions.items() if name not in ("numpy", "torch")}


def test_nothing_in_the_files_tells_of_this_machine(tmp_path: Path, wheels: Path) -> None:
    ctx = open_context(tmp_path / "app", wheels)
    lock(ctx, REQUEST)
    for path in (ctx.root / "provision.lock", ctx.root / "provision.lock.d" / "main.txt"):
        text = path.read_text(encoding="utf-8")
        assert str(tmp_path) not in text
        assert "://" not in text


def test_another_folder_gives_the_same_bytes(tmp_path: Path, wheels: Path) -> None:
    texts = set()
    for name in ("one", "two"):
        ctx = open_context(tmp_path / name, wheels)
        lock(ctx, REQUEST)
        texts.add(
            (ctx.root / "provision.lock").read_bytes() + (ctx.root / "provision.lock.d/main.txt").read_bytes()
        )
    assert len(texts) == 1


def test_check_tells_what_changed_and_writes_nothing(tmp_path: Path, wheels: Path) -> None:
    ctx = open_context(tmp_path / "app", wheels)
    missing = lock(ctx, replace(REQUEST, check=True))
    assert (missing.existed, missing.written, missing.is_current) == (False, False, False)
    lock(ctx, REQUEST)
    before = (ctx.root / "provision.lock").read_bytes()
    build_wheel(wheels, "numpy", "2.5.0")
    assert lock(ctx, LockRequest(check=True)).is_current
    checked = lock(ctx, LockRequest(check=True, upgrade=True))
    assert checked.changes == (
        LockChange(kind=ChangeKind.CHANGED, place="stack main", name="numpy", before="2.4.6", after="2.5.0"),
    )
    assert (checked.written, checked.is_current) == (False, False)
    assert (ctx.root / "provision.lock").read_bytes() == before


def test_a_lock_that_cannot_be_read_is_told_by_check_and_cured_by_writing(
    tmp_path: Path, wheels: Path
) -> None:
    ctx = open_context(tmp_path / "app", wheels)
    lock(ctx, REQUEST)
    good = (ctx.root / "provision.lock").read_bytes()
    (ctx.root / "provision.lock").write_bytes(b"<<<<<<< HEAD\n" + good)
    with pytest.raises(BadFileError, match=r"provision\.lock: "):
        lock(ctx, replace(REQUEST, check=True))
    assert lock(ctx, REQUEST).written
    assert (ctx.root / "provision.lock").read_bytes() == good
    assert isinstance(ctx.reporter, Recorder)


def test_a_newer_releases_lock_is_never_written_over(tmp_path: Path, wheels: Path) -> None:
    ctx = open_context(tmp_path / "app", wheels)
    (ctx.root / "provision.lock").write_text("schema = 9\n", encoding="ascii")
    with pytest.raises(BadFileError, match="a newer provision wrote it"):
        lock(ctx, REQUEST)
    assert (ctx.root / "provision.lock").read_text(encoding="ascii") == "schema = 9\n"


def test_a_file_that_changed_under_its_revision_is_refused(tmp_path: Path, wheels: Path) -> None:
    ctx = open_context(tmp_path / "app", wheels)
    document = lock(ctx, REQUEST).document
    path = ctx.root / "provision.lock"
    file = document.lockfile.models[0].files[0]
    path.write_text(path.read_text(encoding="utf-8").replace(file.sha256, "0" * 64), encoding="utf-8")
    with pytest.raises(StateError) as caught:
        lock(ctx, REQUEST)
    assert caught.value.message == (
        f"{file.path} of {MODEL} is not the file that provision.lock binds, although its revision is the same"
    )


def test_the_lock_is_found_again_for_the_same_stack(tmp_path: Path, wheels: Path) -> None:
    document = lock(open_context(tmp_path / "app", wheels), REQUEST).document
    (stack,), build = document.lockfile.stacks, BUILDS[CPU.torch]
    wanted = LockWanted(
        requirements=stack.requirements,
        platform=document.lockfile.platform,
        python=document.lockfile.python,
        torch=build.torch,
        torchvision=build.torchvision,
        torchvision_needed=False,
        tag=build.tag,
    )
    assert find_lock(document, wanted) == document.locks["main"]


def test_the_export_is_a_pylock_of_the_locked_files(tmp_path: Path, wheels: Path) -> None:
    ctx = open_context(tmp_path / "app", wheels)
    outcome = lock(ctx, REQUEST)
    (path,) = export_pylocks(ctx, outcome.prepared.situation, outcome.document)
    assert path == ctx.root / "pylock.main.toml"
    pylock = Pylock.from_dict(tomllib.loads(path.read_text(encoding="utf-8")))
    pylock.validate()
    own = outcome.document.locks["main"]
    assert {str(package.name): str(package.version) for package in pylock.packages} == own.versions
    for package in pylock.packages:
        (wheel,) = package.wheels or ()
        place = wheel.path or (wheel.url or "").removeprefix("file://")
        assert Path(place).parent == wheels


SMI = """\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 580.95.05              Driver Version: 580.95.05      CUDA Version: 13.0     |
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|=========================================+========================+======================|
|   0  NVIDIA GeForce RTX 5090        Off |   00000000:01:00.0 Off |                  N/A |
|  0%   31C    P8             12W /  575W |       2MiB /  32607MiB |      0%      Default |
+-----------------------------------------+------------------------+----------------------+
"""


def build_gpu_wheels(folder: Path, profile_name: str) -> None:
    """What the profile of a GPU asks for, in builds that nobody checks for what they hold."""
    knowledge = load_knowledge(replace(make_context(folder, {}), data_dir=find_data_dir()))
    profile = knowledge.get_profile(profile_name)
    build = knowledge.builds[profile.torch]
    build_wheel(folder, "torch", f"{build.torch}+{build.tag}", requires=("numpy",))
    build_wheel(folder, "torchvision", f"{build.torchvision}+{build.tag}")
    build_wheel(folder, "numpy", "2.4.6")
    for name, version in profile.packages.items():
        build_wheel(folder, name, version)


def read_platform(ctx: Context) -> str:
    return str(tomllib.loads((ctx.root / "provision.lock").read_text(encoding="utf-8"))["platform"])


def test_a_lock_for_a_gpu_is_held_where_there_is_none(tmp_path: Path) -> None:
    """CI has no GPU: the profile, models and machine are those of the lock."""
    build_gpu_wheels(tmp_path / "wheels", "blackwell")
    ctx = open_context(tmp_path / "app", tmp_path / "wheels")
    probe = build_pasted_probe(SMI, "2026-11-21T12:00:00+00:00")
    written = lock(ctx, LockRequest(profile="auto", models=(MODEL,), probe=probe))
    assert (written.document.lockfile.profile, written.written) == ("blackwell", True)
    before = (ctx.root / "provision.lock").read_bytes()
    checked = lock(ctx, LockRequest(check=True))
    assert (checked.is_current, checked.changes) == (True, ())
    assert lock(ctx, LockRequest()).written is False
    assert (ctx.root / "provision.lock").read_bytes() == before


def test_a_lock_for_another_platform_and_python_is_held_here(tmp_path: Path, wheels: Path) -> None:
    ctx = open_context(tmp_path / "app", wheels)
    there = Lockfile(schema=1, profile="cpu", platform="linux-aarch64", python="3.13", stacks=(), models=())
    first = lock(ctx, LockRequest(profile="cpu", models=(MODEL,), probe=build_lock_probe(there)))
    lockfile = first.document.lockfile
    assert (lockfile.platform, lockfile.python, first.written) == ("linux-aarch64", "3.13", True)
    assert lock(ctx, LockRequest(check=True)).is_current
    build_wheel(wheels, "numpy", "2.5.0")
    changed = lock(ctx, LockRequest(check=True, upgrade=True)).changes
    assert [(change.name, change.after) for change in changed] == [("numpy", "2.5.0")]
    here = lock(ctx, LockRequest(profile="auto"))
    assert here.written
    assert "platform" in {change.name for change in here.changes}


def test_a_platform_that_nothing_can_be_resolved_for_is_told(tmp_path: Path, wheels: Path) -> None:
    ctx = open_context(tmp_path / "app", wheels)
    lock(ctx, REQUEST)
    path = ctx.root / "provision.lock"
    text = path.read_text(encoding="utf-8").replace(f'"{read_platform(ctx)}"', '"linux-riscv64"')
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        lock(ctx, LockRequest(check=True))
    assert caught.value.message == (
        "provision.lock is for linux-riscv64, and this machine cannot resolve for that"
    )


def test_the_models_of_the_lock_hold_and_those_of_config_yaml_are_told(tmp_path: Path, wheels: Path) -> None:
    ctx = open_context(tmp_path / "app", wheels)
    lock(ctx, REQUEST)
    (ctx.root / "config.yaml").write_text("models:\n  qwen_vl_2b:\n    enabled: true\n", encoding="utf-8")
    checked = lock(ctx, LockRequest(check=True))
    assert checked.is_current
    assert [model.key for model in checked.document.lockfile.models] == [MODEL]
    assert isinstance(ctx.reporter, Recorder)
    assert (
        f"warn: config.yaml names qwen_vl_2b, provision.lock {MODEL}, which holds; "
        "to lock the former: provision lock --models qwen_vl_2b"
    ) in ctx.reporter.lines


def test_the_date_that_somebody_names_is_the_one_that_the_lock_tells(tmp_path: Path, wheels: Path) -> None:
    ctx = open_context(tmp_path / "app", wheels)
    assert lock(ctx, REQUEST).document.lockfile.exclude_newer == "2026-11-14T00:00:00Z"
    named = lock(ctx, LockRequest(exclude_newer="2026-06-30"))
    assert (named.written, named.changes) == (True, ())
    assert named.document.lockfile.exclude_newer == "2026-06-30T00:00:00Z"
    # Nobody names one: that of the lock that is there.
    assert lock(ctx, LockRequest()).document.lockfile.exclude_newer == "2026-06-30T00:00:00Z"
    assert lock(ctx, LockRequest(exclude_newer="never")).document.lockfile.exclude_newer is None


def test_a_named_date_resolves_anew(tmp_path: Path, wheels: Path) -> None:
    ctx = open_context(tmp_path / "app", wheels)
    lock(ctx, REQUEST)
    build_wheel(wheels, "numpy", "2.5.0")
    changes = lock(ctx, LockRequest(exclude_newer="2026-11-20")).changes
    assert [(change.name, change.before, change.after) for change in changes] == [("numpy", "2.4.6", "2.5.0")]


def test_a_lock_that_ships_keeps_its_own_date(tmp_path: Path, wheels: Path) -> None:
    ctx = open_context(tmp_path / "app", wheels)
    resolved = lock(ctx, REQUEST)
    (stack,) = resolved.document.lockfile.stacks
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    for name in ("profiles", "smoke"):
        shutil.copytree(find_data_dir() / name, data_dir / name, ignore=shutil.ignore_patterns("locks"))
    shipped = ShippedLock(
        build=CPU.torch,
        terms=LockTerms(
            requirements=stack.requirements,
            platform=resolved.document.lockfile.platform,
            pythons=(resolved.document.lockfile.python,),
            torch=stack.torch,
            torchvision=stack.torchvision,
            tag=stack.tag,
        ),
        exclude_newer="2026-03-31T00:00:00Z",
        lock=resolved.document.locks["main"],
    )
    (data_dir / "profiles" / "locks").mkdir()
    (data_dir / "profiles" / "locks" / "one.txt").write_text(render_shipped_lock(shipped), encoding="utf-8")
    other = replace(open_context(tmp_path / "other", wheels), data_dir=data_dir)
    assert lock(other, REQUEST).document.lockfile.exclude_newer == "2026-03-31T00:00:00Z"
    named = lock(other, replace(REQUEST, exclude_newer="2026-11-01"))
    assert named.document.lockfile.exclude_newer == "2026-11-01T00:00:00Z"
