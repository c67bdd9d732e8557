"""Samples of every kind, written from the formats with our own values, and what each must give."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.core.parse.facts import parse_probe
from provision.core.parse.nvidia_text.sources import LAST_RESORT, SOURCES
from provision.core.parse.recognise import build_pasted_probe, recognise
from provision.model.facts import ConditionId, Facts, Gpu, Vendor
from tests.core.parse.gpu_names import ROOT, load_gpu_names

PASTES = ROOT / "tests" / "data" / "pastes" / "nvidia"
NAMES = load_gpu_names()
TEXTS = {path.stem: path.read_bytes().decode() for path in sorted(PASTES.iterdir())}
BY_NAME = "compute-capability-by-name"
T4 = ("Tesla T4", 15360, None, "7.5", "turing")
H200 = ("NVIDIA H200", 143771, None, "9.0", "hopper")
A100 = ("NVIDIA A100-SXM4-80GB", 81920, None, "8.0", "ampere")
L40_24Q = ("NVIDIA L40-24Q", 24576, None, "8.9", "ada")
T4_TABLE = ("nvidia-smi-table", [T4], "535.183.01", "12.2", {BY_NAME})

# kind, GPUs as (name, MiB, capability told, capability known, architecture), driver, CUDA, conditions
EXPECTED = {
    "table-rtx5090": (
        "nvidia-smi-table",
        [("NVIDIA GeForce RTX 5090", 32607, None, "12.0", "blackwell")],
        "580.95.05",
        "13.0",
        {BY_NAME},
    ),
    "table-8x-h200": (
        "nvidia-smi-table",
        [H200] * 8,
        "570.172.08",
        "12.8",
        {BY_NAME, "multi-gpu", "mig-capable-disabled"},
    ),
    "table-8x-h200-cut": (
        "nvidia-smi-table",
        [*[H200] * 7, ("NVIDIA H200", None, None, "9.0", "hopper")],
        "570.172.08",
        "12.8",
        {BY_NAME, "multi-gpu", "mig-capable-disabled", "truncated"},
    ),
    "table-rtx4090-windows": (
        "nvidia-smi-table",
        [("NVIDIA GeForce RTX 4090", 24564, None, "8.9", "ada")],
        "566.36",
        "12.7",
        {BY_NAME, "windows", "wddm"},
    ),
    "table-rtx5070ti-wsl2": (
        "nvidia-smi-table",
        [("NVIDIA GeForce RTX 5070 Ti", 16303, None, "12.0", "blackwell")],
        "581.42",
        "13.0",
        {BY_NAME, "wsl"},
    ),
    "table-gb10": (
        "nvidia-smi-table",
        [("NVIDIA GB10", None, None, "12.1", "blackwell")],
        "580.142",
        "13.0",
        {BY_NAME, "dgx-spark", "unified-memory", "memory-not-supported", "nonzero-pci-domain", "aarch64"},
    ),
    "table-laptop": (
        "nvidia-smi-table",
        [("NVIDIA GeForce RTX 5080 ...", 16303, None, "12.0", "blackwell")],
        "580.126.09",
        "13.0",
        {BY_NAME, "laptop", "name-truncated"},
    ),
    "table-610-pro6000": (
        "nvidia-smi-table",
        [("NVIDIA RTX PRO 6000 Blac...", 97887, None, "12.0", "blackwell")],
        "610.43.02",
        "13.3",
        {BY_NAME, "kmd-header", "name-truncated", "mig-capable-disabled"},
    ),
    "table-err": (
        "nvidia-smi-table",
        [
            ("NVIDIA GeForce RTX 3090", 24576, None, "8.6", "ampere"),
            ("NVIDIA GeForce RTX 3090", None, None, "8.6", "ampere"),
        ],
        "550.144.03",
        "12.4",
        {BY_NAME, "multi-gpu", "gpu-lost"},
    ),
    "table-a100-mig": ("nvidia-smi-table", [A100], "590.48.01", "13.1", {BY_NAME, "mig"}),
    "table-a100-mig-none": (
        "nvidia-smi-table",
        [A100],
        "590.48.01",
        "13.1",
        {BY_NAME, "mig", "mig-no-instances"},
    ),
    "table-gtx1080-390": (
        "nvidia-smi-table",
        [("GeForce GTX 1080", 8117, None, "6.1", "pascal")],
        "390.116",
        None,
        {BY_NAME, "old-driver", "two-line-rows", "no-cuda-version-field", "name-without-nvidia-prefix"},
    ),
    "table-only-a-row": (
        "nvidia-smi-table",
        [("NVIDIA L40S", 46068, None, "8.9", "ada")],
        None,
        None,
        {BY_NAME, "header-missing", "truncated"},
    ),
    "header-cut": ("nvidia-smi-table", [], "535.183.01", "12.2", {"header-only", "truncated"}),
    "table-t4": T4_TABLE,
    "table-in-markdown": T4_TABLE,
    "table-quoted": T4_TABLE,
    "table-compose": T4_TABLE,
    "table-kubectl-stamped": T4_TABLE,
    "table-ansi": T4_TABLE,
    "table-in-json": T4_TABLE,
    "table-json-lines": T4_TABLE,
    "table-escaped": T4_TABLE,
    "table-mojibake": T4_TABLE,
    "table-tabs": (*T4_TABLE[:4], {BY_NAME, "truncated"}),
    "table-bars-lost": (*T4_TABLE[:4], {BY_NAME, "truncated"}),
    "two-outputs": (
        "nvidia-smi-table",
        [("NVIDIA GeForce RTX 2080 SUPER", 8192, None, "7.5", "turing")],
        "535.183.01",
        "12.2",
        {BY_NAME, "name-truncated", "closed-kernel-module"},
    ),
    "list-h100-mig": (
        "nvidia-smi-L",
        [("NVIDIA H100 80GB HBM3", None, None, "9.0", "hopper")] * 2,
        None,
        None,
        {BY_NAME, "mig", "multi-gpu"},
    ),
    "csv-header": (
        "nvidia-smi-csv",
        [
            ("NVIDIA GeForce RTX 4090", 24564, "8.9", "8.9", "ada"),
            ("NVIDIA GeForce RTX 3060", 12288, "8.6", "8.6", "ampere"),
        ],
        "560.35.03",
        None,
        {"multi-gpu", "mixed-models"},
    ),
    "csv-spreadsheet": (
        "nvidia-smi-csv",
        [("Tesla T4", 15360, "7.5", "7.5", "turing")],
        "535.183.01",
        None,
        set(),
    ),
    "csv-tabs": (
        "nvidia-smi-csv",
        [("NVIDIA L4", 23034, None, "8.9", "ada")],
        "570.144",
        None,
        {BY_NAME},
    ),
    "csv-noheader": (
        "nvidia-smi-csv",
        [("NVIDIA GeForce RTX 5090", 32607, "12.0", "12.0", "blackwell")],
        "580.95.05",
        None,
        {"csv-noheader"},
    ),
    "csv-noheader-nounits": (
        "nvidia-smi-csv",
        [("NVIDIA H200", 143771, "9.0", "9.0", "hopper")] * 2,
        "570.172.08",
        None,
        {"csv-noheader", "csv-nounits", "multi-gpu"},
    ),
    "csv-noheader-power": (
        "nvidia-smi-csv",
        [("NVIDIA GeForce RTX 3090", 24576, None, "8.6", "ampere")],
        None,
        None,
        {BY_NAME, "csv-noheader", "csv-nounits"},
    ),
    "csv-name-alone": (
        "nvidia-smi-csv",
        [("NVIDIA GeForce RTX 2080 with Max-Q Design", None, None, "7.5", "turing")],
        None,
        None,
        {BY_NAME, "csv-noheader", "laptop"},
    ),
    "list-without-uuid": (
        "nvidia-smi-L",
        [("NVIDIA GeForce RTX 3090", None, None, "8.6", "ampere")] * 2,
        None,
        None,
        {BY_NAME, "multi-gpu"},
    ),
    "gpustat": (
        "nvidia-smi-json",
        [("NVIDIA GeForce RTX 3090", 24576, None, "8.6", "ampere")],
        "570.172.08",
        None,
        {BY_NAME},
    ),
    "table-narrow-console": T4_TABLE,
    "nvitop": (*T4_TABLE[:4], {BY_NAME, "two-line-rows"}),
    "csv-warning": (
        "nvidia-smi-csv",
        [("NVIDIA RTX A6000", 49140, "8.6", "8.6", "ampere")],
        None,
        None,
        {"warning-line"},
    ),
    "q-a100-mig-first-of-two": ("nvidia-smi-q", [A100], "590.48.01", "13.1", {BY_NAME, "mig", "truncated"}),
    "q-trimmed-indentation": ("nvidia-smi-q", [A100], "590.48.01", "13.1", {BY_NAME, "mig", "truncated"}),
    "xml-vgpu-windows": (
        "nvidia-smi-xml",
        [L40_24Q],
        "552.22",
        "12.4",
        {BY_NAME, "windows", "wddm", "vgpu"},
    ),
    "xml-beginning-lost": (
        "nvidia-smi-xml",
        [L40_24Q],
        None,
        None,
        {BY_NAME, "windows", "wddm", "vgpu", "header-missing"},
    ),
    "version-610": ("nvidia-smi-version", [], "610.43.02", "13.3", set()),
    "version-wsl": ("nvidia-smi-version", [], "581.42", "13.0", {"wsl"}),
    "proc-open-aarch64": (
        "proc-driver-nvidia-version",
        [],
        "580.142",
        None,
        {"open-kernel-module", "aarch64"},
    ),
    "sys-module": ("sys-module-nvidia-version", [], "570.172.08", None, set()),
    "q-keys-alone": (
        "nvidia-smi-q",
        [
            ("NVIDIA RTX 4000 Ada Generation", None, None, "8.9", "ada"),
            ("NVIDIA GeForce RTX 3060", None, None, "8.6", "ampere"),
        ],
        "575.64.03",
        "12.9",
        {BY_NAME, "multi-gpu", "mixed-models"},
    ),
    "q-m2075-304": (
        "nvidia-smi-q",
        [("Tesla M2075", 5375, None, "2.0", "fermi")],
        "304.64",
        None,
        {BY_NAME, "short-bus-id", "unsupported-gpu", "old-driver"},
    ),
    "xml-cut-in-gpu": (
        "nvidia-smi-xml",
        [("NVIDIA GeForce RTX 5080", None, None, "12.0", "blackwell")],
        "580.65.06",
        "13.0",
        {BY_NAME, "truncated"},
    ),
    "xml-no-cuda": (
        "nvidia-smi-xml",
        [("NVIDIA A16", 15356, None, "8.6", "ampere")],
        "535.161.07",
        None,
        {BY_NAME, "cuda-version-na"},
    ),
    "list-serial-numbers": (
        "nvidia-smi-L",
        [("Tesla C2070", None, None, "2.0", "fermi")] * 2,
        None,
        None,
        {BY_NAME, "multi-gpu", "unsupported-gpu"},
    ),
    "device-query-driver-api": (
        "cuda-deviceQuery",
        [("Tesla V100-PCIE-16GB", 16160, "7.0", "7.0", "volta")],
        None,
        "11.4",
        set(),
    ),
    "device-query-no-device": ("cuda-deviceQuery", [], None, None, {"no-device", "error"}),
    "device-query-no-driver": ("cuda-deviceQuery", [], None, None, {"driver-not-loaded", "error"}),
    "collect-env-one-line": (
        "collect-env",
        [("NVIDIA GeForce RTX 5090", None, None, "12.0", "blackwell")] * 2,
        "576.80",
        None,
        {BY_NAME, "multi-gpu", "wsl"},
    ),
    "device-query-t4": (
        "cuda-deviceQuery",
        [("Tesla T4", 14914, "7.5", "7.5", "turing")],
        None,
        "12.4",
        set(),
    ),
    "collect-env-torch-old-for-5090": (
        "collect-env",
        [("NVIDIA GeForce RTX 5090", None, "12.0", "12.0", "blackwell")],
        "580.95.05",
        None,
        {"arch-newer-than-torch-build"},
    ),
    "collect-env-windows": (
        "collect-env",
        [("NVIDIA GeForce RTX 4090", None, None, "8.9", "ada")],
        "577.00",
        None,
        {BY_NAME, "windows"},
    ),
    "sglang-2x-4090": (
        "sglang-check-env",
        [("NVIDIA GeForce RTX 4090", None, "8.9", "8.9", "ada")] * 2,
        "570.172.08",
        None,
        {"multi-gpu", "vm"},
    ),
}


def _parse(text: str) -> Facts:
    return parse_probe(build_pasted_probe(text, created="2026-11-21T12:00:00Z"), NAMES)


def _list_ids(facts):
    return {str(condition.id) for condition in facts.conditions}


@pytest.mark.parametrize("name", EXPECTED)
def test_samples(name):
    kind, gpus, driver, cuda, conditions = EXPECTED[name]
    facts = _parse(TEXTS[name])
    assert recognise(TEXTS[name])[0] == kind
    assert [
        (gpu.name, gpu.memory_mib, gpu.compute_capability, gpu.best_compute_capability, gpu.arch)
        for gpu in facts.gpus
    ] == gpus
    assert (facts.vendor, facts.driver, facts.cuda_driver_version) == (Vendor.NVIDIA, driver, cuda)
    assert _list_ids(facts) == conditions


def test_every_sample_is_expected_here():
    assert set(TEXTS) == {*EXPECTED, "collect-env-rocm", "collect-env-apple"}


def test_every_kind_has_a_sample():
    found = {kind for text in TEXTS.values() for kind in recognise(text)} | {"nvidia-smi-error"}
    assert {source.kind for source in (*SOURCES, *LAST_RESORT)} <= found


def test_torch_calls_amd_gpus_cuda_devices():
    facts = _parse(TEXTS["collect-env-rocm"])
    assert facts.vendor is Vendor.AMD
    assert facts.gpus == (Gpu(name="AMD Radeon RX 7900 XTX", arch="gfx1100", vendor=Vendor.AMD),)
    assert facts.versions == {"torch": "2.9.1+rocm6.4", "rocm": "6.4.43484"}


def test_a_mac_of_apple_s_own_chip():
    facts = _parse(TEXTS["collect-env-apple"])
    assert (facts.vendor, facts.gpus, facts.versions) == (Vendor.APPLE, (), {"torch": "2.8.0"})
    assert (facts.host.system, facts.host.machine) == ("Darwin", "arm64")


def test_one_output_completes_another():
    facts = _parse(TEXTS["two-outputs"])
    assert recognise(TEXTS["two-outputs"]) == (
        "nvidia-smi-table",
        "nvidia-smi-L",
        "proc-driver-nvidia-version",
    )
    assert facts.gpus == (
        Gpu(
            name="NVIDIA GeForce RTX 2080 SUPER",
            uuid="GPU-5c0ffee5-0011-4abc-8def-000000002080",
            memory_mib=8192,
            memory_used_mib=300,
            compute_capability_by_name="7.5",
            arch="turing",
            pci_bus_id="00000000:0B:00.0",
            vendor=Vendor.NVIDIA,
        ),
    )
    assert (facts.gpu_source, facts.host.system, facts.host.machine) == (
        "nvidia-smi-table",
        "Linux",
        "x86_64",
    )


def test_the_host_is_what_the_text_tells_and_never_this_machine():
    facts = _parse(TEXTS["collect-env-torch-old-for-5090"])
    assert (facts.host.system, facts.host.machine) == ("Linux", "x86_64")
    assert facts.host.distribution.name == "Ubuntu 24.04.2 LTS"
    assert (facts.host.distribution.id, facts.host.distribution.version_id) == ("ubuntu", "24.04")
    assert facts.host.cpu_model == "AMD Ryzen 9 7950X 16-Core Processor"
    assert (facts.host.cpu_count, facts.host.memory_bytes, facts.host.python_version) == (None, None, "")
    assert facts.versions == {"torch": "2.6.0+cu124"}


def test_a_header_that_is_cut_in_its_version_tells_none():
    facts = _parse("| NVIDIA-SMI 535.183.01             Driver Version: 535.1")
    assert (facts.vendor, facts.driver, facts.host.wsl) == (Vendor.NVIDIA, None, None)
    assert _list_ids(facts) == {"header-only", "truncated"}


def test_a_table_that_ends_in_the_first_cell_of_a_gpu():
    header = "| NVIDIA-SMI 535.183.01             Driver Version: 535.183.01   CUDA Version: 12.2     |"
    facts = _parse(f"{header}\n|   0  Tesla T4             ")
    assert [gpu.name for gpu in facts.gpus] == ["Tesla T4"]


def test_a_row_of_a_gpu_that_is_lost():
    facts = _parse(
        "name, memory.total [MiB], compute_cap\nNVIDIA L4, 23034 MiB, 8.9\n[GPU is lost], ERR!, ERR!\n"
    )
    assert [gpu.name for gpu in facts.gpus] == ["NVIDIA L4", None]
    assert _list_ids(facts) == {"gpu-lost", "multi-gpu", "compute-capability-unknown"}


def test_a_table_twice_is_one_machine():
    facts = _parse(TEXTS["table-t4"] + "\n" + TEXTS["table-t4"])
    assert [gpu.name for gpu in facts.gpus] == ["Tesla T4"]


def test_memory_that_was_exchanged():
    text = TEXTS["table-rtx4090-windows"].replace("24564MiB", "49140MiB")
    message = "NVIDIA GeForce RTX 4090 was never sold with 49140 MiB: its memory was exchanged."
    assert message in [condition.message for condition in _parse(text).conditions]


def test_a_cuda_that_is_not_the_driver_s_own():
    text = TEXTS["table-t4"].replace("CUDA Version: 12.2", "CUDA Version: 12.8")
    message = "Driver 535.183.01 serves CUDA 12.2 by itself; the newer CUDA here comes from compatibility libraries."
    assert message in [condition.message for condition in _parse(text).conditions]


def test_an_architecture_that_cuda_13_left():
    text = TEXTS["table-rtx5090"].replace("NVIDIA GeForce RTX 5090", "Tesla V100-SXM2-32GB   ")
    assert [c.message for c in _parse(text).conditions if c.id is ConditionId.ARCH_DROPPED_BY_CUDA13] == [
        "The driver serves CUDA 13, which is no longer made for Tesla V100-SXM2-32GB (7.0): "
        "wheels for CUDA 12 are needed."
    ]


def test_a_card_that_torch_left_behind():
    text = TEXTS["table-t4"].replace("Tesla T4 ", "Tesla K80")
    assert [c.message for c in _parse(text).conditions if c.id is ConditionId.UNSUPPORTED_GPU] == [
        "The usual wheels of torch have no code for a GPU as old as this: Tesla K80 (3.7)."
    ]


@pytest.mark.parametrize(
    ("said", "vendor", "conditions"),
    [
        ("bash: nvidia-smi: command not found", None, {"nvidia-smi-not-found", "error"}),
        ("-bash: nvidia-smi: Kommando nicht gefunden.", None, {"nvidia-smi-not-found", "error"}),
        ("bash: nvidia-smi : commande introuvable\nbash: nvidia-smi: commande introuvable", None, None),
        ("bash: línea 1: nvidia-smi: orden no encontrada", None, None),
        ("bash: nvidia-smi: команда не найдена", None, None),
        ("bash: nvidia-smi: コマンドが見つかりません", None, None),
        ("zsh: command not found: nvidia-smi", None, None),
        ("sh: 1: nvidia-smi: not found", None, None),
        ("/bin/sh: nvidia-smi: not found", None, None),
        ("fish: Unknown command: nvidia-smi", None, None),
        ("sudo: nvidia-smi: command not found", None, None),
        ("./setup.sh: line 12: nvidia-smi: command not found", None, None),
        ("Command 'nvidia-smi' not found, but can be installed with:", None, None),
        ('exec: "nvidia-smi": executable file not found in $PATH: unknown', None, None),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'nvidia-smi'", None, None),
    ],
)
def test_shells_that_miss_the_program_prove_no_maker(said, vendor, conditions):
    facts = _parse(f"$ nvidia-smi\n{said}\n")
    assert (facts.vendor, facts.gpus) == (vendor, ())
    assert _list_ids(facts) == (conditions or {"nvidia-smi-not-found", "error"})


@pytest.mark.parametrize(
    "said",
    [
        "'nvidia-smi' is not recognized as an internal or external command,\noperable program or batch file.",
        'Der Befehl "nvidia-smi" ist entweder falsch geschrieben oder\nkonnte nicht gefunden werden.',
        "'nvidia-smi' n'est pas reconnu en tant que commande interne\nou externe, un programme exécutable",
        '"nvidia-smi" no se reconoce como un comando interno o externo,\nprograma o archivo por lotes ejecutable.',
        "'nvidia-smi' não é reconhecido como um comando interno\nou externo, um programa operável",
        '"nvidia-smi" не является внутренней или внешней\nкомандой, исполняемой программой',  # noqa: RUF001
        "'nvidia-smi' 不是内部或外部命令",
        "'nvidia-smi' は、内部コマンドまたは外部コマンド、",
        "nvidia-smi : The term 'nvidia-smi' is not recognized as the name of a cmdlet, function, script file",
        'nvidia-smi : Die Benennung "nvidia-smi" wurde nicht als Name eines Cmdlet, einer Funktion',
        "nvidia-smi: 用語 'nvidia-smi' は、コマンドレット、関数",
    ],
)
def test_windows_misses_the_program_in_many_languages(said):
    facts = _parse(f"C:\\Users\\me>nvidia-smi\n{said}\n")
    assert (facts.vendor, facts.host.system) == (None, "Windows")
    assert _list_ids(facts) == {"nvidia-smi-not-found", "error", "windows"}


@pytest.mark.parametrize(
    ("said", "conditions"),
    [
        ("No devices were found", {"no-device", "error"}),
        ("Failed to initialize NVML: Driver/library version mismatch", {"driver-mismatch", "error"}),
        ("Failed to initialize NVML: Unknown Error", {"nvml-unknown-error", "error"}),
        (
            "Failed to initialize NVML: GPU access blocked by the operating system",
            {"nvml-error", "wsl", "error"},
        ),
        (
            "nvidia-smi: error while loading shared libraries: libnvidia-ml.so.1: cannot open shared object file",
            {"nvml-library-missing", "error"},
        ),
        ("Unable to determine the device handle for GPU2: 0000:C1:00.0: GPU is lost.", {"gpu-lost", "error"}),
        ('Field "compute_cap" is not a valid field to query.', {"compute-cap-field-invalid", "error"}),
        ('Field "colour" is not a valid field to query.', {"error"}),
    ],
)
def test_failures_of_the_program_prove_its_maker(said, conditions):
    facts = _parse(said)
    assert (facts.vendor, facts.gpus, _list_ids(facts)) == (Vendor.NVIDIA, (), conditions)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n \t\n",
        "hello",
        "name\nAlice\n",
        "index, name\n0, Alice\n",
        "I bought an NVIDIA GeForce RTX 5090, and it is great, they say: it runs.",
        "my GPU 0: it is fine (it says)",
        "nvidia-smi",
        "the version is 580.95.05",
        "\x00\x01\x02\xff" * 50,
        "|   0  |   1  |\n+------+------+\n",
        "[1, [2, {}]]",
    ],
)
def test_what_is_no_output_is_not_taken_for_one(text):
    facts = _parse(text)
    assert recognise(text) == ()
    assert (facts.vendor, facts.gpus, facts.driver) == (None, (), None)
    assert [(str(condition.id), condition.message) for condition in facts.conditions] == [
        ("unrecognised", "The text is not the output of a program that is known here.")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "\n" * 300_000,
        "\r" * 300_000,
        "# a\n" * 100_000,
        "| 0 \n" * 100_000,
        "bash: nvidia-smi: \n" * 30_000,
        "NVIDIA L4, 8.9, 23034\n" * 30_000,
        "<nvidia_smi_log>" + "<gpu id='0'>" * 50_000,
        "{" * 300_000,
        "\x1b[" * 300_000,
        "GPU 0: x (UUID: " * 30_000,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_hostile_text_takes_bounded_time(text):
    before = time.perf_counter()
    _parse(text)
    assert time.perf_counter() - before < 5


def _cut_lines(text, numbers, draw):
    lines = text.split("\n")
    for number in numbers:
        at = number % len(lines)
        match number % 6:
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[at])
            case 2:
                lines.insert(at, draw)
            case 3:
                lines[at] = lines[at].swapcase()
            case 4:
                lines[at] = lines[at][: number % (len(lines[at]) + 1)]
            case _:
                lines[at] = "  " + lines[at]
        lines = lines or [""]
    return "\n".join(lines)


@settings(deadline=1000, max_examples=150)
@given(
    st.sampled_from(sorted(TEXTS)),
    st.lists(st.integers(0, 10_000), max_size=12),
    st.text(max_size=40),
    st.integers(0, 20_000),
)
def test_mutated_samples_never_raise(name, numbers, insertion, cut):
    text = _cut_lines(TEXTS[name], numbers, insertion)
    for variant in (text, text[: cut % (len(text) + 1)], text[cut % (len(text) + 1) :]):
        facts = _parse(variant)
        assert facts.vendor is not Vendor.NONE
        assert all(gpu.memory_mib is None or gpu.memory_mib >= 0 for gpu in facts.gpus)
        assert facts.host.cpu_count is None


@settings(deadline=1000)
@given(st.binary(max_size=2000))
def test_random_bytes_never_raise(data):
    facts = _parse(data.decode("utf-8", errors="replace"))
    assert facts.gpus == ()


@settings(deadline=1000)
@given(st.sampled_from(sorted(TEXTS)), st.lists(st.tuples(st.integers(0), st.characters()), max_size=30))
def test_flipped_characters_never_raise(name, flips):
    characters = list(TEXTS[name])
    for position, character in flips:
        characters[position % len(characters)] = character
    assert isinstance(_parse("".join(characters)), Facts)
