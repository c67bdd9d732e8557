"""Which checks are chosen, and what is looked at for them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.actions.checkup import LiveCheckup
from provision.actions.context import Context
from provision.actions.doctor import choose_checks, examine
from provision.core.checks import CHECKS
from provision.core.parse.probe_json import parse_probe_json
from provision.errors import UsageError
from provision.model.facts import Probe
from provision.model.finding import Finding, Severity
from tests.support.application import STACK, make_application
from tests.support.chain import ROOT
from tests.support.sources import make_context

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return replace(make_context(tmp_path, {}), data_dir=ROOT)


def load_probe(name: str) -> Probe:
    path = DATA / "probes" / f"{name}.json"
    return parse_probe_json(path.read_text(encoding="utf-8"), where=str(path))


def look(ctx: Context, *only: str, **how: object) -> dict[str, Finding]:
    return {finding.id: finding for finding in examine(ctx, only=only, **how).findings}  # type: ignore[arg-type]


def test_ids_groups_and_patterns_choose() -> None:
    assert choose_checks(()) == tuple(CHECKS.values())
    assert [check.id for check in choose_checks(("tool.uv", "disk"))] == [
        "disk.space",
        "disk.writable",
        "disk.links",
        "tool.uv",
    ]
    chosen = [check.id for check in choose_checks(("*.cuda-*",))]
    assert set(chosen) >= {"driver.cuda-too-old", "container.cuda-compat"}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("drivers", "provision doctor --only driver"),
        ("disk.spaces", "provision doctor --only disk.space"),
        ("xyzzy", "provision doctor --list"),
        ("gpu.*", "provision doctor --list"),
    ],
)
def test_a_name_that_fits_nothing(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose_checks((name,))
    assert (caught.value.message, caught.value.hint) == (f"there is no check and no group {name!r}", hint)


def test_only_what_is_chosen_is_looked_at(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("nobody asked for that")

    for name in ("detect", "inspect_environment", "look_at_network", "find_spaces"):
        monkeypatch.setattr(f"provision.actions.checkup.{name}", fail)
    make_application(ctx.root)
    found = look(ctx, "state", "config", "weights.present", "smoke", "python.wheels")
    assert {finding.severity for finding in found.values()} == {Severity.PASS}


def test_an_application_in_order(ctx: Context) -> None:
    make_application(ctx.root)
    found = look(ctx, "state", "stack", "weights", "config", "smoke")
    assert {name: str(finding.severity) for name, finding in found.items() if finding.severity != "skip"} == {
        name: "pass"
        for name in found
        if name
        not in (
            "weights.hashes",
            *("stack.cuda-family", "stack.torch-pair", "stack.architectures", "stack.foreign-libraries"),
        )
    }
    assert found["stack.complete"].evidence == "main: 2 packages"
    assert found["stack.files"].subject == "stack main"


@pytest.mark.parametrize(
    ("path", "evidence"),
    [
        (
            "package0/module1.py",
            {
                "stack.complete": "main: package0-1.0 lists package0/module1.py, which is missing",
                "stack.files": "package0==1.0: package0/module1.py is missing",
            },
        ),
        (
            "package1-1.0.dist-info/RECORD",
            {
                "stack.complete": "main: package1-1.0.dist-info is without its RECORD",
                "stack.interrupted-install": "package1-1.0.dist-info has no RECORD",
            },
        ),
    ],
)
def test_a_file_that_is_gone(ctx: Context, path: str, evidence: dict[str, str]) -> None:
    store = make_application(ctx.root)
    [site] = (store.state_dir / STACK).glob("lib/python3*/site-packages")
    (site / path).unlink()
    found = look(ctx, "stack")
    assert {item.id: item.evidence for item in found.values() if item.severity is Severity.FAIL} == evidence
    assert {item.cure for item in found.values() if item.cure} == {
        f"provision doctor --fix --root {ctx.root}"
    }


def test_a_stack_without_its_manifest_is_still_ours(ctx: Context) -> None:
    store = make_application(ctx.root)
    (store.state_dir / STACK / "provision-stack.json").unlink()
    (store.state_dir / STACK / "bin" / "python").unlink()
    found = look(ctx, "stack.complete", "stack.interpreter")
    cure = f"provision doctor --fix --root {ctx.root}"
    assert [(item.severity, item.cure) for item in found.values()] == [(Severity.FAIL, cure)] * 2


def test_packages_that_came_later(ctx: Context) -> None:
    store = make_application(ctx.root)
    [site] = (store.state_dir / STACK).glob("lib/python3*/site-packages")
    shutil.copytree(site / "package0-1.0.dist-info", site / "package9-1.0.dist-info")
    finding = look(ctx, "stack.complete")["stack.complete"]
    assert finding.evidence == "main: package9-1.0.dist-info is new"


def test_weights_by_size_and_by_content(ctx: Context) -> None:
    store = make_application(ctx.root)
    weights = store.weights_dir / "tiny" / "model.safetensors"
    weights.write_bytes(bytes(256))
    assert look(ctx, "weights.present")["weights.present"].severity is Severity.PASS
    deep = look(ctx, "weights", deep=True)
    assert deep["weights.hashes"].evidence == "tiny_qwen2_vl: its files are not those of its revision"
    weights.unlink()
    gone = look(ctx, "weights.present")["weights.present"]
    assert gone.evidence == "tiny_qwen2_vl: model.safetensors is missing or has another size"


def test_a_damaged_state_is_told(ctx: Context) -> None:
    store = make_application(ctx.root)
    (store.state_dir / "active").write_text("first")
    found = look(ctx, "state", "stack.complete", "config.drift")
    assert found["state.whole"].severity is Severity.FAIL
    assert found["state.whole"].evidence.startswith(f"{store.state_dir / 'active'} is damaged: ")
    assert found["config.drift"].evidence == "which generation is active cannot be read: state.whole"


@pytest.mark.parametrize(
    ("data", "evidence"),
    [
        (b"models: [1, 2\nb: 3\n", "config.yaml, line 2: "),
        (b"\xff\xfe", "config.yaml: not UTF-8 at byte 0"),
    ],
)
def test_a_config_that_cannot_be_read(ctx: Context, data: bytes, evidence: str) -> None:
    (ctx.root / "config.yaml").write_bytes(data)
    finding = look(ctx, "config.valid")["config.valid"]
    assert finding.severity is Severity.FAIL
    assert finding.evidence.startswith(f"{ctx.root}/{evidence}")


def test_another_machine(ctx: Context) -> None:
    make_application(ctx.root)
    found = look(ctx, probe=load_probe("driver-mismatch"))
    assert list(found) == list(CHECKS)
    assert (found["driver.mismatch"].severity, found["driver.mismatch"].cure) == (
        Severity.FAIL,
        "sudo reboot",
    )
    here = (
        "disk",
        "network",
        "python",
        "tool",
        "state",
        "stack",
        "weights",
        "config",
        "smoke",
        "environment",
    )
    assert {finding.evidence for finding in found.values() if finding.group in here} == {
        "about another machine"
    }


def test_an_environment_of_the_users(ctx: Context, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    finding = look(ctx, "stack.interpreter", into=folder)["stack.interpreter"]
    assert (finding.severity, finding.subject) == (Severity.FAIL, str(folder))
    assert finding.evidence.endswith("it is no Python environment")


def test_pip_settings_that_cannot_be_read(ctx: Context, tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("index-url = x\n")
    broken = replace(ctx, env={**ctx.env, "PIP_CONFIG_FILE": str(config)})
    finding = look(broken, "network.packages", network=True)["network.packages"]
    assert finding.severity is Severity.FAIL
    assert finding.evidence.startswith(f"{config}: not a pip configuration file: ")


def test_a_check_that_breaks_is_named(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: object) -> None:
        raise TypeError("no such thing")

    monkeypatch.setattr(LiveCheckup, "spaces", property(fail))
    examination = examine(ctx, only=("disk", "tool"))
    assert [check.id for check in examination.broken] == ["disk.space", "disk.writable", "disk.links"]
    assert examination.findings[-1].severity is Severity.PASS


def test_settings_that_name_no_address_are_told(ctx: Context) -> None:
    odd = replace(ctx, env={"PIP_INDEX_URL": "http://[bad", "HTTPS_PROXY": "http://[bad"})
    examination = examine(odd, only=("network",))
    assert examination.broken == ()
    found = {finding.id: finding.severity for finding in examination.findings}
    assert (found["network.packages"], found["network.proxy"]) == (Severity.FAIL, Severity.FAIL)


def test_an_active_generation_that_is_not_there(ctx: Context) -> None:
    store = make_application(ctx.root)
    (store.state_dir / "active").write_text("7\n")
    finding = look(ctx, "state.whole")["state.whole"]
    assert (finding.evidence, finding.cure) == (
        "generation 7 is named as the active one, and it is not there",
        f"provision rollback 1 --root {ctx.root}",
    )


def test_a_former_generation_that_cannot_be_read(ctx: Context) -> None:
    store = make_application(ctx.root)
    former = store.state_dir / "generations" / "0"
    former.mkdir()
    (former / "generation.json").write_text("{")
    found = look(ctx, "state")
    assert (found["state.whole"].severity, found["state.whole"].evidence) == (
        Severity.WARN,
        "generation 1 is active; of former ones cannot be read: 0",
    )
    assert found["state.leftovers"].severity is Severity.SKIP
