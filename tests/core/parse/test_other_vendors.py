"""Each kind of text of other makers' and of generic tools: our own samples, other people's dumps, mutations."""

import time
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.core.architecture import build_identity
from provision.core.parse.other_vendors import SOURCES
from tests.core.parse.gpu_names import ROOT, SHARED_DATA, load_gpu_names

SAMPLES = ROOT / "tests" / "data" / "pastes" / "other"
EXPECTED = yaml.safe_load((SAMPLES / "expected.yaml").read_text(encoding="utf-8"))
TEXTS = {name: (SAMPLES / name).read_text(encoding="utf-8") for name in EXPECTED}
DUMPS = SHARED_DATA / "dumps"
INDEX = DUMPS / "index.yaml"
ENTRIES = yaml.safe_load(INDEX.read_text(encoding="utf-8")) if INDEX.exists() else []
BY_KIND = {source.kind: source for source in SOURCES}
OURS = [entry for entry in ENTRIES if entry["kind"] in BY_KIND]
NAMES = load_gpu_names()
# What follows from the GPUs, and what cleaning takes off, is said elsewhere. That `gfx1100` alone came from Windows,
# the text does not say.
SAID_ELSEWHERE = {
    "multi-gpu",
    "mixed-vendors",
    "mixed-models",
    "integrated-gpu",
    "laptop",
    "unsupported-gpu",
    "indented-paste",
}
NOT_IN_THE_TEXT = {"dev/windows_amdgpu-arch_gfx1100.txt": {"windows"}}

PROSE = {
    "readme": "Run `lspci | grep -i vga` and send the output. NVIDIA Corporation GA102 works, so does gfx1100.\n",
    "kernel log": (
        "[    1.204] pci 0000:01:00.0: [10de:2684] type 00 class 0x030000\n"
        "[    3.871] amdgpu 0000:03:00.0: amdgpu: 16368M of VRAM memory ready\n"
        "[    0.000] Linux version 6.8.0-45-generic (buildd@lcy02-amd64-115) (x86_64-linux-gnu-gcc-13) #45-Ubuntu SMP\n"
    ),
    "traceback": (
        "Traceback (most recent call last):\n"
        '  File "serve.py", line 12, in <module>\n'
        "RuntimeError: No HIP GPUs are available for gfx1030 on AMD Radeon RX 6800\n"
    ),
    "log with a list": (
        "INFO 0: level_zero:gpu found\nINFO rocm-smi says WARNING: nothing\nDevice Name: somebody's phone\n"
    ),
    "settings": "ID=prod\nNAME=service\nPORT=8080\nDEBUG=false\n",
    "json": '{"cards": ["visa", "amex"], "pci": "dss", "devices": [], "card0": {"limit": 3}}\n',
    "table": "Name      Version   Source\nnumpy     2.1.0     pypi\nDriver    none      -\n",
    "pip": "Collecting torch\n  Downloading torch-2.9.1+rocm6.4-cp312-cp312-manylinux_2_28_x86_64.whl\n",
    "targets in a sentence": "gfx1100\ngfx1101 and others are supported\n",
}


def _describe(source, text):
    """A report as `expected.yaml` writes it: the GPUs with what the tables add, and every field that is told."""
    report = source.parse(text)
    fields = msgspec.json.decode(msgspec.json.encode(report))
    told = {
        key: value
        for key, value in fields.items()
        if key not in {"found", "nvidia"} and value not in (None, [], {}, ())
    }
    gpus = [msgspec.to_builtins(build_identity(gpu, NAMES)) for gpu in report.gpus]
    flags = {"cpu_flags": " ".join(report.cpu_flags)} if report.cpu_flags else {}
    return {
        **told,
        **flags,
        "kind": source.kind,
        "gpus": [{key: value for key, value in gpu.items() if value is not None} for gpu in gpus],
        "conditions": [str(condition.id) for condition in report.conditions],
    }


def _recognise(text):
    return [source.kind for source in SOURCES if source.recognise(text)]


def test_every_kind_has_a_sample():
    assert {entry["kind"] for entry in EXPECTED.values()} == set(BY_KIND)
    assert {path.name for path in SAMPLES.iterdir()} == {*EXPECTED, "expected.yaml"}


def test_kinds_are_named_once():
    assert len(BY_KIND) == len(SOURCES)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sample_is_of_one_kind(name):
    assert _recognise(TEXTS[name]) == [EXPECTED[name]["kind"]]


@pytest.mark.parametrize("name", EXPECTED)
def test_what_a_sample_means(name):
    assert _describe(BY_KIND[EXPECTED[name]["kind"]], TEXTS[name]) == EXPECTED[name]


@pytest.mark.parametrize("line_end", ["\r\n", "\r\r\n"])
@pytest.mark.parametrize("name", [name for name in EXPECTED if name.startswith("windows")])
def test_line_ends_of_windows_change_nothing(name, line_end):
    """Those of its console, and those that WMIC prints. Pasted text has them replaced."""
    expected = EXPECTED[name]
    text = TEXTS[name].replace("\n", line_end)
    assert _recognise(text) == [expected["kind"]]
    assert _describe(BY_KIND[expected["kind"]], text) == expected


@pytest.mark.parametrize("text", PROSE.values(), ids=PROSE)
def test_text_that_only_mentions_names_is_of_no_kind(text):
    assert _recognise(text) == []


@pytest.mark.parametrize("text", ["", "\n\n", "\x00\xff\ufffd", "{", "[" * 5000, '{"a":' * 5000, "=" * 5000])
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.kind)
def test_nothing_comes_of_nothing(source, text):
    report = source.parse(text)
    assert not source.recognise(text)
    assert (report.gpus, report.driver, report.versions) == ((), None, {})


# Their text has no mark of its own: it counts only when nothing else is there.
BARE = {
    "rocm-agent-enumerator.txt",
    "amdgpu-arch_windows-prompt.txt",
    "sysctl_brand-alone.txt",
    "windows-wmic_names.txt",
}


@pytest.mark.parametrize("first", sorted(EXPECTED.keys() - BARE))
def test_what_is_pasted_together_is_read_apart(first):
    """People send the output of several programs in one text: none may take another's lines for its own."""
    kind = EXPECTED[first]["kind"]
    alone = BY_KIND[kind].parse(TEXTS[first])
    for second in EXPECTED.keys() - BARE:
        other = EXPECTED[second]["kind"]
        if other == kind:
            continue
        for text in (f"{TEXTS[first]}\n{TEXTS[second]}", f"{TEXTS[second]}\n{TEXTS[first]}"):
            report = BY_KIND[kind].parse(text)
            assert (report.gpus, report.driver, report.versions) == (alone.gpus, alone.driver, alone.versions)
            assert BY_KIND[kind].recognise(text)


def test_two_texts_are_of_two_kinds():
    text = TEXTS["uname_wsl2.txt"] + TEXTS["lspci_no-ids_amd.txt"] + TEXTS["rocminfo_two-gpus.txt"]
    assert _recognise(text) == ["rocminfo", "lspci", "uname"]


@pytest.mark.skipif(not ENTRIES, reason="no recorded dumps beside this checkout")
def test_enough_dumps_are_of_our_kinds():
    assert len(OURS) >= 55


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["file"])
def test_a_dump_is_of_its_kind_and_of_no_other_of_ours(entry):
    text = (DUMPS / entry["file"]).read_text(encoding="utf-8", errors="replace")
    assert _recognise(text) == ([entry["kind"]] if entry["kind"] in BY_KIND else [])


@pytest.mark.parametrize("entry", OURS, ids=lambda entry: entry["file"])
def test_what_a_dump_means(entry):
    expected = entry["expected"]
    text = (DUMPS / entry["file"]).read_text(encoding="utf-8", errors="replace")
    report = BY_KIND[entry["kind"]].parse(text)
    gpus = [build_identity(gpu, NAMES) for gpu in report.gpus]
    keys = ("name", "memory_mib", "compute_capability", "arch")
    assert [{key: getattr(gpu, key) for key in keys} for gpu in gpus] == [
        {key: gpu[key] for key in keys} for gpu in expected["gpus"]
    ]
    for gpu, wanted in zip(gpus, expected["gpus"], strict=True):
        assert gpu.best_compute_capability == wanted.get("product_compute_capability")
        assert gpu.pci_id == wanted.get("pci_id", gpu.pci_id)
        assert bool(gpu.integrated) == wanted.get("integrated", False)
        # The index writes names of products with and without the maker's.
        marketing_name = (gpu.marketing_name or "").removeprefix("NVIDIA ")
        assert marketing_name == wanted.get("marketing_name", marketing_name).removeprefix("NVIDIA ")
    assert report.driver == expected["driver"]
    assert report.versions == ({"rocm": expected["rocm"]} if "rocm" in expected else {})
    wanted_conditions = {*expected["conditions"]} - SAID_ELSEWHERE - NOT_IN_THE_TEXT.get(entry["file"], set())
    assert {str(condition.id) for condition in report.conditions} == wanted_conditions


@pytest.mark.parametrize("entry", OURS, ids=lambda entry: entry["file"])
def test_whose_gpus_a_dump_shows(entry):
    text = (DUMPS / entry["file"]).read_text(encoding="utf-8", errors="replace")
    report = BY_KIND[entry["kind"]].parse(text)
    vendors = {gpu.vendor for gpu in report.gpus} or {report.vendor}
    assert entry["expected"]["vendor"] == ("mixed" if len(vendors) > 1 else vendors.pop())


@pytest.mark.parametrize(
    "entry", [entry for entry in OURS if "cpu" in entry["expected"]], ids=lambda entry: entry["file"]
)
def test_the_processor_of_a_dump(entry):
    cpu = entry["expected"]["cpu"]
    text = (DUMPS / entry["file"]).read_text(encoding="utf-8", errors="replace")
    report = BY_KIND[entry["kind"]].parse(text)
    assert report.cpu_model == cpu["model"]
    assert set(cpu.get("flags_present", [])) <= set(report.cpu_flags)
    assert set(cpu.get("flags_absent", [])).isdisjoint(report.cpu_flags)


@st.composite
def _mutate(draw):
    """A sample with a piece cut out, doubled or overwritten."""
    text = draw(st.sampled_from(sorted(TEXTS.values())))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, len(text)))
    piece = draw(
        st.sampled_from(["", text[start:end] * 2, "\n", "\x00", ":", "|", "[", "N/A", "9" * 40, "é" * 9])
    )
    return text[:start] + piece + text[end:]


@given(text=_mutate())
@settings(max_examples=150, deadline=None)
def test_no_mutation_raises(text):
    for source in SOURCES:
        source.recognise(text)
        for gpu in source.parse(text).gpus:
            build_identity(gpu, NAMES)


@given(text=st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_no_text_raises(text):
    for source in SOURCES:
        source.recognise(text)
        source.parse(text)


@pytest.mark.parametrize(
    "piece",
    [
        " ",
        "\n",
        "\t \n",
        "a:",
        "a: b\n",
        "=",
        "=\n",
        "| ",
        "[",
        "[\n",
        "{\n",
        "(",
        "0 ",
        "GPU: 0\n",
        "Agent 1\n",
        "device# 0\n",
        "[opencl:gpu:1] ",
        "00:00.0 VGA compatible controller: ",
        "Slot: 00:00.0\n",
        "Name  ",
        "AdapterRAM DriverVersion Name\n",
        "Linux a 5",
        "GPU[0] : a",
        "Chipset Model: x\n",
    ],
    ids=repr,
)
def test_a_megabyte_of_one_piece_takes_no_time(piece):
    text = piece * (1_000_000 // len(piece))
    start = time.process_time()
    for source in SOURCES:
        if source.recognise(text):
            source.parse(text)
    assert time.process_time() - start < 5


def test_samples_are_short():
    assert [name for name in TEXTS if Path(SAMPLES / name).stat().st_size > 4096] == []
