import pytest
from packaging.tags import Tag, parse_tag

from provision.core.targets import Target, choose_target, complete_host, list_tags
from provision.model.facts import Facts, Host

HERE = Host(system="Linux", release="6.8", machine="x86_64", python_version="3.11.9")
ARM = Target(platform="linux-aarch64", python="3.12", uv_platform="aarch64-manylinux_2_28")


def build_host(system="", machine="", python=""):
    return Host(system=system, release="", machine=machine, python_version=python)


def build_facts(host):
    return Facts(
        vendor=None,
        gpus=(),
        gpu_source=None,
        driver=None,
        cuda_driver_version=None,
        conditions=(),
        host=host,
    )


def test_what_a_text_leaves_open_is_assumed_and_said():
    facts, assumed = complete_host(build_facts(build_host()), HERE)
    assert facts.host == build_host("Linux", "x86_64", "3.11.9")
    assert assumed == (
        "the text does not name a system: Linux is assumed",
        "the text does not name a processor: x86_64 is assumed",
        "the text does not name a Python: 3.11.9 as here is assumed",
    )


def test_the_processor_goes_with_the_system():
    facts, _ = complete_host(build_facts(build_host("Windows")), HERE)
    assert facts.host.platform == "windows-amd64"


@pytest.mark.parametrize(
    ("host", "target"),
    [
        (HERE, None),
        (build_host("Linux", "x86_64", "3.11.2"), None),
        (build_host("Linux", "aarch64", "3.12.3"), ARM),
        (
            build_host("Linux", "x86_64", "3.12.3"),
            Target(platform="linux-x86_64", python="3.12", uv_platform="x86_64-manylinux_2_28"),
        ),
        (build_host("FreeBSD", "amd64", "3.11.2"), None),
    ],
)
def test_targets(host, target):
    assert choose_target(host, HERE) == target


def test_tags_are_those_of_the_other_machine_best_first():
    tags = list(list_tags(ARM))
    assert tags[0] == Tag("cp312", "cp312", "manylinux_2_28_aarch64")
    (plain,) = parse_tag("py3-none-any")
    assert plain in tags
    assert not [tag for tag in tags if "x86_64" in tag.platform]
