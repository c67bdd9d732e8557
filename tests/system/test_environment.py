"""What inspection reads out of environments: laid out here file by file, whole and broken."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.model.environment import (
    EnvironmentKind,
    EnvironmentReport,
    FaultKind,
    FileFault,
    InstalledDistribution,
    Interpreter,
    LibraryFolder,
    Overwrite,
    PathFile,
    Shadow,
    TorchFiles,
)
from provision.system.environment import inspect_environment
from provision.system.installed import parse_record
from tests.support.environments import Environment, write

DATA = Path(__file__).parent.parent / "data" / "environments"


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def test_a_whole_environment(environment: Environment) -> None:
    environment.install("some_Name", "1.0", requires=("numpy>=2", 'tqdm; extra == "cli"'))
    report = inspect_environment(environment.prefix)
    assert report == EnvironmentReport(
        prefix=str(environment.prefix),
        kind=EnvironmentKind.VENV,
        interpreter=Interpreter(
            path=str(environment.python),
            exists=True,
            version="3.12.11",
            minor="3.12",
            home=str(environment.base / "bin"),
            home_exists=True,
            base_version="3.12.11",
        ),
        site_dirs=(str(environment.site),),
        distributions=(
            InstalledDistribution(
                name="some-name",
                version="1.0",
                site_dir=str(environment.site),
                info_name="some_Name-1.0.dist-info",
                installer="uv",
                requires=("numpy>=2", 'tqdm; extra == "cli"'),
                listed=5,
            ),
        ),
        files=5,
    )


@pytest.mark.parametrize(
    ("prefix", "problem"), [("gone", "there is no such folder"), ("empty", "it is no Python environment")]
)
def test_what_is_no_environment(tmp_path: Path, prefix: str, problem: str) -> None:
    (tmp_path / "empty").mkdir()
    report = inspect_environment(tmp_path / prefix)
    assert report == EnvironmentReport(
        prefix=str(tmp_path / prefix), kind=EnvironmentKind.NONE, problem=problem
    )


def test_files_that_are_not_as_listed(environment: Environment) -> None:
    files = {"pkg/__init__.py": "a = 1\n", "pkg/gone.py": "b = 2\n", "pkg/longer.py": "c = 3\n"}
    environment.install("pkg", "1.0", files=files)
    (environment.site / "pkg" / "gone.py").unlink()
    write(environment.site / "pkg" / "longer.py", "c = 33\n")
    write(environment.site / "pkg" / "__init__.py", "a = 2\n")
    quick = inspect_environment(environment.prefix).distributions[0]
    assert quick.faults == (
        FileFault(path="pkg/gone.py", kind=FaultKind.MISSING),
        FileFault(path="pkg/longer.py", kind=FaultKind.SIZE),
    )
    thorough = inspect_environment(environment.prefix, verify_files=True)
    assert thorough.verified
    assert thorough.distributions[0].faults == (
        FileFault(path="pkg/__init__.py", kind=FaultKind.HASH),
        FileFault(path="pkg/gone.py", kind=FaultKind.MISSING),
        FileFault(path="pkg/longer.py", kind=FaultKind.SIZE),
    )
    assert (thorough.distributions[0].fault_count, thorough.distributions[0].module_missing) == (3, False)


def test_what_is_no_file_is_never_read(environment: Environment) -> None:
    """A RECORD may list anything: a device would never end, and a pipe would wait for a writer."""
    info = environment.install("pkg", "1.0")
    os.mkfifo(environment.site / "pipe")
    with (info / "RECORD").open("a", encoding="utf-8") as record:
        record.write("pipe,sha256=aaaa,\n/dev/zero,sha256=aaaa,\nnonsense\n\0,sha256=a,1\n")
    found = inspect_environment(environment.prefix, verify_files=True).distributions[0]
    assert found.faults == (
        FileFault(path="pipe", kind=FaultKind.UNREADABLE),
        FileFault(path="/dev/zero", kind=FaultKind.UNREADABLE),
    )


def test_a_missing_module_and_bytecode_that_python_writes_again(environment: Environment) -> None:
    info = environment.install("pkg", "1.0")
    shutil.rmtree(environment.site / "pkg")
    other = environment.install("other", "1.0")
    with (other / "RECORD").open("a", encoding="utf-8") as record:
        record.write("other/__pycache__/__init__.cpython-312.pyc,,\n")
    (info / "METADATA").unlink()
    by_name = {item.name: item for item in inspect_environment(environment.prefix).distributions}
    assert by_name["pkg"].module_missing
    assert (by_name["pkg"].version, by_name["pkg"].has_metadata) == ("1.0", False)
    assert by_name["other"].faults == ()


def test_a_distribution_of_the_system_is_not_held_against_its_record(environment: Environment) -> None:
    environment.install("pkg", "1.0", installer="conda")
    write(environment.site / "pkg" / "__init__.py", "changed by conda\n")
    found = inspect_environment(environment.prefix).distributions[0]
    assert (found.installer, found.faults) == ("conda", ())


def test_egg_info_leftovers_and_files_that_two_bring(environment: Environment) -> None:
    write(environment.site / "old_thing-2.1-py3.12.egg-info", "Metadata-Version: 1.1\nName: Old.Thing\n")
    (environment.site / "~orch").mkdir()
    environment.install(
        "onnxruntime", "1.20.0", files={"onnxruntime/a.py": "cpu", "onnxruntime/b.py": "same"}
    )
    environment.install(
        "onnxruntime-gpu", "1.20.0", files={"onnxruntime/a.py": "gpu", "onnxruntime/b.py": "same"}
    )
    report = inspect_environment(environment.prefix)
    assert [(item.name, item.version, item.listed) for item in report.distributions] == [
        ("old-thing", "2.1", None),
        ("onnxruntime", "1.20.0", 6),
        ("onnxruntime-gpu", "1.20.0", 6),
    ]
    assert report.leftovers == ("lib/python3.12/site-packages/~orch",)
    assert report.overwrites == (
        Overwrite(names=("onnxruntime", "onnxruntime-gpu"), path="onnxruntime/a.py", count=1),
    )


def test_the_layouts_of_windows_and_conda(tmp_path: Path) -> None:
    windows = tmp_path / "windows"
    write(windows / "pyvenv.cfg", "home = C:\\Python312\nversion = 3.12.4\n")
    write(windows / "Scripts" / "python.exe", "")
    Environment.install(Environment(tmp_path / "base"), "pkg", "1.0", site=windows / "Lib" / "site-packages")
    report = inspect_environment(windows)
    assert report.interpreter == Interpreter(
        path=str(windows / "Scripts" / "python.exe"),
        exists=True,
        version="3.12.4",
        home="C:\\Python312",
        home_exists=False,
    )
    assert [item.name for item in report.distributions] == ["pkg"]
    conda = tmp_path / "base" / "env"
    (conda / "pyvenv.cfg").unlink()
    (conda / "conda-meta").mkdir()
    assert inspect_environment(conda).kind is EnvironmentKind.CONDA


def test_lib64_that_is_a_link_counts_once(environment: Environment) -> None:
    environment.install("pkg", "1.0")
    (environment.prefix / "lib64").symlink_to("lib")
    assert inspect_environment(environment.prefix).site_dirs == (str(environment.site),)


def test_what_comes_from_outside(tmp_path: Path) -> None:
    environment = Environment(tmp_path, system_site_packages=True)
    environment.install("torch", "2.11.0")
    foreign = tmp_path / "foreign"
    environment.install("extra", "3.0", site=foreign)
    write(environment.site / "foreign.pth", f"# a note\n{foreign}\n{tmp_path / 'gone'}\nimport os\n")
    base_site = environment.base / "lib" / "python3.12" / "site-packages"
    environment.install("numpy", "2.3.0", site=base_site)
    home = tmp_path / "home"
    user_site = home / ".local" / "lib" / "python3.12" / "site-packages"
    environment.install("torch", "2.4.0", site=user_site)
    app = tmp_path / "app"
    write(app / "torch.py", "")
    write(app / "nothing.py", "")
    report = inspect_environment(environment.prefix, env={"HOME": str(home), "PYTHONPATH": str(app)})
    assert report.path_files == (
        PathFile(name="foreign.pth", site_dir=str(environment.site), folders=(str(foreign),), imports=True),
    )
    assert report.site_dirs == (str(environment.site), str(foreign), str(base_site))
    assert [item.name for item in report.distributions] == ["torch", "extra", "numpy"]
    assert (report.user_site_dir, report.user_site_packages) == (str(user_site), ("torch",))
    assert report.shadows == (
        Shadow(name="torch", path=str(app / "torch.py")),
        Shadow(name="torch", path=str(user_site / "torch")),
    )
    alone = inspect_environment(environment.prefix, env={"HOME": str(home), "PYTHONNOUSERSITE": "1"})
    assert (alone.user_site_dir, alone.shadows) == (None, ())


@pytest.mark.parametrize(
    ("cuda", "text", "expected"),
    [
        ("13.0", "sm_75 sm_90 compute_120", ("sm_75", "sm_90", "compute_120")),
        ("12.8", "sm_90a", ("sm_90a",)),
        ("13.0", "", None),
        (None, "sm_75", None),
    ],
)
def test_the_architectures_in_torchs_library(
    environment: Environment, cuda: str | None, text: str, expected: tuple[str, ...] | None
) -> None:
    environment.install_torch(label="cu130", cuda=cuda, architectures=text)
    assert inspect_environment(environment.prefix).torch == TorchFiles(
        version="2.11.0+cu130", cuda=cuda, architectures=expected
    )


def test_what_real_wheels_say(environment: Environment) -> None:
    """Recorded from the wheels themselves: see the folder's README."""
    library = (DATA / "torch-2.11.0-libtorch_python.bin").read_bytes()
    environment.install_torch()
    (environment.site / "torch" / "lib" / "libtorch_python.so").write_bytes(library)
    for name, version, path, recorded in (
        ("torchvision", "0.26.0", "torchvision/version.py", "torchvision-0.26.0-version.txt"),
        ("torchaudio", "2.11.0", "torchaudio/version.py", "torchaudio-2.11.0-version.txt"),
        ("xformers", "0.0.35", "xformers/cpp_lib.json", "xformers-0.0.35-cpp_lib.json"),
        (
            "onnxruntime-gpu",
            "1.31.1",
            "onnxruntime/capi/build_and_package_info.py",
            "onnxruntime-gpu-1.31.1-build.txt",
        ),
    ):
        environment.install(name, version, files={path: (DATA / recorded).read_text(encoding="utf-8")})
    names = (DATA / "bitsandbytes-0.50.2-libraries.txt").read_text(encoding="utf-8").split()
    environment.install("bitsandbytes", "0.50.2", files={f"bitsandbytes/{name}": "" for name in names})
    version = (DATA / "torch-2.11.0+cu130-version.txt").read_text(encoding="utf-8")
    write(environment.site / "torch" / "version.py", version)
    report = inspect_environment(environment.prefix)
    assert report.torch == TorchFiles(
        version="2.11.0+cu130",
        cuda="13.0",
        architectures=("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"),
    )
    assert {item.name: item.build for item in report.distributions} == {
        "torch": {},
        "torchvision": {"version": "0.26.0+cu130"},
        "torchaudio": {"version": "2.11.0+cu130"},
        "xformers": {"cuda": "12.8", "torch": "2.10.0+cu128"},
        "onnxruntime-gpu": {"cuda": "13.0"},
        "bitsandbytes": {"cuda_libraries": "11.8 12.1 12.4 12.6 12.8 13.0 13.2"},
    }


@pytest.mark.parametrize(
    ("name", "files", "build"),
    [
        (
            "torchvision",
            {"torchvision/version.py": "__version__ = '0.26.0+cu130'\n"},
            {"version": "0.26.0+cu130"},
        ),
        (
            "xformers",
            {"xformers/cpp_lib.json": '{"version": {"cuda": 1208, "torch": "2.10.0+cu128"}}'},
            {"cuda": "12.8", "torch": "2.10.0+cu128"},
        ),
        ("xformers", {"xformers/cpp_lib.json": '{"version": 3}'}, {}),
        (
            "onnxruntime-gpu",
            {"onnxruntime/capi/build_and_package_info.py": "cuda_version = '13.0'\n"},
            {"cuda": "13.0"},
        ),
        ("paddlepaddle-gpu", {"paddle/version/__init__.py": "cuda_version     = '12.6'\n"}, {"cuda": "12.6"}),
        ("paddlepaddle-gpu", {"paddle/version/__init__.py": "cuda_version     = 'False'\n"}, {}),
        (
            "bitsandbytes",
            {"bitsandbytes/libbitsandbytes_cuda130.so": "", "bitsandbytes/libbitsandbytes_cuda118.so": ""},
            {"cuda_libraries": "11.8 13.0"},
        ),
        ("bitsandbytes", {"bitsandbytes/libbitsandbytes_cpu.so": ""}, {}),
    ],
)
def test_what_other_packages_say_of_their_build(
    environment: Environment, name: str, files: dict[str, str], build: dict[str, str]
) -> None:
    environment.install(name, "1.0", files=files)
    assert inspect_environment(environment.prefix).distributions[0].build == build


def test_the_users_cuda_libraries(environment: Environment, tmp_path: Path) -> None:
    toolkit = tmp_path / "cuda" / "lib64"
    write(toolkit / "libnvJitLink.so.12.4.127", "")
    (toolkit / "libnvJitLink.so.12").symlink_to("libnvJitLink.so.12.4.127")
    write(toolkit / "libcudnn.so.9", "")
    write(toolkit / "libcudart.so", "")
    write(toolkit / "libcuda.so.1", "")
    own = environment.site / "nvidia" / "cu13" / "lib"
    environment.install("nvidia-cublas", "13.1", files={"nvidia/cu13/lib/libcublas.so.13": ""})
    path = f"{toolkit}:{own}::{tmp_path / 'gone'}"
    report = inspect_environment(environment.prefix, env={"LD_LIBRARY_PATH": path})
    assert report.library_folders == (
        LibraryFolder(
            variable="LD_LIBRARY_PATH",
            path=str(toolkit),
            libraries={
                "libcudnn.so.9": None,
                "libnvJitLink.so.12": "12.4.127",
                "libnvJitLink.so.12.4.127": "12.4.127",
            },
        ),
    )
    assert report.libraries == ("libcublas.so.13",)


@given(st.text(max_size=300))
def test_a_record_of_any_text_is_read(text: str) -> None:
    assert all(row.path for row in parse_record(text))


@pytest.mark.parametrize("noise", [b"", b"\xff\xfe\0\0", b"[" * 100_000, os.urandom(4096)])
def test_noise_in_any_file_is_no_error(environment: Environment, noise: bytes) -> None:
    info = environment.install_torch()
    for path in (
        *info.iterdir(),
        info / "direct_url.json",
        environment.site / "torch" / "version.py",
        environment.site / "x.pth",
        environment.prefix / "pyvenv.cfg",
        environment.prefix / "provision-stack.json",
    ):
        path.write_bytes(noise)
    report = inspect_environment(
        environment.prefix, verify_files=True, env={"LD_LIBRARY_PATH": "\0:/dev/null"}
    )
    assert report.problem is None
    assert [item.name for item in report.distributions] == ["torch"]


def test_this_tools_own_environment() -> None:
    """A real one, made by uv: nothing in it is out of place."""
    report = inspect_environment(Path(sys.prefix))
    assert report.problem is None
    assert [item.name for item in report.distributions if item.fault_count or item.module_missing] == []
