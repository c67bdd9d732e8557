"""Which of the shipped profiles fits which machine, and what is said of the others."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from provision.core.profiles import choose_profile, judge_profiles
from provision.errors import NoProfileError, UsageError
from provision.model.facts import Condition, ConditionId, Facts, Gpu, Host, Vendor
from provision.model.profile import Obstacle, ObstacleKind, ProfileFit, TorchBuild
from tests.support.machines import LINUX, make_facts, make_gpu
from tests.support.profiles import BUILDS, PROFILES

ARM = replace(LINUX, machine="aarch64")
WINDOWS = replace(LINUX, system="Windows", machine="AMD64", release="10.0.26100")
MAC = replace(LINUX, system="Darwin", machine="arm64", release="24.6.0")
NOTHING_TOLD = Host(system="", release="", machine="", python_version="")


def judge(facts: Facts, builds: dict[str, TorchBuild] = BUILDS) -> dict[str, ProfileFit]:
    return {fit.name: fit for fit in judge_profiles(facts, PROFILES, builds)}


def choose(name: str, facts: Facts) -> str:
    return choose_profile(name, tuple(judge(facts).values()), PROFILES, facts).name


def make_other(name: str, vendor: Vendor, arch: str | None, *, integrated: bool = False) -> Gpu:
    return Gpu(name=name, vendor=vendor, arch=arch, integrated=integrated)


@pytest.mark.parametrize(
    ("name", "capability", "host", "profile"),
    [
        ("NVIDIA GeForce RTX 5070 Ti", "12.0", LINUX, "blackwell"),
        ("NVIDIA GeForce RTX 5070 Ti", "12.0", WINDOWS, "blackwell"),
        ("NVIDIA GB10", "12.1", ARM, "gb10"),
        ("NVIDIA Thor", "11.0", ARM, "jetson-thor"),
        ("NVIDIA B200", "10.0", LINUX, "blackwell-datacenter"),
        ("NVIDIA B300 SXM6 AC", "10.3", LINUX, "blackwell-datacenter"),
        ("NVIDIA GB200", "10.0", ARM, "blackwell-datacenter"),
        ("NVIDIA H200", "9.0", LINUX, "hopper"),
        ("NVIDIA GH200 480GB", "9.0", ARM, "hopper"),
        ("NVIDIA GeForce RTX 4090", "8.9", LINUX, "ada"),
        ("NVIDIA A100-SXM4-80GB", "8.0", LINUX, "ampere"),
        ("NVIDIA GeForce RTX 3090", "8.6", LINUX, "ampere"),
        ("NVIDIA A10G", "8.6", ARM, "ampere"),
        ("Tesla T4", "7.5", LINUX, "turing"),
        ("Tesla V100-SXM2-32GB", "7.0", LINUX, "volta"),
        ("NVIDIA GeForce GTX 1080 Ti", "6.1", LINUX, "pascal"),
        ("Tesla P100-PCIE-16GB", "6.0", WINDOWS, "pascal"),
        ("NVIDIA GeForce GTX 980", "5.2", LINUX, "maxwell"),
    ],
)
def test_auto_goes_by_compute_capability(name: str, capability: str, host: Host, profile: str) -> None:
    assert choose("auto", make_facts(make_gpu(name, capability), host=host)) == profile


@pytest.mark.parametrize(
    ("vendor", "arch", "host", "profile"),
    [
        (Vendor.AMD, "gfx1100", LINUX, "rocm"),
        (Vendor.AMD, "gfx942", LINUX, "rocm"),
        (Vendor.INTEL, "xe2-hpg", LINUX, "xpu"),
        (Vendor.INTEL, "xe-hpg", WINDOWS, "xpu"),
        (Vendor.APPLE, "apple-m4", MAC, "apple"),
    ],
)
def test_auto_goes_by_architecture_for_other_makers(
    vendor: Vendor, arch: str, host: Host, profile: str
) -> None:
    facts = make_facts(make_other("a device", vendor, arch), vendor=vendor, driver=None, host=host)
    assert choose("auto", facts) == profile


def test_the_name_does_not_count_when_the_capability_is_known() -> None:
    assert choose("auto", make_facts(make_gpu("NVIDIA GeForce RTX 5090", "8.6"))) == "ampere"


def test_an_architecture_alone_is_enough_where_one_profile_has_all_of_it() -> None:
    ada = Gpu(name="10de:28a1", vendor=Vendor.NVIDIA, arch="ada")
    facts = make_facts(ada, driver=None)
    assert choose("auto", facts) == "ada"
    assert judge(facts)["ada"].reasons == (
        "10de:28a1 (ada) matches",
        "its compute capability is unknown, its architecture ada is not",
        "the driver's version is unknown",
    )
    blackwell = make_facts(Gpu(name="NVIDIA Graphics Device", vendor=Vendor.NVIDIA, arch="blackwell"))
    assert judge(blackwell)["blackwell"].obstacles == (
        Obstacle(
            kind=ObstacleKind.CAPABILITY,
            message="needs compute capability 12.0; found NVIDIA Graphics Device (blackwell)",
            needed="12.0",
            found="blackwell",
            gpu="NVIDIA Graphics Device",
        ),
    )


def test_no_gpu_is_the_cpu() -> None:
    assert choose("auto", make_facts()) == "cpu"
    assert judge(make_facts())["cpu"].reasons == ("no GPU was found",)


def test_what_a_reader_must_know_of_how_it_fits() -> None:
    seen = Condition(
        id=ConditionId.CUDA_VISIBLE_DEVICES,
        message="CUDA_VISIBLE_DEVICES is '1': CUDA programs see that selection.",
    )
    gpus = (make_gpu("Tesla T4", "7.5"), make_gpu("NVIDIA L4", "8.9"))
    facts = make_facts(*gpus, driver="580.82.07", conditions=(seen,))
    fit = judge(facts)["ada"]
    assert (fit.fits, fit.gpu, fit.obstacles) == (True, 1, ())
    assert fit.reasons == (
        "NVIDIA L4 (8.9) matches",
        "runs the wheel's code for 8.6",
        "driver 580.82.07 does; 580.95.05 is what came with CUDA 13.0",
        "judged by this one of 2 GPUs",
        "CUDA_VISIBLE_DEVICES is '1': CUDA programs see that selection",
    )


def test_the_newest_of_several_gpus_decides() -> None:
    gpus = (make_gpu("NVIDIA GeForce GTX 1080 Ti", "6.1"), make_gpu("NVIDIA GeForce RTX 4090", "8.9"))
    assert choose("auto", make_facts(*gpus)) == "ada"
    assert judge(make_facts(*gpus))["pascal"].fits


def test_an_old_driver_is_refused_with_the_version_that_is_needed() -> None:
    facts = make_facts(make_gpu("NVIDIA GeForce RTX 5070 Ti", "12.0"), driver="570.124.06")
    with pytest.raises(NoProfileError) as caught:
        choose("blackwell", facts)
    message = "driver 570.124.06 is older than 580.65.06, which CUDA 13.0 needs"
    assert caught.value.message == f"profile blackwell does not fit: {message}"
    assert judge(facts)["blackwell"].obstacles == (
        Obstacle(
            kind=ObstacleKind.DRIVER_TOO_OLD,
            message=message,
            needed="580.65.06",
            found="570.124.06",
            gpu="NVIDIA GeForce RTX 5070 Ti",
            cure_hint="install driver 580.65.06 or newer (https://www.nvidia.com/en-us/drivers/)",
        ),
    )


@pytest.mark.parametrize("driver", [None, "", "nouveau", "32.0.15.7602"])
def test_a_driver_that_tells_no_version_of_nvidias_is_not_refused(driver: str | None) -> None:
    facts = make_facts(make_gpu("NVIDIA H200", "9.0"), driver=driver)
    assert judge(facts)["hopper"].reasons == (
        "NVIDIA H200 (9.0) matches",
        "the driver's version is unknown",
    )


@pytest.mark.parametrize(
    ("driver", "host", "fits"),
    [
        ("525.60.13", LINUX, True),
        ("525.60.11", LINUX, False),
        ("528.33", WINDOWS, True),
        ("527.41", WINDOWS, False),
        ("527.41", replace(LINUX, wsl=2), False),
    ],
)
def test_cuda_12_starts_on_branch_525(driver: str, host: Host, fits: bool) -> None:
    facts = make_facts(make_gpu("Tesla V100-PCIE-16GB", "7.0"), driver=driver, host=host)
    assert judge(facts)["volta"].fits is fits


def test_a_driver_that_dropped_the_card_is_refused() -> None:
    facts = make_facts(make_gpu("NVIDIA GeForce GTX 1080 Ti", "6.1"), driver="590.48.01")
    [obstacle] = judge(facts)["pascal"].obstacles
    assert (obstacle.kind, obstacle.needed, obstacle.found) == (
        ObstacleKind.DRIVER_TOO_NEW,
        "580",
        "590.48.01",
    )
    assert obstacle.message == "driver 590.48.01 no longer knows this GPU; branch 580 is the last that does"


def test_wsl_shows_the_windows_driver() -> None:
    gpu = make_gpu("NVIDIA GeForce RTX 5070 Ti", "12.0")
    host = replace(LINUX, wsl=2)
    with pytest.raises(NoProfileError, match=re.escape("driver 580.70 is older than 580.88")):
        choose("blackwell", make_facts(gpu, driver="580.70", host=host))
    assert choose("auto", make_facts(gpu, driver="591.86", host=host)) == "blackwell"


def test_the_cpu_may_be_asked_for_by_name() -> None:
    assert choose("cpu", make_facts(make_gpu("NVIDIA H200", "9.0"))) == "cpu"


def test_a_gpu_that_does_not_answer_is_no_reason_to_take_the_cpu() -> None:
    message = "NVML, the driver's library, gave no answer within 3.5 s and was ended."
    condition = Condition(id=ConditionId.NVML_TIMEOUT, message=message)
    facts = make_facts(vendor=None, conditions=(condition,))
    with pytest.raises(NoProfileError) as caught:
        choose("auto", facts)
    assert caught.value.message == (
        f"whether there is a GPU is unknown, and the CPU is not taken silently. {message}"
    )
    with pytest.raises(NoProfileError, match="^a GPU by nvidia cannot be used, and the CPU is not taken"):
        choose("auto", make_facts(vendor=Vendor.NVIDIA))


def test_another_generations_profile_is_refused_with_the_one_that_fits() -> None:
    with pytest.raises(NoProfileError) as caught:
        choose("blackwell", make_facts(make_gpu("NVIDIA H200", "9.0")))
    assert caught.value.message == (
        "profile blackwell does not fit: needs compute capability 12.0; found NVIDIA H200 (9.0)"
    )
    assert caught.value.hint == "provision apply hopper"


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        choose("blackwel", make_facts())
    assert caught.value.message == (
        "there is no profile 'blackwel'; known are auto, gb10, blackwell, jetson-thor, blackwell-datacenter, "
        "hopper, ada, jetson-orin, ampere, turing, volta, pascal, maxwell, cuda12, rocm, xpu, apple, cpu"
    )
    assert caught.value.hint == "provision apply blackwell"


def test_orin_never_fits_and_the_message_says_what_nvidia_offers() -> None:
    facts = make_facts(make_gpu("Orin (nvgpu)", "8.7"), driver="580.95.05", host=ARM)
    [obstacle] = judge(facts)["jetson-orin"].obstacles
    assert (obstacle.kind, obstacle.needed, obstacle.found) == (
        ObstacleKind.WHEEL_LACKS_ARCHITECTURE,
        "8.0 or 9.0 or 10.0 or 11.0 or 12.0",
        "8.7",
    )
    message = (
        "torch 2.11.0 for cu130 carries no code for compute capability 8.7 on linux-aarch64: "
        "it has 8.0, 9.0, 10.0, 11.0, 12.0"
    )
    assert obstacle.message == message
    assert (obstacle.cure_hint or "").startswith("NVIDIA's own builds for JetPack 6: the Jetson AI Lab index")
    with pytest.raises(NoProfileError) as caught:
        choose("auto", facts)
    assert caught.value.message == (
        f"no profile fits Orin (nvgpu) (8.7), and the CPU is not taken silently. jetson-orin: {message}"
    )


@pytest.mark.parametrize(("driver", "fits"), [("580.00", True), ("540.4.0", False)])
def test_jetsons_drivers_compare_by_branch(driver: str, fits: bool) -> None:
    facts = make_facts(make_gpu("NVIDIA Thor", "11.0"), driver=driver, host=ARM)
    assert judge(facts)["jetson-thor"].fits is fits


def test_a_turing_card_in_an_arm_server_is_not_served() -> None:
    facts = make_facts(make_gpu("NVIDIA T4G", "7.5"), host=ARM)
    [obstacle] = judge(facts)["turing"].obstacles
    assert obstacle.kind is ObstacleKind.WHEEL_LACKS_ARCHITECTURE
    assert obstacle.message == (
        "torch 2.11.0 for cu130 carries no code for compute capability 7.5 on linux-aarch64: "
        "the device is older than the oldest it has, 8.0"
    )


def test_a_card_that_no_profile_serves_is_told_about_the_wheels() -> None:
    facts = make_facts(make_gpu("Tesla K80", "3.7"), driver="580.95.05")
    kinds = {name: [item.kind for item in fit.obstacles] for name, fit in judge(facts).items()}
    assert kinds["pascal"] == kinds["hopper"] == [ObstacleKind.WHEEL_LACKS_ARCHITECTURE]
    assert kinds["gb10"] == [ObstacleKind.CAPABILITY]
    pasted = judge(make_facts(make_gpu("Tesla K80", "3.7"), host=NOTHING_TOLD))
    assert [item.kind for item in pasted["gb10"].obstacles] == [ObstacleKind.CAPABILITY]
    with pytest.raises(NoProfileError) as caught:
        choose("auto", facts)
    assert caught.value.message == (
        "no profile fits Tesla K80 (3.7), and the CPU is not taken silently. "
        "torch 2.11.0 for cu130 carries no code for compute capability 3.7 on linux-x86_64: "
        "the device is older than the oldest it has, 7.5. "
        "torch 2.14.1 for cu126 carries no code for compute capability 3.7 on linux-x86_64: "
        "the device is older than the oldest it has, 5.0"
    )


def test_what_an_old_driver_serves_is_named_and_never_taken_by_itself() -> None:
    facts = make_facts(make_gpu("NVIDIA GeForce RTX 5070 Ti", "12.0"), driver="575.64.03")
    assert judge(facts)["cuda12"].fits
    with pytest.raises(NoProfileError) as caught:
        choose("auto", facts)
    assert caught.value.hint == "provision doctor   # or provision apply cuda12"
    assert choose("cuda12", facts) == "cuda12"
    new = make_facts(make_gpu("NVIDIA GeForce RTX 5070 Ti", "12.0"), driver="580.95.05")
    assert choose("auto", new) == "blackwell"


def test_a_card_newer_than_the_wheel_is_told_so() -> None:
    [obstacle] = judge(make_facts(make_gpu("NVIDIA Rubin", "10.7"), host=LINUX))["hopper"].obstacles
    assert obstacle.kind is ObstacleKind.CAPABILITY
    [obstacle] = judge(make_facts(make_gpu("a card of next year", "14.0")))["hopper"].obstacles
    assert obstacle.message.endswith("the device is newer than the newest it has, 12.0")


def test_a_wheel_with_ptx_only_fits_with_a_warning() -> None:
    def keep_ptx(build: TorchBuild) -> TorchBuild:
        kept = {key: replace(item, sass=(75, 80), ptx=(80,)) for key, item in build.architectures.items()}
        return replace(build, architectures=kept)

    builds = {name: keep_ptx(build) for name, build in BUILDS.items()}
    fit = judge(make_facts(make_gpu("NVIDIA GeForce RTX 5070 Ti", "12.0")), builds)["blackwell"]
    assert fit.fits
    assert fit.reasons == (
        "NVIDIA GeForce RTX 5070 Ti (12.0) matches",
        "the wheel has PTX only: the driver compiles it, so the first start is slow",
    )


def test_mixed_makers_are_judged_each_by_its_own() -> None:
    ada = Gpu(name="AD107M", vendor=Vendor.NVIDIA, compute_capability="8.9", arch="ada")
    graphics = make_other("Raptor Lake-P graphics", Vendor.INTEL, "xe-lp", integrated=True)
    facts = make_facts(graphics, ada, vendor=Vendor.MIXED, driver="580.95.05")
    assert choose("auto", facts) == "ada"
    fits = judge(facts)
    assert fits["ada"].gpu == 1
    assert fits["rocm"].reasons == ("needs a GPU by amd; the GPUs are made by intel and nvidia",)
    assert fits["xpu"].reasons == (
        "needs architecture xe-hpg or xe-lpg or xe-lpg+ or xe-hpc or xe2-hpg or xe2-lpg or xe3-lpg; "
        "found Raptor Lake-P graphics (xe-lp)",
    )


def test_a_discrete_card_goes_before_graphics_in_the_processor() -> None:
    strix = make_other("Radeon 8060S", Vendor.AMD, "gfx1151", integrated=True)
    arc = make_other("Arc B580", Vendor.INTEL, "xe2-hpg")
    assert choose("auto", make_facts(strix, arc, vendor=Vendor.MIXED, driver=None)) == "xpu"
    assert choose("auto", make_facts(strix, vendor=Vendor.AMD, driver=None)) == "rocm"


def test_graphics_in_the_processor_that_nothing_serves_leave_the_cpu() -> None:
    graphics = make_other("UHD Graphics 730", Vendor.INTEL, "xe-lp", integrated=True)
    facts = make_facts(graphics, vendor=Vendor.INTEL, driver=None)
    assert choose("auto", facts) == "cpu"
    assert judge(facts)["cpu"].reasons == (
        "runs, but leaves UHD Graphics 730 (xe-lp), which is part of the processor, unused",
    )


@pytest.mark.parametrize("arch", ["gfx1031", "gfx803"])
def test_an_amd_target_that_the_wheel_lacks(arch: str) -> None:
    facts = make_facts(make_other("Radeon", Vendor.AMD, arch), vendor=Vendor.AMD, driver=None)
    [obstacle] = judge(facts)["rocm"].obstacles
    assert obstacle.kind is ObstacleKind.WHEEL_LACKS_ARCHITECTURE
    assert obstacle.message == (f"torch 2.11.0 for rocm7.2 carries no code for target {arch} on linux-x86_64")
    with pytest.raises(NoProfileError, match="and the CPU is not taken silently"):
        choose("auto", facts)


def test_an_amd_target_in_the_wheel_that_the_libraries_dropped() -> None:
    facts = make_facts(make_other("Radeon VII", Vendor.AMD, "gfx906"), vendor=Vendor.AMD, driver=None)
    assert [item.kind for item in judge(facts)["rocm"].obstacles] == [ObstacleKind.ARCH]
    with pytest.raises(NoProfileError, match=r"taken silently\. needs architecture gfx908 or .*\(gfx906\)$"):
        choose("auto", facts)


@pytest.mark.parametrize("host", [WINDOWS, ARM])
def test_rocm_is_for_linux_on_x86_64(host: Host) -> None:
    facts = make_facts(
        make_other("Radeon RX 9070", Vendor.AMD, "gfx1201"), vendor=Vendor.AMD, driver=None, host=host
    )
    [obstacle] = judge(facts)["rocm"].obstacles
    assert obstacle == Obstacle(
        kind=ObstacleKind.PLATFORM,
        message=f"torch 2.11.0 for rocm7.2 serves these devices on linux-x86_64; this is {host.platform}",
        needed="linux-x86_64",
        found=host.platform,
    )


def test_an_unknown_platform_is_assumed_and_said() -> None:
    facts = make_facts(make_gpu("NVIDIA GeForce RTX 3090", "8.6"), host=NOTHING_TOLD)
    assert judge(facts)["ampere"].reasons == (
        "NVIDIA GeForce RTX 3090 (8.6) matches",
        "linux-x86_64 is assumed, since nothing tells the system",
    )
    gb10 = judge(make_facts(make_gpu("NVIDIA GB10", "12.1"), host=NOTHING_TOLD))["gb10"]
    assert gb10.reasons == (
        "NVIDIA GB10 (12.1) matches",
        "runs the wheel's code for 12.0",
        "linux-aarch64 is assumed, since nothing tells the system",
    )


def test_a_mac_with_an_intel_processor_has_no_wheel() -> None:
    facts = make_facts(host=replace(MAC, machine="x86_64"))
    with pytest.raises(NoProfileError) as caught:
        choose("auto", facts)
    assert caught.value.message.endswith(
        "torch 2.13.0 for the CPU serves these devices on linux-x86_64 and linux-aarch64 and windows-amd64 "
        "and macos-arm64; this is macos-x86_64"
    )


@pytest.mark.parametrize(
    ("python", "fits"),
    [("3.9.21", False), ("3.10.0", True), ("3.14.2", True), ("3.15.0rc1", False), ("", True)],
)
def test_a_python_without_wheels_is_refused(python: str, fits: bool) -> None:
    facts = make_facts(make_gpu("NVIDIA H200", "9.0"), host=replace(LINUX, python_version=python))
    fit = judge(facts)["hopper"]
    assert fit.fits is fits
    if not fits:
        found = ".".join(python.split(".")[:2])
        assert fit.reasons == (f"torch 2.11.0 has wheels for Python 3.10 to 3.14; this is {found}",)
        assert fit.obstacles[0].kind is ObstacleKind.PYTHON
