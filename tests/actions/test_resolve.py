"""Real uv against real sources on this machine: folders, a loopback index, and one that does not answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.actions.build import build_stack
from provision.actions.lock_stack import resolve_stack
from provision.errors import DownloadError
from provision.model.packages import Answer
from provision.model.profile import PlatformBuild
from provision.system.store import Store
from tests.support.reports import Recorder
from tests.support.sources import DEAD, PLATFORM, SPEC, make_build, make_context, make_wheels
from tests.support.wheels import build_wheel, serve_index


def test_find_links_of_the_users_serve_a_cpu_stack_without_torchvision(tmp_path: Path) -> None:
    wheels = make_wheels(tmp_path / "wheels", ("torch", "2.13.0+cpu"))
    ctx = make_context(tmp_path, {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"})
    stack = resolve_stack(ctx, SPEC, make_build("cpu"), PLATFORM)
    assert [(wheel.name, wheel.version) for wheel in stack.lock.wheels] == [
        ("numpy", "2.4.6"),
        ("torch", "2.13.0+cpu"),
        ("transformers", "5.22.2"),
    ]
    assert all(wheel.size_bytes for wheel in stack.lock.wheels)
    assert (stack.offer.tag, stack.offer.torchvision) == ("cpu", None)
    assert [(item.source.label, item.answer, item.detail) for item in stack.attempts] == [
        (str(wheels), Answer.SERVES, "torch 2.13.0+cpu; it has no torchvision that belongs to it")
    ]


def test_torch_and_torchvision_come_from_one_source_or_not_at_all(tmp_path: Path) -> None:
    """A CUDA torchvision in an extra index must not be put over the CPU torch of a folder."""
    wheels = make_wheels(tmp_path / "wheels", ("torch", "2.13.0+cpu"))
    build_wheel(tmp_path / "other", "torchvision", "0.28.0")
    with serve_index(tmp_path / "index", tmp_path / "other") as url:
        env = {"PIP_FIND_LINKS": str(wheels), "PIP_INDEX_URL": url}
        stack = resolve_stack(make_context(tmp_path, env), SPEC, make_build("cpu"), PLATFORM)
    assert "torchvision" not in stack.lock.text
    assert [(item.source.kind, item.answer) for item in stack.attempts] == [
        ("index", Answer.LACKS),
        ("find-links", Answer.SERVES),
        ("pytorch-index", Answer.NOT_ASKED),
        ("default-index", Answer.NOT_ASKED),
    ]


def test_the_pair_of_pytorchs_index_is_taken_from_there_and_the_rest_is_not(tmp_path: Path) -> None:
    """The index that serves torch also offers a newer numpy: only torch and torchvision may come from it."""
    special = tmp_path / "special"
    build_wheel(special, "torch", "2.13.0+cu130", requires=("numpy",))
    build_wheel(special, "torchvision", "0.28.0+cu130", requires=("torch==2.13.0",))
    build_wheel(special, "numpy", "9.9")
    mirror = make_wheels(tmp_path / "mirror")
    with serve_index(tmp_path / "a", special) as torch_url, serve_index(tmp_path / "b", mirror) as url:
        ctx = make_context(tmp_path, {"PIP_INDEX_URL": url})
        build = replace(make_build("cu130", torch_url), default_index={PLATFORM: PlatformBuild(tag="cpu")})
        stack = resolve_stack(ctx, SPEC, build, PLATFORM)
    assert [(wheel.name, wheel.version) for wheel in stack.lock.wheels] == [
        ("numpy", "2.4.6"),
        ("torch", "2.13.0+cu130"),
        ("torchvision", "0.28.0+cu130"),
        ("transformers", "5.22.2"),
    ]
    assert "http" not in stack.lock.text
    assert [(item.answer, item.torch) for item in stack.attempts] == [
        (Answer.LACKS, None),
        (Answer.SERVES, "2.13.0+cu130"),
        (Answer.NOT_ASKED, None),
    ]


def test_a_source_that_does_not_answer_is_passed_over(tmp_path: Path) -> None:
    wheels = make_wheels(tmp_path / "wheels", ("torch", "2.13.0+cpu"))
    with serve_index(tmp_path / "index", wheels) as url:
        env = {"PIP_INDEX_URL": url, "PIP_EXTRA_INDEX_URL": DEAD}
        stack = resolve_stack(make_context(tmp_path, env), SPEC, make_build("cpu"), PLATFORM)
    assert [item.answer for item in stack.attempts][:2] == [Answer.SERVES, Answer.UNREACHABLE]
    assert "Connection refused" in stack.attempts[1].detail
    assert [item.kind for item in stack.sources] == ["index", "pytorch-index", "default-index"]


def test_a_gpu_profile_never_takes_cpu_wheels_and_says_what_each_source_answered(tmp_path: Path) -> None:
    wheels = make_wheels(tmp_path / "wheels", ("torch", "2.13.0+cpu"))
    env = {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"}
    with pytest.raises(DownloadError) as caught:
        resolve_stack(make_context(tmp_path, env), SPEC, make_build("cu130"), PLATFORM)
    assert caught.value.message == (
        "no source of packages serves torch 2.13.0 for cu130. "
        f"{wheels}: torch 2.13.0+cpu is built for the CPU, not for cu130"
    )


def test_the_accepted_torch_is_the_one_that_is_locked(tmp_path: Path) -> None:
    """A folder has a CPU build of the same version, which sorts above the CUDA pair that was accepted."""
    folder = make_wheels(tmp_path / "wheels", ("torch", "2.13.0+cpu"))
    mirror = tmp_path / "mirror"
    build_wheel(mirror, "torch", "2.13.0")
    build_wheel(mirror, "torchvision", "0.28.0", requires=("torch==2.13.0",))
    with serve_index(tmp_path / "index", mirror) as url:
        env = {"PIP_FIND_LINKS": str(folder), "PIP_INDEX_URL": url}
        stack = resolve_stack(make_context(tmp_path, env), SPEC, make_build("cu130"), PLATFORM)
    assert (stack.offer.torch, stack.offer.tag) == ("2.13.0", "cu130")
    assert {wheel.name: wheel.version for wheel in stack.lock.wheels} == {
        "numpy": "2.4.6",
        "torch": "2.13.0",
        "torchvision": "0.28.0",
        "transformers": "5.22.2",
    }


def test_torch_of_the_default_index_beside_a_mirror_that_lacks_it(tmp_path: Path) -> None:
    """uv is told its default index by a uv.toml, as it may be; a mirror of the user's has all but torch."""
    default = tmp_path / "default"
    build_wheel(default, "torch", "2.13.0")
    build_wheel(default, "torchvision", "0.28.0", requires=("torch==2.13.0",))
    mirror = make_wheels(tmp_path / "mirror")
    with serve_index(tmp_path / "a", default) as default_url, serve_index(tmp_path / "b", mirror) as url:
        settings = tmp_path / ".config" / "uv" / "uv.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text(f'[[index]]\nurl = "{default_url}"\ndefault = true\n')
        ctx = make_context(tmp_path, {"PIP_INDEX_URL": url})
        stack = resolve_stack(ctx, SPEC, make_build("cu130"), PLATFORM)
        manifest = build_stack(ctx, Store(tmp_path), stack)
    assert [item.answer for item in stack.attempts] == [Answer.LACKS, Answer.SERVES, Answer.NOT_ASKED]
    assert (manifest.torch, manifest.torchvision, manifest.tag) == ("2.13.0", "0.28.0", "cu130")


def test_a_password_in_a_source_reaches_no_message(tmp_path: Path) -> None:
    env = {
        "PIP_INDEX_URL": "http://user:s3cret@127.0.0.1:9/simple",
        "PIP_FIND_LINKS": str(tmp_path / "nowhere"),
    }
    ctx = make_context(tmp_path, env | {"UV_OFFLINE": "1"})
    with pytest.raises(DownloadError) as caught:
        resolve_stack(ctx, SPEC, make_build("cpu"), PLATFORM)
    recorder = ctx.reporter
    assert isinstance(recorder, Recorder)
    assert "s3cret" not in caught.value.message + "".join(recorder.lines)
    assert "http://127.0.0.1:9/simple" in caught.value.message


def test_what_torch_needs_from_its_own_source_is_locked_with_it(tmp_path: Path) -> None:
    """A folder of the user's serves ROCm's torch with its triton, which no default index has."""
    wheels = make_wheels(tmp_path / "wheels")
    build_wheel(wheels, "torch", "2.13.0+rocm7.2", requires=("triton-rocm==3.6.0",))
    build_wheel(wheels, "triton_rocm", "3.6.0")
    ctx = make_context(tmp_path, {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"})
    build = replace(make_build("rocm7.2"), cuda=None, companions=("triton-rocm",))
    stack = resolve_stack(ctx, SPEC, build, PLATFORM)
    assert {wheel.name: wheel.version for wheel in stack.lock.wheels} == {
        "numpy": "2.4.6",
        "torch": "2.13.0+rocm7.2",
        "transformers": "5.22.2",
        "triton-rocm": "3.6.0",
    }
    assert stack.spec == SPEC
