import pytest
from msgspec.structs import replace

from provision.core.diagnosis.machine import LogMachine, complete_machine, find_machine, judge_situation
from provision.model.facts import Facts, Gpu, Host, Vendor
from provision.model.failure import Situation
from tests.core.parse.gpu_names import load_gpu_names

NAMES = load_gpu_names()


@pytest.mark.parametrize(
    ("text", "machine"),
    [
        ("all is well", LogMachine()),
        (
            "NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible",
            LogMachine(gpu=True, vendor=Vendor.NVIDIA, arch="blackwell", capability="12.0", cuda=True),
        ),
        (
            "my RTX 4090 fails",
            LogMachine(gpu=True, vendor=Vendor.NVIDIA, arch="ada", capability="8.9", cuda=True),
        ),
        # As xformers spells it: what it demands, and what the card has.
        (
            "requires device with capability <= (9, 0) but your GPU has capability (12, 0) (too new)",
            LogMachine(gpu=True, vendor=Vendor.NVIDIA, arch="blackwell", capability="12.0", cuda=True),
        ),
        # A demand is not a card, and two cards are not one.
        ("needs compute capability 8.0 or newer", LogMachine()),
        ("NVIDIA GeForce RTX 5090 and NVIDIA GeForce RTX 3090", LogMachine(cuda=True)),
        ('File "C:\\Users\\me\\venv\\lib\\x.py"', LogMachine(system="Windows")),
        ('File "/usr/lib/python3/x.py"', LogMachine(system="Linux")),
        ('File "/Users/me/x.py"', LogMachine(system="Darwin")),
        ('C:\\Users\\me\\x.py then File "/usr/lib/python3/x.py"', LogMachine()),
        ("uname: 5.15.153.1-microsoft-standard-WSL2", LogMachine(system="Linux", wsl=True)),
        ("uname -r: 4.4.0-19041-Microsoft", LogMachine(system="Linux", wsl=True)),
        ("docker: Error response from daemon", LogMachine(container=True)),
        ("pages-reader-1  | Traceback", LogMachine(container=True)),
        # A person's folder is on no image; the folder of a user that images have may be anywhere.
        ('File "/home/ruth/ocr/x.py"', LogMachine(system="Linux", container=False)),
        ('File "/home/jovyan/x.py"', LogMachine(system="Linux")),
        ("| NVIDIA-SMI 550.54  Driver Version: 550.54.15 |", LogMachine(driver="550.54.15")),
        (
            "torch==2.10.0+cu128\ntransformers 4.57.6\nflash_attn-2.8.3-cp311",
            LogMachine(
                cuda=True,
                packages={"torch": "2.10.0+cu128", "transformers": "4.57.6", "flash-attn": "2.8.3"},
            ),
        ),
    ],
)
def test_what_a_log_says(text, machine):
    assert find_machine(text, NAMES) == machine


HOST = Host(system="Linux", release="6.8", machine="x86_64", python_version="3.12.3")
FACTS = Facts(
    vendor=Vendor.NVIDIA,
    gpus=(Gpu(name="NVIDIA GeForce RTX 5090", compute_capability="12.0", arch="blackwell"),),
    gpu_source="nvml",
    driver="580.95.05",
    cuda_driver_version="13.0",
    conditions=(),
    host=HOST,
)
HERE = LogMachine(
    system="Linux",
    wsl=False,
    container=False,
    gpu=True,
    vendor=Vendor.NVIDIA,
    arch="blackwell",
    capability="12.0",
    driver="580.95.05",
)


def test_facts_complete_a_log():
    assert complete_machine(LogMachine(), FACTS) == HERE
    assert complete_machine(LogMachine(), None) == LogMachine()
    assert complete_machine(LogMachine(container=True), FACTS).container is True


@pytest.mark.parametrize(
    "log", [LogMachine(system="Windows"), LogMachine(capability="7.5", gpu=True), LogMachine(wsl=True)]
)
def test_a_log_of_another_machine_keeps_to_itself(log):
    assert complete_machine(log, FACTS) == log


def test_a_log_of_a_home_folder_is_not_of_this_container_nor_one_of_cuda_of_this_mac():
    contained = replace(FACTS, host=replace(HOST, container="docker"))
    mac = replace(FACTS, vendor=Vendor.APPLE, gpus=(), driver=None, host=replace(HOST, system="Darwin"))
    for facts, log in ((contained, LogMachine(container=False)), (mac, LogMachine(cuda=True))):
        assert complete_machine(log, facts) == log
    assert complete_machine(LogMachine(), mac).system == "Darwin"


@pytest.mark.parametrize(
    ("situation", "machine", "answer"),
    [
        (Situation(), LogMachine(), True),
        (Situation(system=("Windows",)), LogMachine(), None),
        (Situation(system=("Windows",)), HERE, False),
        (Situation(capability_least="8.0", system=("Linux",)), HERE, True),
        (Situation(capability_below="8.0"), HERE, False),
        (Situation(driver_below="580"), LogMachine(driver="570.26"), True),
        (Situation(driver_below="580"), LogMachine(driver="not a version"), None),
        (Situation(wsl=False), HERE, True),
        (Situation(distribution=("debian",)), LogMachine(distribution=("ubuntu", "debian")), True),
        (Situation(package="transformers>=5"), LogMachine(packages={"transformers": "5.22.2"}), True),
        (Situation(package="transformers>=5"), LogMachine(packages={"transformers": "4.57.6"}), False),
        (Situation(package="flash_attn<2.7"), LogMachine(), None),
        # One that contradicts settles it, whatever is unknown beside.
        (Situation(system=("Windows",), driver_below="580"), LogMachine(system="Linux"), False),
    ],
)
def test_situations(situation, machine, answer):
    assert judge_situation(situation, machine) is answer
