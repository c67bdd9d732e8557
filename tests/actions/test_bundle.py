"""A bundle is made from small wheels by real uv, and a stack is built from it without any source."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.actions import bundle_parts
from provision.actions.build import build_stack
from provision.actions.bundle import Bundled, make_bundle, plan_bundle
from provision.actions.bundle_parts import build_access, collect_weights
from provision.actions.context import Context
from provision.actions.knowledge import load_catalogue, load_knowledge
from provision.actions.open_bundle import BundleSupply, isolate
from provision.actions.plan import Request, prepare
from provision.actions.situation import Situation, survey
from provision.actions.unpacked_bundle import place_weights
from provision.core.pip_settings import build_source
from provision.errors import BadFileError, DownloadError, UsageError
from provision.model.packages import Answer, PackageSettings, SourceKind
from provision.system import bundle as module
from provision.system.store import Store
from tests.support.bundles import hash_of
from tests.support.reports import Recorder
from tests.support.sources import make_context
from tests.support.wheels import build_wheel

ROOT = Path(__file__).parents[2]
MODEL = "tiny_qwen2_vl"


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    """A context whose only source is a folder with all that the profile for CPUs pins."""
    wheels = tmp_path / "wheels"
    env = {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1", "PROVISION_CACHE_DIR": str(tmp_path / "kept")}
    ctx = replace(make_context(tmp_path / "here", env), data_dir=ROOT)
    ctx.root.mkdir()
    profile = load_knowledge(ctx).get_profile("cpu")
    build = load_knowledge(ctx).builds[profile.torch]
    build_wheel(wheels, "torch", f"{build.torch}+cpu")
    for name, version in profile.packages.items():
        build_wheel(wheels, name, version)
    return ctx


def make(ctx: Context, path: Path, *, with_weights: bool = True) -> Bundled:
    plan = plan_bundle(ctx, "cpu", [MODEL], with_weights=with_weights, with_tool=False)
    return make_bundle(ctx, plan, path)


def move(ctx: Context, root: Path) -> Context:
    """The same machine without any source, in another folder."""
    root.mkdir()
    env = {name: value for name, value in ctx.env.items() if not name.startswith("PIP_")}
    env |= {"UV_CACHE_DIR": str(root / "cache")}
    return isolate(replace(ctx, root=root, env=env, reporter=Recorder()))


def look(ctx: Context) -> Situation:
    return survey(ctx, Store(ctx.root), "cpu", [MODEL])


def test_what_was_packed_is_installed_without_a_source(tmp_path: Path, ctx: Context) -> None:
    bundled = make(ctx, tmp_path / "b.tar")
    there = move(ctx, tmp_path / "there")
    supply, situation, store = BundleSupply(tmp_path / "b.tar"), look(there), Store(there.root)
    supply.check(situation)
    [stack] = supply.resolve(there, situation).stacks
    assert stack.lock == plan_bundle(ctx, "cpu", [MODEL]).stacks[0].lock
    assert [(item.answer, item.source.label) for item in stack.attempts] == [(Answer.SERVES, "b.tar")]
    assert not store.state_dir.exists()
    supply.prepare(there)
    manifest = build_stack(there, store, stack)
    assert {item.name: item.version for item in manifest.packages} == stack.lock.versions
    assert manifest.tag == "cpu"
    [model] = situation.selection.models
    files = supply.bring_weights(there, store, model)
    assert files.folder == store.weights_dir / f"{MODEL}-{files.revision[:12]}"
    source = ROOT / "smoke" / "embedded" / MODEL / "model.safetensors"
    assert (files.folder / "model.safetensors").read_bytes() == source.read_bytes()
    assert bundled.manifest == supply.manifest


def test_a_second_use_unpacks_nothing(tmp_path: Path, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    make(ctx, tmp_path / "b.tar")
    there = move(ctx, tmp_path / "there")
    first = BundleSupply(tmp_path / "b.tar").open(there)
    monkeypatch.setattr(module, "_read", lambda *_args, **_named: pytest.fail("unpacked again"))
    assert BundleSupply(tmp_path / "b.tar").open(there) == first


def test_planning_reads_the_locks_and_unpacks_nothing(tmp_path: Path, ctx: Context) -> None:
    """As `apply --bundle FILE --dry-run` does, and an apply that nobody confirms."""
    make(ctx, tmp_path / "b.tar")
    there = move(ctx, tmp_path / "there")
    supply, store = BundleSupply(tmp_path / "b.tar"), Store(there.root)
    prepared = prepare(there, store, Request(profile="cpu", models=(MODEL,), supply=supply))
    assert prepared.plan is not None
    [stack] = prepared.resolved
    assert stack.torch_source.location == str(supply.describe(there).wheels_dir)
    assert not list(there.root.rglob("bundles"))
    supply.prepare(there)
    assert sorted(item.name for item in supply.describe(there).folder.iterdir()) == [
        *("README.txt", "locks", "weights", "wheels")
    ]


def test_a_lock_that_was_altered_is_refused_when_it_is_planned(tmp_path: Path, ctx: Context) -> None:
    make(ctx, tmp_path / "b.tar")
    data = (tmp_path / "b.tar").read_bytes()
    (tmp_path / "b.tar").write_bytes(data.replace(b"--hash=sha256:", b"--HASH=sha256:", 1))
    there = move(ctx, tmp_path / "there")
    with pytest.raises(BadFileError) as caught:
        BundleSupply(tmp_path / "b.tar").resolve(there, look(there))
    assert caught.value.message == (
        f"{tmp_path / 'b.tar'} is altered: locks/main.txt is not what its list says"
    )


def test_a_cure_for_a_path_with_a_space_can_be_typed(tmp_path: Path, ctx: Context) -> None:
    path = tmp_path / "my bundle.tar"
    make(ctx, path)
    there = move(ctx, tmp_path / "there")
    with pytest.raises(UsageError) as caught:
        BundleSupply(path).check(survey(there, Store(there.root), "cpu", ["qwen_vl_2b"]))
    assert caught.value.hint == f"provision apply --bundle '{path}' --models {MODEL}"


def test_without_weights_those_of_this_machine_are_taken(tmp_path: Path, ctx: Context) -> None:
    make(ctx, tmp_path / "b.tar", with_weights=False)
    there = move(ctx, tmp_path / "there")
    supply, store = BundleSupply(tmp_path / "b.tar"), Store(there.root)
    assert supply.manifest.weights == ()
    assert supply.open(there).weights_dir(MODEL) is None
    [model] = look(there).selection.models
    assert (supply.bring_weights(there, store, model).folder / "config.json").is_file()


def test_another_revision_than_the_catalogues_is_refused(tmp_path: Path, ctx: Context) -> None:
    make(ctx, tmp_path / "b.tar")
    there = move(ctx, tmp_path / "there")
    bundle = BundleSupply(tmp_path / "b.tar").open(there)
    held = bundle.manifest.weights[0].revision
    with pytest.raises(BadFileError) as caught:
        place_weights(bundle, Store(there.root), MODEL, "f" * 40)
    assert caught.value.message == (
        f"{tmp_path / 'b.tar'} holds {MODEL} at revision {held[:12]}, here {'f' * 12} is configured"
    )


def test_a_model_that_is_not_in_it_is_named(tmp_path: Path, ctx: Context) -> None:
    make(ctx, tmp_path / "b.tar")
    there = move(ctx, tmp_path / "there")
    situation = survey(there, Store(there.root), "cpu", ["qwen_vl_2b"])
    with pytest.raises(UsageError) as caught:
        BundleSupply(tmp_path / "b.tar").check(situation)
    assert caught.value.message == f"{tmp_path / 'b.tar'} holds no qwen_vl_2b, only {MODEL}"


def test_equal_content_at_an_equal_time_is_an_equal_file(tmp_path: Path, ctx: Context) -> None:
    assert make(ctx, tmp_path / "a.tar").sha256 == make(ctx, tmp_path / "b.tar").sha256


def test_the_login_of_each_source_goes_to_its_host_only() -> None:
    sources = [
        build_source(SourceKind.INDEX, "https://me:p%40ss@one.example:8443/simple", "test"),
        build_source(SourceKind.EXTRA_INDEX, "https://two.example/simple", "test"),
    ]
    settings = PackageSettings(proxy="http://proxy", trusted_hosts=("two.example",), timeout_s=5.0)
    access = build_access(settings, sources, "/certificates.pem")
    assert access.logins == {"https://one.example:8443": ("me", "p@ss")}
    assert (access.certificate, access.proxy, access.timeout_s) == ("/certificates.pem", "http://proxy", 5.0)
    assert access.trusted_hosts == ("two.example",)


def test_a_tool_that_cannot_be_built_is_left_out_with_a_warning(tmp_path: Path, ctx: Context) -> None:
    """The folder of wheels has nothing to build with."""
    recorder = Recorder()
    told = replace(ctx, reporter=recorder)
    bundled = make_bundle(told, plan_bundle(told, "cpu", [MODEL]), tmp_path / "b.tar")
    assert not [item.name for item in bundled.manifest.members if item.name.startswith("tool/")]
    assert [line for line in recorder.lines if line.startswith("warn: ")] == [
        "warn: provision itself is not packed: uv cannot build it"
    ]


def test_the_files_of_a_hub_snapshot_are_packed_and_an_altered_one_is_not(
    tmp_path: Path, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub's cache holds links to blobs that are named by their hash."""
    snapshot, blobs = tmp_path / "snapshot", tmp_path / "blobs"
    for name, content in (("config.json", b"{}"), ("nested/model.safetensors", b"weights")):
        blob, link = blobs / hash_of(content), snapshot / name
        link.parent.mkdir(parents=True, exist_ok=True)
        blobs.mkdir(exist_ok=True)
        blob.write_bytes(content)
        link.symlink_to(blob)
    monkeypatch.setattr(bundle_parts, "fetch_model", lambda *_args, **_named: snapshot)
    model = load_catalogue(ctx).get("qwen_vl_2b")
    assert model is not None
    bundled, parts = collect_weights(ctx, model)
    assert (bundled.key, bundled.revision, bundled.repo_id) == (model.key, model.revision, model.repo_id)
    assert [(part.member.name, part.member.size_bytes, part.content) for part in parts] == [
        ("weights/qwen_vl_2b/config.json", 2, blobs / hash_of(b"{}")),
        ("weights/qwen_vl_2b/nested/model.safetensors", 7, blobs / hash_of(b"weights")),
    ]
    (blobs / hash_of(b"weights")).write_bytes(b"WEIGHTS")
    with pytest.raises(DownloadError) as caught:
        collect_weights(ctx, model)
    path = snapshot / "nested" / "model.safetensors"
    assert caught.value.message == f"{path} has not the content that the Hub named"
