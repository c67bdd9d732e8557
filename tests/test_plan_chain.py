"""Plans that are shown, kept, confirmed and refused, and stacks that are only built: with the real stack."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.support.chain import Chain
from tests.test_chain import make_profiles, read_state

pytestmark = pytest.mark.stack


@pytest.fixture
def copied(chain: Chain, tmp_path: Path) -> Chain:
    """A copy of the application's folder, by hard links."""
    copy = Chain(tmp_path / "application")
    shutil.copytree(chain.root, copy.root, symlinks=True, copy_function=os.link)
    return copy


def test_nothing_is_changed_unasked(copied: Chain, tmp_path: Path) -> None:
    before = read_state(copied)
    profiles = str(make_profiles(tmp_path / "profiles", "eager"))
    for output in ((), ("--output", "json")):
        done = copied.provision("apply", "cpu", "--profiles", profiles, *output, PROVISION_YES="0")
        assert done.returncode == 2, done.stderr
        said = done.stdout + done.stderr
        assert "nothing is changed unasked" in said
        assert "--yes" in said
    assert read_state(copied) == before
    assert copied.provision("apply", "cpu", PROVISION_YES="0").returncode == 0, "nothing to do asks nothing"


def test_a_plan_is_applied_as_it_stands_and_once(copied: Chain, tmp_path: Path) -> None:
    profiles = str(make_profiles(tmp_path / "profiles", "eager"))
    path = tmp_path / "plan.json"
    planned = copied.provision("plan", "cpu", "--profiles", profiles, "--out", str(path))
    assert planned.returncode == 1, planned.stderr
    assert (
        "stack   main: tiny_qwen2_vl (accelerate==1.15.0, pillow==13.0.0, transformers==5.22.2)"
        in planned.stdout
    )
    assert "keep stack main (41 packages, torch 2.13.0" in planned.stdout
    done = copied.provision("apply", "--plan", str(path), "--profiles", profiles)
    assert done.returncode == 0, done.stderr
    assert read_state(copied)[1:] == ("2\n", ["1", "2"])
    again = copied.provision("apply", "--plan", str(path), "--profiles", profiles)
    assert again.returncode == 6
    assert "error: the plan is stale: active generation was 1, is 2; config.yaml changed\n" in again.stderr


def test_a_plan_for_another_profile_text_or_an_altered_lock_is_refused(copied: Chain, tmp_path: Path) -> None:
    before = read_state(copied)
    profiles = make_profiles(tmp_path / "profiles", "eager")
    path = tmp_path / "plan.json"
    assert copied.provision("plan", "cpu", "--profiles", str(profiles), "--out", str(path)).returncode == 1
    stale = copied.provision("apply", "--plan", str(path))
    assert (stale.returncode, "the plan is stale: profile changed" in stale.stderr) == (6, True)
    content = json.loads(path.read_text())
    lock = content["plan"]["stacks"][0]["lock"]
    lock["text"] = lock["text"].replace("numpy==", "numpy==0.")
    path.write_text(json.dumps(content))
    altered = copied.provision("apply", "--plan", str(path), "--profiles", str(profiles))
    assert (altered.returncode, "the lock of stack main was altered" in altered.stderr) == (2, True)
    path.write_text("{}")
    none = copied.provision("apply", "--plan", str(path))
    assert (none.returncode, "plan.json: not a plan: " in none.stderr) == (2, True)
    both = copied.provision("apply", "cpu", "--plan", str(path))
    assert (both.returncode, "a plan says itself which profile and models" in both.stderr) == (2, True)
    assert read_state(copied) == before


def test_a_plan_holds_no_password(copied: Chain, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    profiles = str(make_profiles(tmp_path / "profiles", "eager"))
    address = "http://user:s3cret@127.0.0.1:9/simple"
    done = copied.provision(
        "plan", "cpu", "--profiles", profiles, "--out", str(path), PIP_EXTRA_INDEX_URL=address
    )
    assert done.returncode == 1, done.stderr
    assert "s3cret" not in path.read_text() + done.stdout + done.stderr


def test_a_stack_that_is_only_built_is_imported_and_activates_nothing(copied: Chain) -> None:
    before = read_state(copied)
    envelope = copied.read_json("apply", "cpu", "--build-only")
    [stack] = envelope["data"]["built"]
    assert [item["name"] for item in stack["imports"]["packages"]] == [
        "torch",
        "accelerate",
        "pillow",
        "transformers",
    ]
    assert all(item["error"] is None for item in stack["imports"]["packages"])
    assert [(item["model"], item["verdict"]) for item in stack["smoke"]] == [("tiny_qwen2_vl", "pass")]
    assert [step["kind"] for step in envelope["data"]["steps"]] == ["reuse-stack", "weights", "import-check"]
    assert read_state(copied) == before


def test_weights_can_be_left_out_of_a_build_only(copied: Chain) -> None:
    done = copied.provision("apply", "cpu", "--no-weights")
    assert (done.returncode, "--no-weights goes with --build-only" in done.stderr) == (2, True)
