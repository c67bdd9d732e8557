"""What conditions of a machine become: severity, evidence and the cure on that system."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from provision.core.checks import CHECKS, run_checks
from provision.model.checkup import Scope, StateView
from provision.model.facts import ConditionId, Facts, Gpu, Vendor
from provision.model.finding import Finding, Severity
from provision.model.profile import Obstacle, ObstacleKind, ProfileFit
from tests.support.checkups import make_checkup, make_condition, make_host
from tests.support.machines import make_facts, make_gpu

RTX = make_gpu("NVIDIA GeForce RTX 5070 Ti", "12.0")
_Id = ConditionId
SAID = "That is so."


def look(check: str, facts: Facts, **changes: object) -> Finding:
    """The one finding of `check` on that machine."""
    [finding] = run_checks([CHECKS[check]], make_checkup(facts, **changes)).findings
    return finding


def make_silent(*ids: ConditionId, **changes: object) -> Facts:
    """An NVIDIA card that does not answer, with these conditions."""
    conditions = tuple(make_condition(condition_id, SAID) for condition_id in ids)
    host = make_host(**changes.pop("host", {}))
    fields: dict[str, object] = {"vendor": Vendor.NVIDIA, "conditions": conditions, "host": host}
    return make_facts(**(fields | changes))


@pytest.mark.parametrize(
    ("check", "condition", "cure"),
    [
        ("driver.mismatch", _Id.DRIVER_MISMATCH, "sudo reboot"),
        ("driver.not-loaded", _Id.DRIVER_NOT_LOADED, "sudo modprobe nvidia && nvidia-smi"),
        ("driver.nouveau", _Id.NOUVEAU, "sudo apt update && sudo ubuntu-drivers install"),
        ("driver.secure-boot", _Id.SECURE_BOOT, "sudo update-secureboot-policy --enroll-key"),
        ("driver.uvm", _Id.NVIDIA_UVM_MISSING, "sudo nvidia-modprobe -u -c=0"),
        ("driver.installed", _Id.NO_DRIVER_INSTALLED, "sudo apt update && sudo ubuntu-drivers install"),
        ("driver.library", _Id.NVML_LIBRARY_MISSING, "sudo apt update && sudo ubuntu-drivers install"),
        ("driver.device-nodes", _Id.DEVICE_NODES_MISSING, "sudo nvidia-modprobe -u -c=0"),
        ("driver.device-access", _Id.DEVICE_NODES_DENIED, "ls -l /dev/nvidia* && sudo usermod -aG video"),
        ("hardware.lost", _Id.GPU_LOST, "sudo reboot"),
        ("hardware.mig", _Id.MIG_NO_INSTANCES, "sudo nvidia-smi mig -lgip"),
        ("hardware.virtual", _Id.VGPU_HOST, "run provision inside the virtual machine"),
        ("hardware.virtual", _Id.VFIO_PASSTHROUGH, "run provision inside the virtual machine"),
    ],
)
def test_a_condition_fails_its_own_check_with_its_cure(check: str, condition: ConditionId, cure: str) -> None:
    finding = look(check, make_silent(condition))
    assert (finding.severity, finding.evidence) == (Severity.FAIL, "That is so")
    assert str(finding.cure).startswith(cure)


@pytest.mark.parametrize(
    "check",
    [check.id for check in CHECKS.values() if check.group in ("hardware", "driver", "container", "wsl")],
)
def test_without_an_nvidia_gpu_nothing_of_the_driver_fails(check: str) -> None:
    finding = look(check, make_facts(host=make_host()))
    expected = Severity.WARN if check == "hardware.gpu" else Severity.SKIP
    assert finding.severity is expected
    assert finding.evidence


@pytest.mark.parametrize(
    "check",
    [check.id for check in CHECKS.values() if check.group in ("hardware", "driver", "wsl")],
)
def test_a_healthy_machine_passes_or_says_what_is_not_told(check: str) -> None:
    finding = look(check, make_facts(RTX, host=make_host()))
    untold = {"driver.kernel-module", "wsl.version", "wsl.driver-inside", "wsl.library"}
    assert finding.severity is (Severity.SKIP if check in untold else Severity.PASS), finding


@pytest.mark.parametrize(
    "check",
    [check.id for check in CHECKS.values() if check.group in ("hardware", "driver")],
)
def test_silence_alone_is_never_a_pass(check: str) -> None:
    """A card that does not answer proves nothing about the rest."""
    finding = look(check, make_silent(_Id.GPU_NOT_ANSWERING))
    expected = Severity.FAIL if check in ("hardware.gpu", "driver.answers") else Severity.SKIP
    assert finding.severity is expected, finding


def test_every_condition_leaves_every_check_standing() -> None:
    """Whatever conditions there are, also those that no check knows of, nothing breaks."""
    for gpus in ((), (RTX,)):
        for condition in ConditionId:
            facts = make_facts(
                *gpus, vendor=Vendor.NVIDIA, conditions=(make_condition(condition, SAID),), host=make_host()
            )
            assert run_checks(CHECKS.values(), make_checkup(facts)).broken == ()


@pytest.mark.parametrize(
    ("ids", "host", "cure"),
    [
        ((_Id.DRIVER_MISMATCH, _Id.GPU_UNKNOWN), {}, "sudo reboot"),
        ((_Id.NVML_TIMEOUT,), {}, "sudo dmesg | grep -i -e nvrm -e xid"),
        ((_Id.GPU_NOT_ANSWERING,), {"container": "docker"}, "docker run --gpus all"),
        ((_Id.GPU_NOT_ANSWERING,), {"container": "podman"}, "podman run --device nvidia.com/gpu=all"),
        (
            (_Id.NO_DEVICE,),
            {"container": "kubernetes"},
            "ask for the GPU in the pod: resources: {limits: {nv",
        ),
        ((_Id.DRIVER_MISMATCH,), {"container": "docker"}, "on the host, not in this container: restart it"),
        ((_Id.WSL_DRIVER_INSIDE, _Id.NVML_ERROR), {"wsl": 2}, "sudo apt purge '^nvidia-driver-.*'"),
        ((_Id.DRIVER_NOT_LOADED, _Id.SECURE_BOOT), {}, "sudo update-secureboot-policy --enroll-key"),
        ((_Id.NOUVEAU,), {}, "sudo apt update && sudo ubuntu-drivers install"),
    ],
)
def test_the_cure_of_silence_is_that_of_its_cause(
    ids: tuple[ConditionId, ...], host: dict[str, object], cure: str
) -> None:
    finding = look("driver.answers", make_silent(*ids, host=host))
    assert (finding.severity, finding.evidence) == (Severity.FAIL, "That is so")
    assert str(finding.cure).startswith(cure)


def test_nouveau_beside_an_installed_driver_is_blacklisted() -> None:
    facts = make_silent(_Id.NOUVEAU, _Id.DRIVER_NOT_LOADED)
    assert look("driver.nouveau", facts).cure == (
        r"printf 'blacklist nouveau\noptions nouveau modeset=0\n' | "
        "sudo tee /etc/modprobe.d/blacklist-nouveau.conf && sudo update-initramfs -u && sudo reboot"
    )


def test_a_container_without_devices() -> None:
    facts = make_silent(_Id.DEVICE_NODES_MISSING, host={"container": "docker"})
    finding = look("container.devices", facts)
    assert finding.severity is Severity.FAIL
    assert str(finding.cure).startswith("docker run --gpus all …   # on the host; once before: ")
    assert look("driver.device-nodes", facts).evidence == (
        "in a container the device files are given to it: container.devices"
    )


def test_a_container_that_was_given_one() -> None:
    finding = look("container.devices", make_facts(RTX, host=make_host(container="docker")))
    assert (finding.severity, finding.evidence) == (
        Severity.PASS,
        "the container (docker) was given 1 GPU(s)",
    )


def test_wsl() -> None:
    one = make_facts(vendor=Vendor.NONE, host=make_host(wsl=1))
    assert look("wsl.version", one).severity is Severity.FAIL
    assert look("wsl.library", one).evidence == "WSL 1 has no GPU: wsl.version"
    silent = make_facts(vendor=Vendor.NONE, host=make_host(wsl=2))
    assert look("wsl.version", silent).evidence == "WSL 2"
    library = look("wsl.library", silent)
    assert library.severity is Severity.FAIL
    assert str(library.cure).startswith("Start-Process https://www.nvidia.com/drivers; wsl --update;")
    inside = make_silent(_Id.WSL_DRIVER_INSIDE, host={"wsl": 2})
    assert look("wsl.driver-inside", inside).severity is Severity.FAIL


def test_blackwell_needs_the_open_kernel_module() -> None:
    closed = (make_condition(_Id.CLOSED_KERNEL_MODULE, SAID),)
    finding = look("driver.kernel-module", make_facts(RTX, conditions=closed, host=make_host()))
    assert finding.severity is Severity.FAIL
    ada = make_facts(make_gpu("NVIDIA GeForce RTX 4090", "8.9"), conditions=closed, host=make_host())
    assert look("driver.kernel-module", ada).severity is Severity.PASS
    opened = make_facts(RTX, conditions=(make_condition(_Id.OPEN_KERNEL_MODULE, SAID),), host=make_host())
    assert look("driver.kernel-module", opened).severity is Severity.PASS
    unseen = make_silent(_Id.CLOSED_KERNEL_MODULE, _Id.NO_DEVICE)
    assert look("driver.kernel-module", unseen).severity is Severity.WARN


def test_memory_that_others_hold() -> None:
    gpu = Gpu(name="NVIDIA L4", compute_capability="8.9", memory_mib=23034, memory_used_mib=512)
    assert look("hardware.memory", make_facts(gpu, host=make_host())).evidence == (
        "NVIDIA L4: 22.0 of 22.5 GiB free"
    )
    held = make_condition(_Id.GPU_MEMORY_IN_USE, "python (pid 7) holds 9000 MiB.")
    finding = look("hardware.memory", make_facts(gpu, conditions=(held,), host=make_host()))
    assert finding == Finding(
        id="hardware.memory",
        severity=Severity.WARN,
        evidence="NVIDIA L4: 22.0 of 22.5 GiB free. python (pid 7) holds 9000 MiB",
        cure="nvidia-smi --query-compute-apps=pid,process_name,used_memory --format=csv",
    )


def test_gpus_of_several_kinds_are_chosen_between_by_uuid() -> None:
    gpus = (
        Gpu(name="A", uuid="GPU-1", compute_capability="8.9"),
        Gpu(name="B", uuid="GPU-2", compute_capability="8.6"),
    )
    mixed = (make_condition(_Id.MIXED_MODELS, SAID),)
    finding = look("hardware.mixed", make_facts(*gpus, conditions=mixed, host=make_host()))
    assert (finding.severity, finding.cure) == (Severity.WARN, "export CUDA_VISIBLE_DEVICES=GPU-1")
    alike = look("hardware.mixed", make_facts(RTX, RTX, host=make_host()))
    assert (alike.severity, alike.evidence) == (Severity.PASS, "2 GPUs, all alike")


def test_an_architecture_that_a_name_told() -> None:
    guessed = Gpu(name="Tesla T4", compute_capability_by_name="7.5", arch="turing")
    assert look("hardware.architecture", make_facts(guessed, host=make_host())) == Finding(
        id="hardware.architecture",
        severity=Severity.WARN,
        evidence="Tesla T4 is taken for turing (compute capability 7.5) by its name",
    )
    unknown = look("hardware.architecture", make_facts(Gpu(name="NVIDIA X"), host=make_host()))
    assert unknown.severity is Severity.WARN


def make_fit(name: str, *obstacles: Obstacle, gpu: int | None = 0) -> ProfileFit:
    return ProfileFit(name=name, fits=not obstacles, reasons=(), obstacles=obstacles, gpu=gpu)


OLD = Obstacle(
    kind=ObstacleKind.DRIVER_TOO_OLD,
    message="driver 550.54.14 is older than 580.65.06, which CUDA 13.0 needs",
    needed="580.65.06",
    found="550.54.14",
)
LACKS = Obstacle(
    kind=ObstacleKind.WHEEL_LACKS_ARCHITECTURE,
    message="torch 2.11.0 for cu130 carries no code for compute capability 6.1",
    cure_hint="take the profile pascal",
)
FOREIGN = Obstacle(kind=ObstacleKind.CAPABILITY, message="needs compute capability 9.0")


def test_a_driver_too_old_for_the_cuda_of_its_profile() -> None:
    facts = make_facts(RTX, driver="550.54.14", host=make_host())
    finding = look("driver.cuda-too-old", facts, fits=(make_fit("blackwell", OLD),), profile=None)
    assert finding == Finding(
        id="driver.cuda-too-old",
        severity=Severity.FAIL,
        evidence=OLD.message,
        cure="sudo apt update && sudo ubuntu-drivers install   # then: sudo reboot",
    )


def test_a_driver_that_another_profile_can_do_with_is_a_warning() -> None:
    facts = make_facts(RTX, driver="550.54.14", host=make_host())
    fits = (make_fit("blackwell", OLD), make_fit("blackwell-cu128"))
    finding = look("driver.cuda-too-old", facts, fits=fits, profile="blackwell-cu128")
    assert finding.severity is Severity.WARN
    assert finding.evidence == f"{OLD.message}; profile blackwell-cu128 fits"


def test_obstacles_of_profiles_for_other_cards_are_of_no_interest() -> None:
    facts = make_facts(RTX, host=make_host())
    fits = (make_fit("hopper", FOREIGN, OLD, LACKS), make_fit("blackwell"))
    assert look("driver.cuda-too-old", facts, fits=fits).severity is Severity.PASS
    assert look("profile.wheel-architecture", facts, fits=fits) == Finding(
        id="profile.wheel-architecture",
        severity=Severity.PASS,
        evidence="the wheels of profile blackwell carry code for this GPU",
    )


def test_a_card_that_no_wheel_was_made_for() -> None:
    facts = make_facts(make_gpu("NVIDIA GeForce GTX 1080", "6.1"), host=make_host())
    finding = look("profile.wheel-architecture", facts, fits=(make_fit("old", LACKS),), profile=None)
    assert finding == Finding(
        id="profile.wheel-architecture",
        severity=Severity.FAIL,
        evidence=LACKS.message,
        cure="take the profile pascal",
    )


def test_a_card_older_than_turing_gets_the_proprietary_driver() -> None:
    debian = make_host(distribution=None)
    facts = make_facts(make_gpu("NVIDIA GeForce GTX 1080", "6.1"), driver="470.1", host=debian)
    finding = look("driver.cuda-too-old", facts, fits=(make_fit("pascal", OLD),), profile=None)
    assert str(finding.cure).startswith(
        "install the proprietary driver of branch 580 as in https://docs.nvidia"
    )


def test_an_amd_gpu_has_no_driver_of_nvidias() -> None:
    gpu = Gpu(name="AMD Radeon RX 7900 XTX", arch="gfx1100", vendor=Vendor.AMD, memory_mib=24560)
    facts = make_facts(gpu, vendor=Vendor.AMD, driver="6.12", cuda_driver_version=None, host=make_host())
    assert look("hardware.gpu", facts).evidence == "AMD Radeon RX 7900 XTX (gfx1100)"
    assert look("driver.answers", facts).evidence == "driver 6.12"
    assert look("driver.cuda-too-old", facts).severity is Severity.SKIP


@pytest.mark.parametrize(
    "check",
    [check.id for check in CHECKS.values() if check.group in ("driver", "container", "wsl")]
    + ["hardware.lost", "hardware.mig", "hardware.virtual"],
)
def test_a_card_on_the_bus_proves_nothing_about_the_driver(check: str) -> None:
    facts = make_facts(RTX, driver=None, gpu_source="lspci", host=make_host())
    assert look(check, facts).severity is Severity.SKIP


def test_a_card_that_is_only_listed() -> None:
    facts = make_facts(RTX, driver=None, gpu_source="lspci", host=make_host())
    assert look("hardware.gpu", facts) == Finding(
        id="hardware.gpu",
        severity=Severity.WARN,
        evidence="NVIDIA GeForce RTX 5070 Ti (12.0), as lspci lists it; whether the driver answers: driver.answers",
    )
    held = make_facts(
        RTX,
        driver=None,
        gpu_source="lspci",
        conditions=(make_condition(_Id.NOUVEAU, SAID),),
        host=make_host(),
    )
    assert look("driver.answers", held).severity is Severity.FAIL
    assert look("driver.nouveau", held).severity is Severity.FAIL


ELSEWHERE = Scope(elsewhere=True)


@pytest.mark.parametrize("check", ["hardware.gpu", "profile.fits"])
def test_a_text_that_shows_no_gpu_says_nothing_of_one(check: str) -> None:
    """An os-release, /proc/driver/nvidia/version, a table that is cut off before its first row."""
    for facts in (make_facts(vendor=None), make_silent(_Id.CLOSED_KERNEL_MODULE, driver="575.64.03")):
        finding = look(check, facts, scope=ELSEWHERE, profile=None, obstacle="unknown")
        assert (finding.severity, finding.cure) == (Severity.SKIP, None)
    silent = make_silent(_Id.DRIVER_MISMATCH)
    assert look(check, silent, scope=ELSEWHERE, profile=None).severity is Severity.FAIL


def test_a_capability_by_name_is_no_fault_of_a_pasted_machine() -> None:
    gpu = Gpu(name="Tesla T4", arch="turing", compute_capability_by_name="7.5")
    facts = make_facts(vendor=Vendor.NVIDIA, gpus=(gpu,))
    evidence = "Tesla T4 is taken for turing (compute capability 7.5) by its name"
    finding = look("hardware.architecture", facts, scope=ELSEWHERE)
    assert (finding.severity, finding.evidence) == (Severity.PASS, evidence)


def test_a_desktops_share_of_a_large_card_is_no_warning() -> None:
    gpu = Gpu(name="NVIDIA GeForce RTX 5090", memory_mib=32607, memory_used_mib=2700)
    facts = make_facts(vendor=Vendor.NVIDIA, gpus=(gpu,))
    assert look("hardware.memory", facts).severity is Severity.PASS
    taken = make_facts(vendor=Vendor.NVIDIA, gpus=(replace(gpu, memory_used_mib=9000),))
    assert look("hardware.memory", taken).severity is Severity.WARN


def test_a_machine_without_a_gpu_is_asked_to_choose_the_cpu_once() -> None:
    none = make_facts(vendor=Vendor.NONE)
    assert look("hardware.gpu", none) == Finding(
        id="hardware.gpu",
        severity=Severity.WARN,
        evidence="no GPU was found; models run on the CPU, slowly",
        cure="provision apply cpu",
    )
    chosen = look("hardware.gpu", none, state=StateView(generation=2, profile="cpu"))
    assert (chosen.severity, chosen.evidence) == (
        Severity.PASS,
        "no GPU was found, and generation 2 is made for the CPU",
    )


def test_a_container_without_a_gpu_is_whole() -> None:
    facts = make_facts(vendor=Vendor.NONE, host=make_host(container="docker"))
    finding = look("container.devices", facts)
    assert (finding.severity, finding.evidence) == (
        Severity.SKIP,
        "the container sees no GPU; if the host has one, it was not given",
    )


def test_no_newer_driver_is_asked_for_where_it_would_not_help() -> None:
    """A Tesla K80: no wheel carries its code, and no driver of branch 580 serves it."""
    obstacle = Obstacle(kind=ObstacleKind.WHEEL_LACKS_ARCHITECTURE, message="no code for 3.7")
    fits = (ProfileFit(name="turing", fits=False, reasons=(obstacle.message,), obstacles=(obstacle,)),)
    conditions = (make_condition(_Id.OLD_DRIVER, "Driver 410.104 is old."),)
    facts = make_facts(make_gpu("Tesla K80", "3.7"), driver="410.104", conditions=conditions)
    finding = look("driver.cuda-too-old", facts, fits=fits, profile=None)
    assert (finding.severity, finding.evidence, finding.cure) == (
        Severity.WARN,
        "Driver 410.104 is old; a newer one would not help: profile.wheel-architecture",
        None,
    )


def test_the_driver_of_a_vgpu_is_the_hypervisors() -> None:
    obstacle = Obstacle(kind=ObstacleKind.DRIVER_TOO_OLD, message="driver 525.125 is older than 580.65")
    facts = make_facts(
        make_gpu("NVIDIA A16-2Q", "8.6"),
        driver="525.125.06",
        conditions=(make_condition(_Id.VGPU, "It is a share."),),
    )
    fits = (ProfileFit(name="ampere", fits=False, reasons=(obstacle.message,), obstacles=(obstacle,)),)
    finding = look("driver.cuda-too-old", facts, fits=fits, profile=None)
    assert finding.severity is Severity.FAIL
    assert finding.cure is not None
    assert finding.cure.startswith("ask whoever runs the hypervisor")


def test_that_a_program_failed_is_told_only_where_nothing_says_more() -> None:
    both = make_silent(_Id.DRIVER_MISMATCH)
    error = make_condition(_Id.ERROR, "The program ended with an error.")
    both = replace(both, conditions=(*both.conditions, error))
    assert look("driver.answers", both).evidence == "That is so"
    alone = replace(both, conditions=(error,))
    assert look("driver.answers", alone).evidence == "The program ended with an error"


def test_the_driver_of_a_jetson_comes_with_jetpack() -> None:
    obstacle = Obstacle(kind=ObstacleKind.DRIVER_TOO_OLD, message="driver 540.4.0 is older than 580.65")
    facts = make_facts(
        make_gpu("Orin (nvgpu)", "8.7"),
        driver="540.4.0",
        conditions=(make_condition(_Id.JETSON, "It is a Jetson."),),
    )
    fits = (ProfileFit(name="jetson-orin", fits=False, reasons=(obstacle.message,), obstacles=(obstacle,)),)
    assert look("driver.cuda-too-old", facts, fits=fits, profile=None).cure == (
        "update JetPack, which brings the driver: https://developer.nvidia.com/embedded/jetpack"
    )


def test_a_list_of_the_bus_without_a_gpu_is_no_silent_driver() -> None:
    facts = make_facts(vendor=None, conditions=(make_condition(_Id.NO_DEVICE, SAID),))
    for check in ("hardware.gpu", "driver.answers", "profile.fits"):
        assert look(check, facts, scope=ELSEWHERE, profile=None).severity is Severity.SKIP
