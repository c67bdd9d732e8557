"""An application with a history: generations of several models and stacks, written in milliseconds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from provision.core.config_doc import merge_config
from provision.model.config import ConfigPatch, ManagedModel, ProvisionSection, SmokeEvidence
from provision.model.smoke import Verdict
from provision.model.state import GenerationRecord, MachineRecord, ModelRecord, StackRecord
from provision.system.files import hash_bytes, list_sizes
from provision.system.stack_folder import LOCK_NAME, find_interpreter, load_manifest, save_manifest
from provision.system.store import Store
from tests.support.application import make_stack
from tests.support.config_patches import build_entry

CREATED = "2026-11-{:02}T12:00:00+00:00"
FOREIGN = "# the application's\nocr:\n  lang: ru   # kept\n"


def name_lock(stack: str, variant: str = "") -> str:
    """The text of a stack's lock."""
    return f"{stack}{variant}==1.0 \\\n    --hash=sha256:{'0' * 64}\n"


def add_generation(
    store: Store,
    stacks: Mapping[str, Sequence[str]],
    *,
    variants: Mapping[str, str] | None = None,
    machine: MachineRecord | None = None,
    keep_locks: bool = True,
    fingerprint: str | None = None,
) -> GenerationRecord:
    """Promote a generation whose `stacks` serve these models; a variant of a stack is another lock of it."""
    number = store.next_number()
    texts = {name: name_lock(name, (variants or {}).get(name, "")) for name in stacks}
    records = tuple(_make_stack(store, name, texts[name], tuple(models)) for name, models in stacks.items())
    models = tuple(_make_model(store, key, stack) for stack, keys in stacks.items() for key in keys)
    record = GenerationRecord(
        number=number,
        created=CREATED.format(number),
        profile="cpu",
        fingerprint=fingerprint or f"fingerprint {number}",
        stacks=records,
        models=models,
        smoke=(),
        config=_build_patch(store, number, records, models),
        machine=machine,
    )
    before = store.load_config()
    text = "" if before is None else before.decode()
    store.promote(
        record,
        config=merge_config(text, record.config).encode(),
        before=before,
        before_sha256=hash_bytes(before),
        locks=texts if keep_locks else None,
    )
    return record


def _make_stack(store: Store, name: str, lock: str, models: tuple[str, ...]) -> StackRecord:
    sha256 = hashlib.sha256(lock.encode()).hexdigest()
    record = StackRecord(name=name, path=f"stacks/{name}-{sha256[:12]}", lock_sha256=sha256, models=models)
    if not (store.state_dir / record.path).exists():
        build_stack_again(store, record, lock)
    return record


def build_stack_again(store: Store, record: StackRecord, lock: str) -> None:
    """What building from a lock comes to: a whole stack in its folder."""
    folder = store.state_dir / record.path
    make_stack(folder, packages=1, files_each=2)
    (folder / LOCK_NAME).write_text(lock, encoding="ascii")
    manifest = load_manifest(folder)
    assert manifest is not None
    save_manifest(folder, replace(manifest, name=record.name, lock_sha256=record.lock_sha256))


def _make_model(store: Store, key: str, stack: str) -> ModelRecord:
    folder = store.weights_dir / f"{key}-0123456789ab"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(key.encode() * 1000)
    return ModelRecord(
        key=key,
        stack=stack,
        model_dir=str(folder),
        revision="0123456789ab",
        attention="sdpa",
        dtype="bfloat16",
        files=list_sizes(folder),
    )


def _build_patch(
    store: Store, number: int, stacks: Sequence[StackRecord], models: Sequence[ModelRecord]
) -> ConfigPatch:
    paths = {stack.name: store.state_dir / stack.path for stack in stacks}
    managed = {
        model.key: ManagedModel(
            stack=model.stack,
            interpreter=str(find_interpreter(paths[model.stack])),
            revision=model.revision,
            verdict=Verdict.PASS,
            evidence=SmokeEvidence(verified="2026-11-21"),
        )
        for model in models
    }
    return ConfigPatch(
        entries=tuple(build_entry(model.key, model_path=model.model_dir) for model in models),
        section=ProvisionSection(generation=number, profile="cpu", models=managed),
    )


def make_history(root: Path) -> Store:
    """Three generations: one model; two in one stack; and a third in a stack of its own. The last is active."""
    store = Store(root)
    store.config_path.write_text(FOREIGN, encoding="utf-8")
    add_generation(store, {"main": ["a"]})
    add_generation(store, {"main": ["a", "b"]})
    add_generation(store, {"main": ["a", "b"], "second": ["c"]}, variants={"main": "-new"})
    return store
