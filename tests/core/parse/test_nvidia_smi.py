import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.core.parse.nvidia_smi import parse_csv, parse_nvidia_smi, parse_xml
from provision.core.parse.source_report import SourceReport
from provision.model.facts import Condition, ConditionId, Gpu, Outcome, Reading

HEADER = (
    "name, uuid, pci.bus_id, memory.total [MiB], memory.used [MiB], compute_cap, mig.mode.current, "
    "driver_version"
)
XML = """<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
  <driver_version>535.161.08</driver_version>
  <cuda_version>12.2</cuda_version>
  <gpu id="00000001:00:00.0">
    <product_name>NVIDIA A100-SXM4-80GB</product_name>
    <product_architecture>Ampere</product_architecture>
    <mig_mode><current_mig>Enabled</current_mig></mig_mode>
    <mig_devices>
      <mig_device><fb_memory_usage><total>9728 MiB</total></fb_memory_usage></mig_device>
    </mig_devices>
    <uuid>GPU-1</uuid>
    <fb_memory_usage><total>81920 MiB</total><used>86 MiB</used></fb_memory_usage>
  </gpu>
  <gpu id="00000002:00:00.0">
    <product_name>NVIDIA A100-SXM4-80GB</product_name>
  </gpu>
</nvidia_smi_log>
"""
A100 = Gpu(
    name="NVIDIA A100-SXM4-80GB",
    uuid="GPU-1",
    memory_mib=81920,
    memory_used_mib=86,
    arch="ampere",
    mig_enabled=True,
    pci_bus_id="00000001:00:00.0",
)


def _csv(text, *, outcome=Outcome.OK, exit_code=0, error="", **more):
    return Reading(
        source="nvidia-smi-csv", outcome=outcome, text=text, exit_code=exit_code, error=error, **more
    )


def _xml(text, *, outcome=Outcome.OK, exit_code=0, **more):
    return Reading(source="nvidia-smi-xml", outcome=outcome, text=text, exit_code=exit_code, **more)


def test_csv():
    text = (
        f"{HEADER}\n"
        "NVIDIA L4, GPU-1, 00000000:31:00.0, 23034, 5, 8.9, [N/A], 570.144\n"
        "NVIDIA H100 80GB HBM3, GPU-2, 00000000:D3:00.0, 81559 MiB, 0 MiB, 9.0, Disabled, 570.144\n"
        "WARNING: infoROM is corrupted at gpu 0000:D3:00.0\n"
    )
    assert parse_csv(text) == SourceReport(
        gpus=(
            Gpu(
                name="NVIDIA L4",
                uuid="GPU-1",
                memory_mib=23034,
                memory_used_mib=5,
                compute_capability="8.9",
                pci_bus_id="00000000:31:00.0",
            ),
            Gpu(
                name="NVIDIA H100 80GB HBM3",
                uuid="GPU-2",
                memory_mib=81559,
                memory_used_mib=0,
                compute_capability="9.0",
                mig_enabled=False,
                pci_bus_id="00000000:D3:00.0",
            ),
        ),
        driver="570.144",
    )


def test_csv_of_a_board_that_says_little():
    text = f"{HEADER}\nOrin (nvgpu), [N/A], [N/A], [Not Supported], [N/A], [Unknown Error], [N/A], [N/A]\n"
    assert parse_csv(text) == SourceReport(gpus=(Gpu(name="Orin (nvgpu)"),))


@pytest.mark.parametrize("text", ["", "\n", "name\n", "NVIDIA L4, 8.9, 23034\n", "\x00\xff, name"])
def test_csv_without_rows(text):
    assert parse_csv(text) == SourceReport()


def test_xml_takes_the_memory_of_the_gpu_not_of_its_mig_instances():
    assert parse_xml(XML) == SourceReport(
        gpus=(A100, Gpu(name="NVIDIA A100-SXM4-80GB", pci_bus_id="00000002:00:00.0")),
        driver="535.161.08",
        cuda_driver_version="12.2",
    )


def test_xml_that_is_cut_off_keeps_what_is_complete():
    cut = XML[: XML.index('<gpu id="00000002') + 60]
    assert parse_xml(cut) == SourceReport(gpus=(A100,), driver="535.161.08", cuda_driver_version="12.2")


def test_xml_with_another_program_s_words_around_it():
    assert parse_xml(f"some driver noise\n{XML}and a farewell\n").gpus[0] == A100


def test_xml_entities_are_not_expanded():
    kind = '<!DOCTYPE nvidia_smi_log [<!ENTITY a "580.95.05">]>'
    assert parse_xml(f"{kind}<nvidia_smi_log><driver_version>&a;</driver_version>") == SourceReport()


@pytest.mark.parametrize(
    ("text", "exit_code", "condition", "message"),
    [
        (
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.86\n",
            18,
            "driver-mismatch",
            "The loaded NVIDIA kernel module and the driver's libraries are of different versions "
            "(the library is 570.86), as after an update of the driver without a restart.",
        ),
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that "
            "the latest NVIDIA driver is installed and running.\n\n",
            9,
            "driver-not-loaded",
            "NVIDIA's software is installed, but its kernel driver is not loaded.",
        ),
        (
            "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system.\n",
            12,
            "nvml-library-missing",
            "nvidia-smi is here, but not the driver library that it needs (libnvidia-ml).",
        ),
        (
            "No devices were found\n",
            6,
            "no-device",
            "The NVIDIA driver works, but nvidia-smi shows no GPU to this process.",
        ),
        (
            "Unable to determine the device handle for GPU0000:07:00.0: Unknown Error\n",
            15,
            "gpu-lost",
            "The driver knows GPU 0000:07:00.0 but gets no answer from it any more.",
        ),
        (
            "Unable to determine the device handle for GPU 0000:0B:00.0: GPU is lost.  Reboot the system\n",
            15,
            "gpu-lost",
            "The driver knows GPU 0000:0B:00.0 but gets no answer from it any more.",
        ),
        (
            "Unable to determine the device handle for GPU3: 0000:86:00.0: Unknown Error\n",
            15,
            "gpu-lost",
            "The driver knows GPU 0000:86:00.0 but gets no answer from it any more.",
        ),
        (
            "Failed to initialize NVML: Insufficient Permissions\n",
            4,
            "nvml-error",
            "NVML, the driver's library, failed: its start gave 'Insufficient Permissions'.",
        ),
        (
            "Failed to initialize NVML: Unknown Error\n",
            255,
            "nvml-unknown-error",
            "NVML, the driver's library, failed for a reason that it does not name.",
        ),
    ],
)
def test_what_nvidia_smi_says_when_it_fails(text, exit_code, condition, message):
    failed = {"outcome": Outcome.FAILED, "exit_code": exit_code}
    assert parse_nvidia_smi(_csv(text, **failed), _xml(text, **failed)) == SourceReport(
        conditions=(Condition(id=ConditionId(condition), message=message),), nvidia=True
    )


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        (_csv("hello\n"), "it ended with exit code 0 and printed 'hello'"),
        (_csv("", outcome=Outcome.FAILED, exit_code=1), "it ended with exit code 1 and printed nothing"),
        (
            _csv("\x00\x1b[31m\ufffd\ufffd", outcome=Outcome.FAILED, exit_code=-11),
            "it ended with exit code -11 and printed '[31m\ufffd\ufffd'",
        ),
        (_csv("x" * 1000), f"it ended with exit code 0 and printed '{'x' * 120}…'"),
        (
            _csv("", outcome=Outcome.FAILED, exit_code=None, error="/bin/nvidia-smi is not executable"),
            "/bin/nvidia-smi is not executable",
        ),
    ],
)
def test_a_program_that_is_no_nvidia_smi(reading, message):
    assert parse_nvidia_smi(reading, None) == SourceReport(
        conditions=(
            Condition(id=ConditionId.NVIDIA_SMI_BROKEN, message=f"nvidia-smi is of no use here: {message}."),
        )
    )


def test_timeout_is_told_once():
    late = {"outcome": Outcome.TIMEOUT, "exit_code": -9, "origin": "/usr/bin/nvidia-smi", "limit_s": 4.5}
    assert parse_nvidia_smi(_csv("", **late), _xml("", **late)) == SourceReport(
        conditions=(
            Condition(
                id=ConditionId.NVIDIA_SMI_TIMEOUT,
                message="/usr/bin/nvidia-smi gave no answer within 4.5 s and was ended.",
            ),
        )
    )


def test_an_old_driver_refuses_the_field_and_answers_in_xml():
    refusal = 'Field "compute_cap" is not a valid field to query.\n\n'
    report = parse_nvidia_smi(_csv(refusal, outcome=Outcome.FAILED, exit_code=2), _xml(XML))
    assert report == SourceReport(
        gpus=(A100, Gpu(name="NVIDIA A100-SXM4-80GB", pci_bus_id="00000002:00:00.0")),
        driver="535.161.08",
        cuda_driver_version="12.2",
        nvidia=True,
    )


def test_a_driver_without_gpus_in_xml():
    text = "<nvidia_smi_log><driver_version>580.95.05</driver_version><attached_gpus>0</attached_gpus>"
    report = parse_nvidia_smi(None, _xml(text))
    assert (report.driver, [condition.id for condition in report.conditions]) == ("580.95.05", ["no-device"])


def test_one_lost_gpu_beside_one_that_answers():
    text = (
        f"{HEADER}\nNVIDIA L4, GPU-1, 00000000:31:00.0, 23034, 5, 8.9, [N/A], 570.144\n"
        "Unable to determine the device handle for GPU 0000:32:00.0: Unknown Error\n"
    )
    report = parse_nvidia_smi(_csv(text, outcome=Outcome.FAILED, exit_code=15), None)
    assert [gpu.uuid for gpu in report.gpus] == ["GPU-1"]
    assert [condition.id for condition in report.conditions] == ["gpu-lost"]


def test_csv_without_xml_leaves_the_cuda_version_unknown_and_says_why():
    text = f"{HEADER}\nNVIDIA L4, GPU-1, 00000000:31:00.0, 23034, 5, 8.9, [N/A], 570.144\n"
    report = parse_nvidia_smi(_csv(text), _xml("<html>"))
    assert (report.driver, report.cuda_driver_version) == ("570.144", None)
    assert [condition.message for condition in report.conditions] == [
        "nvidia-smi is of no use here: it ended with exit code 0 and printed '<html>'."
    ]


@given(st.text(), st.integers(0, len(XML)), st.text())
def test_mutated_output_never_raises(csv, position, insertion):
    mutated = XML[:position] + insertion + XML[position:]
    report = parse_nvidia_smi(_csv(csv), _xml(mutated))
    assert all(isinstance(gpu, Gpu) for gpu in report.gpus)
