"""`provision update` for real: a newer transformers from a local index, one that is wrong and one that is right."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.chain import Chain
from tests.support.index_server import IndexServer
from tests.support.installed_wheel import pack_installed
from tests.support.wheel_archive import repack_wheel

pytestmark = [pytest.mark.stack, pytest.mark.slow]
VERSION = "5.99.0"
# Every token that generate makes is another one; prompts stay, so that nothing but the reading shows it.
WRONG = b"""

_right_generate = GenerationMixin.generate


def _wrong_generate(self, *args, **kwargs):
    answer = _right_generate(self, *args, **kwargs)
    tokens = getattr(answer, "sequences", answer)
    tokens[:, kwargs["input_ids"].shape[1] :] += 1
    return answer


GenerationMixin.generate = _wrong_generate
"""


@pytest.fixture
def application(chain: Chain, tmp_path: Path) -> Chain:
    """A copy of the application's folder, by hard links."""
    copy = Chain(tmp_path / "application")
    shutil.copytree(chain.root, copy.root, symlinks=True, copy_function=os.link)
    return copy


def make_newer(application: Chain, folder: Path, *, wrong: bool) -> Path:
    """The stack's own transformers with a higher version, whose generate may be wrong."""
    [site] = application.root.glob(".provision/stacks/main-*/lib/python3*/site-packages")
    source = pack_installed(site, "transformers", folder / "installed")
    former = source.name.split("-")[1].encode()
    init = (site / "transformers" / "__init__.py").read_bytes()
    changes = {"transformers/__init__.py": init.replace(former, VERSION.encode())}
    if wrong:
        utils = "transformers/generation/utils.py"
        changes[utils] = (site / utils).read_bytes() + WRONG
    repack_wheel(source, folder / "index", version=VERSION, changes=changes)
    return folder / "index"


def hash_state(application: Chain) -> dict[str, str]:
    """SHA-256 of config.yaml and of every file of the state, but what tells of trials."""
    found = {}
    for path in sorted([application.config, *(application.root / ".provision").rglob("*")]):
        if path.is_file() and path.name != "trials.json":
            found[str(path.relative_to(application.root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_a_version_that_breaks_is_discarded_and_all_stays_byte_for_byte(
    application: Chain, tmp_path: Path
) -> None:
    before = hash_state(application)
    wheels = make_newer(application, tmp_path, wrong=True)
    with IndexServer((wheels,)) as index:
        env = build_env(index, tmp_path)
        data = application.read_json("update", "--check", code=1, **env)["data"]
        named = [(row["name"], row["new"]) for row in data["available"] if row["name"] == "transformers"]
        assert named == [("transformers", VERSION)]
        assert hash_state(application) == before
        done = application.provision("update", "--yes", **env)
        assert done.returncode == 1, done.stderr
        assert "\ndiscarded: tiny_qwen2_vl: fail, was pass: " in done.stdout
        assert "generation 1 is active and config.yaml as it was" in done.stdout
        assert hash_state(application) == before
        again = application.read_json("update", "--check", **env)["data"]
        assert (again["tried"]["verdict"], again["tried"]["locks"]) == ("discarded", locks_of(again))
        told = application.provision("update", "--yes", **env)
        assert told.returncode == 0
        assert "discarded because tiny_qwen2_vl: fail, was pass: " in told.stdout
        application.read_json("update", "--check", "--retry", code=1, **env)
    assert hash_state(application) == before
    assert application.read_json("smoke")["data"]["results"][0]["verdict"] == "pass"


def build_env(index: IndexServer, folder: Path) -> dict[str, Any]:
    """The index beside whatever the user's sources are, and no resolution kept from elsewhere."""
    return {"PIP_EXTRA_INDEX_URL": index.url, "PROVISION_CACHE_DIR": str(folder / "cache")}


def locks_of(data: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {stack["name"]: stack["lock_sha256"] for stack in data["stacks"]}


def test_a_version_that_reads_becomes_a_generation_that_apply_keeps(
    application: Chain, tmp_path: Path
) -> None:
    wheels = make_newer(application, tmp_path, wrong=False)
    config = application.config.read_bytes()
    assert application.provision("lock").returncode == 0
    locked = (application.root / "provision.lock").read_bytes()
    with IndexServer((wheels,)) as index:
        env = build_env(index, tmp_path)
        envelope = application.read_json("update", "--yes", **env)
    data = envelope["data"]
    assert (envelope["status"], data["changed"], data["former"], data["generation"]) == ("ok", True, 1, 2)
    [model] = data["trial"]["models"]
    assert (model["standing"], model["verdict_before"], model["verdict"]) == ("same", "pass", "pass")
    assert {finding["severity"] for finding in envelope["findings"]} == {"pass", "skip"}
    evidence = yaml.safe_load(application.config.read_text(encoding="utf-8"))["provision"]
    assert evidence["generation"] == 2
    assert evidence["models"]["tiny_qwen2_vl"]["evidence"]["transformers"] == VERSION
    for profile in ("cpu", "auto"):
        again = application.provision("apply", profile)
        nothing = "nothing to do: generation 2 (profile cpu, tiny_qwen2_vl) is active and whole"
        assert (again.returncode, again.stdout.splitlines()[0]) == (0, nothing)
    assert f"transformers=={VERSION}" in read_lock(application)
    assert application.provision("lock", "--check").returncode == 0
    back = application.provision("rollback", "1")
    assert back.returncode == 0, back.stderr
    assert application.config.read_bytes() == config
    assert (application.root / "provision.lock").read_bytes() == locked
    stays = application.provision("apply", "cpu")
    assert (stays.returncode, stays.stdout.splitlines()[0][:28]) == (0, "nothing to do: generation 1 ")


def test_a_lock_of_an_update_is_what_a_fresh_folder_gets(application: Chain, tmp_path: Path) -> None:
    wheels = make_newer(application, tmp_path, wrong=False)
    assert application.provision("lock").returncode == 0
    fresh = Chain(tmp_path / "fresh")
    fresh.root.mkdir()
    with IndexServer((wheels,)) as index:
        env = build_env(index, tmp_path)
        assert application.provision("update", "--yes", **env).returncode == 0
        for name in ("provision.lock", "provision.lock.d"):
            source = application.root / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, fresh.root / name)
        planned = fresh.read_json("plan", "cpu", code=1, **env)
    [stack] = planned["data"]["stacks"]
    versions = {change["name"]: change["after"] for change in stack["changes"]}
    assert versions["transformers"] == VERSION


def read_lock(application: Chain) -> str:
    return (application.root / "provision.lock.d" / "main.txt").read_text(encoding="utf-8")
