"""Every check of an environment, over real folders that are whole or broken in one way."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from provision.core.architecture_check import choose_code
from provision.core.compiled_code import Runs
from provision.core.cuda_family import CudaBuild, parse_build
from provision.core.environment_checks import ENVIRONMENT_CHECKS
from provision.model.checkup import Shell
from provision.model.environment import (
    EnvironmentKind,
    EnvironmentReport,
    InstalledDistribution,
    Interpreter,
    LibraryFolder,
    Shadow,
    TorchFiles,
)
from provision.model.facts import Facts
from provision.model.finding import Finding, Severity
from provision.system.environment import inspect_environment
from tests.support.environments import PAIRS, Environment, run_check, write
from tests.support.machines import LINUX, make_facts, make_gpu

DATA = Path(__file__).parent.parent / "data" / "environments"
H200 = make_facts(make_gpu("NVIDIA H200", "9.0"))
RTX_5090 = make_facts(make_gpu("NVIDIA GeForce RTX 5090", "12.0"))
WINDOWS = make_facts(host=replace(LINUX, system="Windows", machine="AMD64"))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def check(identity: str, environment: Environment, facts: Facts = H200) -> Finding:
    return run_check(identity, inspect_environment(environment.prefix), facts)


def make_report(*installed: InstalledDistribution, **changes: object) -> EnvironmentReport:
    fields: dict[str, object] = {
        "prefix": "/env",
        "kind": EnvironmentKind.VENV,
        "interpreter": Interpreter(path="/env/bin/python", exists=True, version="3.12.11", minor="3.12"),
        "distributions": installed,
    }
    return EnvironmentReport(**(fields | changes))  # type: ignore[arg-type]


def make_item(name: str, version: str, /, *requires: str, **build: str) -> InstalledDistribution:
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    return InstalledDistribution(
        name=name,
        version=version,
        site_dir="/env/site",
        info_name=info,
        requires=requires,
        listed=3,
        build=build,
    )


def test_a_whole_environment_passes_every_check(environment: Environment) -> None:
    environment.install_torch()
    environment.install_torchvision()
    report = inspect_environment(environment.prefix)
    findings = [item.run(report, H200, PAIRS) for item in ENVIRONMENT_CHECKS]
    assert [(finding.id, finding.severity.value, finding.evidence) for finding in findings] == [
        ("stack.interpreter", "pass", f"Python 3.12.11 at {environment.python}"),
        ("stack.interrupted-install", "pass", "2 packages, none of them in part"),
        ("stack.files", "pass", "13 files have the size that their packages list"),
        ("stack.duplicates", "pass", "2 packages, each once"),
        ("stack.requirements", "pass", "2 packages have what they ask for"),
        ("stack.isolation", "pass", "nothing from outside is imported"),
        ("stack.foreign-libraries", "pass", "LD_LIBRARY_PATH names no folder with CUDA libraries"),
        ("stack.cuda-family", "pass", "torch is built for CUDA 13.0; 1 more package is of the same family"),
        ("stack.torch-pair", "pass", "torchvision 0.26.0 goes with torch 2.11.0"),
        ("stack.architectures", "pass", "NVIDIA H200 (9.0) runs torch's sm_90"),
        ("stack.bad-pairs", "pass", f"none of {len(PAIRS.bad_pairs)} known bad pairs is installed"),
    ]


def test_what_is_no_environment_fails_once_and_skips_the_rest(tmp_path: Path) -> None:
    report = inspect_environment(tmp_path / "gone")
    findings = [item.run(report, H200, PAIRS) for item in ENVIRONMENT_CHECKS]
    assert findings[0] == Finding(
        id="stack.interpreter",
        severity=Severity.FAIL,
        evidence=f"{tmp_path / 'gone'}: there is no such folder",
    )
    assert {(item.severity, item.evidence) for item in findings[1:]} == {
        (Severity.SKIP, "there is no such folder")
    }


def test_an_environment_without_torch_skips_what_is_about_torch(environment: Environment) -> None:
    environment.install("pkg", "1.0")
    report = inspect_environment(environment.prefix)
    skipped = [
        item.id for item in ENVIRONMENT_CHECKS if item.run(report, H200, PAIRS).severity is Severity.SKIP
    ]
    assert skipped == [
        "stack.foreign-libraries",
        "stack.cuda-family",
        "stack.torch-pair",
        "stack.architectures",
    ]


def test_a_base_interpreter_that_is_gone(environment: Environment) -> None:
    shutil.rmtree(environment.base)
    assert check("stack.interpreter", environment) == Finding(
        id="stack.interpreter",
        severity=Severity.FAIL,
        evidence=f"it was made from the python in {environment.base / 'bin'}, which is gone",
        cure=f"uv venv --allow-existing --python 3.12 {environment.prefix}",
    )


def test_a_link_to_no_interpreter(environment: Environment) -> None:
    (environment.base / "bin" / "python3.12").unlink()
    finding = check("stack.interpreter", environment)
    assert (finding.severity, finding.evidence) == (Severity.FAIL, f"{environment.python} does not exist")


def test_a_base_interpreter_of_another_version(environment: Environment) -> None:
    header = environment.base / "include" / "python3.12" / "patchlevel.h"
    write(header, '#define PY_VERSION  "3.13.1"\n')
    assert check("stack.interpreter", environment).evidence == (
        "it was made for Python 3.12, and the python behind it is 3.13.1 now"
    )


def test_an_installation_that_was_cut_short(environment: Environment) -> None:
    environment.install("pillow", "13.0.0")
    shutil.rmtree(environment.site / "pillow")
    info = environment.install("numpy", "2.3.0")
    (info / "RECORD").unlink()
    assert check("stack.interrupted-install", environment) == Finding(
        id="stack.interrupted-install",
        severity=Severity.FAIL,
        evidence="numpy-2.3.0.dist-info has no RECORD; pillow is registered, but none of its files is there",
        cure=f"uv pip install --python {environment.python} --reinstall --no-deps numpy==2.3.0 pillow==13.0.0",
    )
    # It is told once, not as a file that is missing too.
    assert check("stack.files", environment).severity is Severity.PASS


def test_a_removal_that_was_cut_short(environment: Environment) -> None:
    environment.install("numpy", "2.3.0")
    (environment.site / "~umpy").mkdir()
    place = "lib/python3.12/site-packages/~umpy"
    assert check("stack.interrupted-install", environment) == Finding(
        id="stack.interrupted-install",
        severity=Severity.WARN,
        evidence=f"{place} was left by a removal that did not finish",
        cure=f"rm -r '{environment.prefix}/{place}'",
    )


def test_altered_files(environment: Environment) -> None:
    environment.install("pkg", "1.0", files={"pkg/__init__.py": "", "pkg/a.py": "a", "pkg/b.py": "b"})
    write(environment.site / "pkg" / "a.py", "altered")
    (environment.site / "pkg" / "b.py").unlink()
    assert check("stack.files", environment) == Finding(
        id="stack.files",
        severity=Severity.FAIL,
        evidence="pkg==1.0: pkg/a.py has another size and 1 more",
        cure=f"uv pip install --python {environment.python} --reinstall --no-deps pkg==1.0",
    )


def test_certificates_that_a_company_added_stay(environment: Environment) -> None:
    environment.install("certifi", "2026.5.20", files={"certifi/cacert.pem": "one"})
    write(environment.site / "certifi" / "cacert.pem", "one and ours")
    assert check("stack.files", environment) == Finding(
        id="stack.files",
        severity=Severity.WARN,
        evidence="certifi==2026.5.20: certifi/cacert.pem has another size; certificates may have been added",
    )


def test_two_versions_of_one_package(environment: Environment) -> None:
    environment.install("numpy", "1.26.4")
    environment.install("numpy", "2.3.0")
    assert check("stack.duplicates", environment) == Finding(
        id="stack.duplicates",
        severity=Severity.FAIL,
        evidence="numpy is there as 1.26.4 and as 2.3.0",
        cure=f"uv pip install --python {environment.python} --reinstall --no-deps numpy",
    )


def test_two_packages_that_write_the_same_files(environment: Environment) -> None:
    environment.install("onnxruntime", "1.20.0", files={"onnxruntime/a.py": "cpu"})
    environment.install("onnxruntime-gpu", "1.20.0", files={"onnxruntime/a.py": "gpu"})
    assert check("stack.duplicates", environment) == Finding(
        id="stack.duplicates",
        severity=Severity.WARN,
        evidence="onnxruntime and onnxruntime-gpu both bring onnxruntime/a.py",
        cure=f"uv pip uninstall --python {environment.python} onnxruntime && "
        f"uv pip install --python {environment.python} --reinstall --no-deps onnxruntime-gpu",
    )


def test_requirements_of_packages_and_of_extras_that_are_asked_for() -> None:
    report = make_report(
        make_item(
            "torch",
            "2.11.0+cu130",
            "filelock",
            "setuptools<82",
            'cuda-toolkit[cublas,cudart]==13.0.2; platform_system == "Linux"',
            'triton==3.6.0; platform_system == "Windows"',
            'tomli; python_version < "3.11"',
            'optree>=0.13.0; extra == "optree"',
        ),
        make_item(
            "cuda-toolkit",
            "13.0.2",
            'nvidia-cublas==13.1.0; extra == "cublas"',
            'nvidia-cuda-runtime==13.0.96; extra == "cudart"',
            'nvidia-cufft==12.0; extra == "cufft"',
        ),
        make_item("setuptools", "84.2.1"),
        make_item("nvidia-cublas", "13.1.0"),
        make_item("odd", "not a version", "no requirement at all (", "torch", "extra-named-extra"),
        make_item("extra-named-extra", "1.0"),
    )
    assert run_check("stack.requirements", report, H200) == Finding(
        id="stack.requirements",
        severity=Severity.FAIL,
        evidence="torch asks for filelock, which is not installed; "
        "cuda-toolkit asks for nvidia-cuda-runtime==13.0.96, which is not installed; "
        "torch asks for setuptools<82, and 84.2.1 is installed",
        cure="uv pip install --python /env/bin/python filelock nvidia-cuda-runtime==13.0.96 'setuptools<82'",
    )
    windows = run_check("stack.requirements", report, WINDOWS)
    assert windows.cure == 'uv pip install --python /env/bin/python filelock triton==3.6.0 "setuptools<82"'


def test_the_requirements_of_a_real_torch() -> None:
    """Recorded from the wheel: its extras are nobody's, and Windows has none of the CUDA packages."""
    lines = (DATA / "torch-2.11.0-requires.txt").read_text(encoding="utf-8").splitlines()
    names = ["filelock", "typing-extensions", "sympy", "networkx", "jinja2", "fsspec", "setuptools"]
    plain = [make_item(name, "80.0") for name in names]
    report = make_report(make_item("torch", "2.11.0+cu130", *lines), *plain)
    assert run_check("stack.requirements", report, WINDOWS) == Finding(
        id="stack.requirements", severity=Severity.PASS, evidence="8 packages have what they ask for"
    )
    assert run_check("stack.requirements", report, H200).cure == (
        "uv pip install --python /env/bin/python cuda-toolkit==13.0.2 'cuda-bindings<14,>=13.0.3' "
        "nvidia-cudnn-cu13==9.19.0.56 nvidia-cusparselt-cu13==0.8.0 nvidia-nccl-cu13==2.28.9 "
        "nvidia-nvshmem-cu13==3.4.5 triton==3.6.0"
    )


def test_a_version_that_is_refused_is_a_warning() -> None:
    report = make_report(make_item("torch", "2.11.0", "setuptools<82"), make_item("setuptools", "84.2.1"))
    finding = run_check("stack.requirements", report, H200)
    assert (finding.severity, finding.evidence) == (
        Severity.WARN,
        "torch asks for setuptools<82, and 84.2.1 is installed",
    )


def test_what_comes_from_outside(tmp_path: Path) -> None:
    environment = Environment(tmp_path, system_site_packages=True)
    environment.install("torch", "2.11.0")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    write(environment.site / "foreign.pth", f"{foreign}\n")
    finding = check("stack.isolation", environment)
    assert finding.severity is Severity.WARN
    assert finding.cure == f"set include-system-site-packages = false in {environment.prefix}/pyvenv.cfg"
    assert finding.evidence == (
        f"pyvenv.cfg lets in the packages of {environment.base / 'bin'}; foreign.pth adds {foreign}"
    )


def test_a_module_in_front_and_the_users_packages() -> None:
    report = make_report(
        shadows=(Shadow(name="torch", path="/app/torch.py"),),
        user_site_dir="/home/ada/.local/lib/python3.12/site-packages",
        user_site_packages=("torch", "numpy"),
    )
    assert run_check("stack.isolation", report, H200) == Finding(
        id="stack.isolation",
        severity=Severity.FAIL,
        evidence="/app/torch.py is imported in place of torch; "
        "/home/ada/.local/lib/python3.12/site-packages comes first, with torch, numpy",
        cure="export PYTHONNOUSERSITE=1",
    )
    windows = run_check("stack.isolation", report, WINDOWS, Shell.POWERSHELL)
    assert windows.cure == "$env:PYTHONNOUSERSITE = '1'"


def test_an_editable_installation_may_add_its_folder(environment: Environment, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    info = environment.install("my-app", "1.0", files={"_my_app.pth": f"{source}\n"})
    write(info / "direct_url.json", '{"url": "file:///source", "dir_info": {"editable": true}}')
    assert check("stack.isolation", environment) == Finding(
        id="stack.isolation",
        severity=Severity.PASS,
        evidence="nothing from outside is imported; installed from a folder (editable): my-app",
    )


CUDA_TORCH = TorchFiles(version="2.8.0+cu128", cuda="12.8", architectures=("sm_90",))


@pytest.mark.parametrize(
    ("libraries", "severity", "evidence", "cure"),
    [
        (
            {"libcudart.so.11": None},
            Severity.PASS,
            "/usr/local/cuda/lib64 holds CUDA libraries, of other versions than the wheels ask for",
            None,
        ),
        (
            {"libnvJitLink.so.12": "12.4.127"},
            Severity.FAIL,
            "LD_LIBRARY_PATH comes before the wheels' own copies: /usr/local/cuda/lib64 has libnvJitLink.so.12; "
            "libnvJitLink.so.12 is 12.4.127 there and 12.8.93 in the wheel, which needs its own",
            "unset LD_LIBRARY_PATH",
        ),
        (
            {"libcudnn_cnn.so.9": None},
            Severity.WARN,
            "LD_LIBRARY_PATH comes before the wheels' own copies: /usr/local/cuda/lib64 has libcudnn_cnn.so.9",
            "unset LD_LIBRARY_PATH",
        ),
        (
            {"libcudart.so.12": None},
            Severity.PASS,
            "/usr/local/cuda/lib64 has libcudart.so.12, which torch's RPATH passes by",
            None,
        ),
    ],
)
def test_the_users_cuda_libraries(
    libraries: dict[str, str | None], severity: Severity, evidence: str, cure: str | None
) -> None:
    report = make_report(
        make_item("nvidia-nvjitlink-cu12", "12.8.93"),
        torch=CUDA_TORCH,
        libraries=("libcudart.so.12", "libcudnn_cnn.so.9", "libnvJitLink.so.12"),
        library_folders=(
            LibraryFolder(variable="LD_LIBRARY_PATH", path="/usr/local/cuda/lib64", libraries=libraries),
        ),
    )
    assert run_check("stack.foreign-libraries", report, H200) == Finding(
        id="stack.foreign-libraries", severity=severity, evidence=evidence, cure=cure
    )


@pytest.mark.parametrize(
    ("item", "build"),
    [
        (
            make_item("torchvision", "0.26.0", version="0.26.0+cu130"),
            CudaBuild(name="torchvision", major=13, minor=0),
        ),
        (make_item("torchvision", "0.28.0+cpu"), CudaBuild(name="torchvision", major=None)),
        (
            make_item("flash-attn", "2.8.3+cu12torch2.8cxx11abiTRUE"),
            CudaBuild(name="flash-attn", major=12, torch="2.8"),
        ),
        (make_item("vllm", "0.11.0+cu129"), CudaBuild(name="vllm", major=12, minor=9)),
        (make_item("nvidia-cudnn-cu12", "9.10.2.21"), CudaBuild(name="nvidia-cudnn-cu12", major=12)),
        (make_item("cupy-cuda12x", "13.6.0"), CudaBuild(name="cupy-cuda12x", major=12)),
        (make_item("jax-cuda12-plugin", "0.8.0"), CudaBuild(name="jax-cuda12-plugin", major=12)),
        (
            make_item("nvidia-cuda-runtime", "13.0.96"),
            CudaBuild(name="nvidia-cuda-runtime", major=13, minor=0),
        ),
        (make_item("nvidia-cufft", "12.0.0.61"), None),
        (
            make_item("xformers", "0.0.35", cuda="12.8", torch="2.10.0+cu128"),
            CudaBuild(name="xformers", major=12, minor=8, torch="2.10"),
        ),
        (make_item("numpy", "2.3.0"), None),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_a_wheel_was_built_for(item: InstalledDistribution, build: CudaBuild | None) -> None:
    assert parse_build(item) == build


CU130 = TorchFiles(version="2.11.0+cu130", cuda="13.0", architectures=("sm_90",))
CPU = TorchFiles(version="2.13.0+cpu")


@pytest.mark.parametrize(
    ("torch", "installed", "severity", "evidence", "cure"),
    [
        (
            CU130,
            [make_item("torchvision", "0.26.0", version="0.26.0+cu128")],
            Severity.FAIL,
            "torch is built for CUDA 13.0; torchvision is built for CUDA 12.8",
            "uv pip install --python /env/bin/python --reinstall --torch-backend=cu130 torch==2.11.0 torchvision",
        ),
        (
            CPU,
            [make_item("torchvision", "0.28.0", version="0.28.0+cu130")],
            Severity.FAIL,
            "torch is built for the CPU; torchvision is built for CUDA 13.0",
            "uv pip install --python /env/bin/python --reinstall --torch-backend=cpu torch==2.13.0 torchvision",
        ),
        (
            CU130,
            [make_item("torchvision", "0.26.0+cpu")],
            Severity.WARN,
            "torch is built for CUDA 13.0; torchvision is built for the CPU, so its operators do not run on the GPU",
            "uv pip install --python /env/bin/python --reinstall --torch-backend=cu130 torch==2.11.0 torchvision",
        ),
        (
            CU130,
            [make_item("flash-attn", "2.8.3+cu12torch2.8cxx11abiTRUE")],
            Severity.FAIL,
            "torch is built for CUDA 13.0; flash-attn is built for torch 2.8, not 2.11",
            "uv pip uninstall --python /env/bin/python flash-attn",
        ),
        (
            CU130,
            [make_item("nvidia-cublas-cu12", "12.8.4.1"), make_item("nvidia-cudnn-cu12", "9.10.2.21")],
            Severity.WARN,
            "torch is built for CUDA 13.0; nvidia-cublas-cu12, nvidia-cudnn-cu12 are of another CUDA, "
            "which torch does not load",
            "uv pip uninstall --python /env/bin/python nvidia-cublas-cu12 nvidia-cudnn-cu12",
        ),
        (
            CU130,
            [make_item("bitsandbytes", "0.45.0", cuda_libraries="11.8 12.6")],
            Severity.FAIL,
            "torch is built for CUDA 13.0; bitsandbytes has libraries for CUDA 11.8, 12.6 only",
            "uv pip install --python /env/bin/python --upgrade bitsandbytes",
        ),
        (
            CU130,
            [make_item("bitsandbytes", "0.50.2", cuda_libraries="12.8 13.2")],
            Severity.PASS,
            "torch is built for CUDA 13.0",
            None,
        ),
        (
            CU130,
            [
                make_item("onnxruntime-gpu", "1.22.0", cuda="12.8"),
                make_item("xformers", "0.0.35", cuda="12.8"),
            ],
            Severity.WARN,
            "torch is built for CUDA 13.0; onnxruntime-gpu is built for CUDA 12.8; xformers is built for CUDA 12.8",
            "uv pip install --python /env/bin/python --upgrade onnxruntime-gpu xformers",
        ),
        (
            TorchFiles(version="2.11.0+rocm7.2", hip="7.2.0"),
            [],
            Severity.SKIP,
            "torch is built for ROCm 7.2.0",
            None,
        ),
    ],
)
def test_the_cuda_family(
    torch: TorchFiles,
    installed: list[InstalledDistribution],
    severity: Severity,
    evidence: str,
    cure: str | None,
) -> None:
    report = make_report(*installed, torch=torch)
    assert run_check("stack.cuda-family", report, H200) == Finding(
        id="stack.cuda-family", severity=severity, evidence=evidence, cure=cure
    )


@pytest.mark.parametrize(
    ("installed", "severity", "evidence", "cure"),
    [
        (
            [make_item("torch", "2.11.0"), make_item("torchvision", "0.25.0", "torch==2.10.0")],
            Severity.FAIL,
            "torch 2.11.0 is installed; torchvision 0.25.0 is built for torch==2.10.0",
            "uv pip install --python /env/bin/python --torch-backend=cu130 torch==2.11.0 torchvision==0.26.0",
        ),
        (
            [make_item("torch", "2.13.0"), make_item("torchvision", "0.29.1", "torch")],
            Severity.FAIL,
            "torch 2.13.0 is installed; torchvision 0.29.1 is not one of torch 2.13.0's, which are 0.28.0",
            "uv pip install --python /env/bin/python --torch-backend=cu130 torch==2.13.0 torchvision==0.28.0",
        ),
        (
            [make_item("torch", "2.11.0"), make_item("torchaudio", "2.10.0", "torch==2.10.0")],
            Severity.FAIL,
            "torch 2.11.0 is installed; torchaudio 2.10.0 is built for torch==2.10.0",
            "uv pip install --python /env/bin/python --torch-backend=cu130 torch==2.11.0 torchaudio==2.11.0",
        ),
        (
            [make_item("torch", "2.99.0"), make_item("torchvision", "0.99.0", "torch==2.99.0")],
            Severity.PASS,
            "torchvision 0.99.0 goes with torch 2.99.0",
            None,
        ),
        (
            [make_item("torch", "2.11.0")],
            Severity.SKIP,
            "neither torchvision nor torchaudio is installed",
            None,
        ),
    ],
)
def test_torch_and_its_pair(
    installed: list[InstalledDistribution], severity: Severity, evidence: str, cure: str | None
) -> None:
    report = make_report(*installed, torch=CU130)
    assert run_check("stack.torch-pair", report, H200) == Finding(
        id="stack.torch-pair", severity=severity, evidence=evidence, cure=cure
    )


@pytest.mark.parametrize(
    ("architectures", "capability", "expected"),
    [
        (("sm_75", "sm_80", "sm_86", "sm_90"), "8.9", (Runs.NATIVE, "sm_86")),
        (("sm_80", "sm_86", "sm_90"), "8.7", (Runs.NOT, None)),
        (("sm_87",), "8.7", (Runs.NATIVE, "sm_87")),
        (("sm_100", "sm_120"), "12.1", (Runs.NATIVE, "sm_120")),
        (("sm_90",), "12.0", (Runs.NOT, None)),
        (("sm_90", "compute_90"), "12.0", (Runs.COMPILED, "compute_90")),
        (("sm_90a",), "9.0", (Runs.NATIVE, "sm_90a")),
        (("sm_100a", "compute_100a"), "10.3", (Runs.NOT, None)),
        (("sm_100f",), "10.3", (Runs.NATIVE, "sm_100f")),
        (("gfx942",), "9.0", (Runs.NOT, None)),
    ],
)
def test_which_code_a_device_runs(
    architectures: tuple[str, ...], capability: str, expected: tuple[Runs, str | None]
) -> None:
    assert choose_code(architectures, capability) == expected


@pytest.mark.parametrize(
    ("torch", "facts", "severity", "evidence", "cure"),
    [
        (
            TorchFiles(version="2.6.0+cu124", cuda="12.4", architectures=("sm_80", "sm_90")),
            RTX_5090,
            Severity.FAIL,
            "torch 2.6.0+cu124 has code for sm_80 sm_90; nothing runs on NVIDIA GeForce RTX 5090 (12.0)",
            "uv pip install --python /env/bin/python --upgrade --torch-backend=auto torch torchvision",
        ),
        (
            TorchFiles(version="2.11.0+cu130", cuda="13.0", architectures=("sm_75",)),
            make_facts(make_gpu("NVIDIA GeForce GTX 1080 Ti", "6.1")),
            Severity.FAIL,
            "torch 2.11.0+cu130 has code for sm_75; nothing runs on NVIDIA GeForce GTX 1080 Ti (6.1)",
            "uv pip install --python /env/bin/python --upgrade --torch-backend=cu126 'torch<2.15' torchvision",
        ),
        (
            TorchFiles(version="2.8.0+cu129", cuda="12.9", architectures=("sm_90", "compute_90")),
            RTX_5090,
            Severity.WARN,
            "NVIDIA GeForce RTX 5090 (12.0) has no compiled code; the driver compiles compute_90 at first use, "
            "which takes minutes",
            None,
        ),
        (
            TorchFiles(version="2.13.0+cpu"),
            H200,
            Severity.WARN,
            "torch 2.13.0+cpu is built for the CPU, and there is NVIDIA H200 (9.0)",
            "uv pip install --python /env/bin/python --upgrade --torch-backend=auto torch torchvision",
        ),
        (TorchFiles(version="2.13.0+cpu"), make_facts(), Severity.SKIP, "there is no GPU", None),
        (
            TorchFiles(version="2.11.0+cu130", cuda="13.0"),
            H200,
            Severity.SKIP,
            "no list of architectures was found in the libraries of torch 2.11.0+cu130",
            None,
        ),
    ],
)
def test_torchs_code_for_the_gpus(
    torch: TorchFiles, facts: Facts, severity: Severity, evidence: str, cure: str | None
) -> None:
    assert run_check("stack.architectures", make_report(torch=torch), facts) == Finding(
        id="stack.architectures", severity=severity, evidence=evidence, cure=cure
    )


def test_a_stack_of_ours_is_built_again() -> None:
    torch = TorchFiles(version="2.6.0+cu124", cuda="12.4", architectures=("sm_90",))
    report = make_report(torch=torch, managed=True)
    assert run_check("stack.architectures", report, RTX_5090).cure == "provision apply auto"


def find_version(wanted: str) -> str:
    """A version in a range of the data: one of the ends, or a neighbour of one."""
    specifier = SpecifierSet(wanted)
    ends = [Version(item.version.removesuffix(".*")) for item in specifier] or [Version("1.0")]
    near = [str(end) for end in ends] + [f"{end.major}.{end.minor - 1}" for end in ends if end.minor]
    near += [f"{end.major - 1}.99" for end in ends if end.major]
    return next(version for version in near if specifier.contains(version, prereleases=True))


@pytest.mark.parametrize("pair", PAIRS.bad_pairs, ids=lambda pair: pair.id)
def test_every_known_bad_pair_is_found(pair) -> None:
    installed = [make_item(name, find_version(wanted)) for name, wanted in pair.packages.items()]
    facts = WINDOWS if pair.when.systems else H200
    if pair.when.capability:
        facts = RTX_5090 if pair.when.capability.startswith(">") else make_facts(make_gpu("Tesla T4", "7.5"))
    finding = run_check("stack.bad-pairs", make_report(*installed), facts)
    versions = " with ".join(f"{item.name} {item.version}" for item in installed)
    assert finding.severity == pair.severity
    assert f"{versions}: {pair.what} ({pair.status}, {pair.source})" in finding.evidence
    lacking = run_check("stack.bad-pairs", make_report(*installed[1:]), facts)
    assert pair.what not in lacking.evidence


def test_a_bad_pair_in_whole() -> None:
    report = make_report(make_item("transformers", "4.57.6"), make_item("huggingface-hub", "1.2.3"))
    assert run_check("stack.bad-pairs", report, H200) == Finding(
        id="stack.bad-pairs",
        severity=Severity.FAIL,
        evidence="transformers 4.57.6 with huggingface-hub 1.2.3: transformers 4 refuses to be imported with "
        "huggingface-hub 1 or newer (reported, https://github.com/pytorch/executorch/pull/15398)",
        cure="uv pip install --python /env/bin/python 'huggingface-hub<1'",
    )


@pytest.mark.parametrize(
    ("installed", "facts"),
    [
        ([make_item("flash-attn", "2.7.4.post1")], H200),
        ([make_item("paddlepaddle-gpu", "3.2.0"), make_item("torch", "2.11.0")], H200),
        ([make_item("numpy", "2.3.0"), make_item("torch", "2.3.1")], H200),
        ([make_item("torch", "2.9.1"), make_item("nvidia-cudnn-cu12", "9.15.1.9")], H200),
        ([make_item("transformers", "5.22.2"), make_item("huggingface-hub", "2.4.0")], H200),
        ([make_item("flash-attn", "2.7.0")], make_facts(make_gpu("unknown", None))),
    ],
)
def test_good_pairs_are_left_alone(installed: list[InstalledDistribution], facts: Facts) -> None:
    assert run_check("stack.bad-pairs", make_report(*installed), facts).severity is Severity.PASS
