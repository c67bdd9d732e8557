"""An application's folder with an active generation, written in milliseconds: no uv, no torch, nothing read."""

from __future__ import annotations

import base64
import hashlib
import sys
from pathlib import Path

from provision.core.config_doc import merge_config
from provision.model.config import (
    ConfigPatch,
    ManagedModel,
    ModelEntry,
    ModelStatus,
    ProvisionSection,
    SmokeEvidence,
)
from provision.model.smoke import Verdict
from provision.model.state import GenerationRecord, ModelRecord, StackManifest, StackRecord
from provision.system.files import hash_folder, list_sizes
from provision.system.stack_folder import find_interpreter, save_manifest, take_inventory
from provision.system.store import Store
from tests.support.smoke_results import build_result

STACK = "stacks/main-0123456789ab"
MODEL = "tiny_qwen2_vl"


def make_application(root: Path, *, packages: int = 2, files_each: int = 3) -> Store:
    """config.yaml and `.provision/` as an apply of profile cpu leaves them."""
    store = Store(root)
    stack = store.state_dir / STACK
    make_stack(stack, packages=packages, files_each=files_each)
    weights = store.weights_dir / "tiny"
    weights.mkdir(parents=True)
    (weights / "config.json").write_text("{}\n", encoding="ascii")
    (weights / "model.safetensors").write_bytes(bytes(range(256)))
    record = _build_record(stack, weights)
    store.promote(
        record,
        config=merge_config("", record.config, where="config.yaml").encode(),
        before=None,
        before_sha256=None,
    )
    return store


def make_stack(folder: Path, *, packages: int, files_each: int) -> None:
    """A virtual environment's folder with installed distributions and the manifest of a complete stack."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "lib" / f"python{minor}" / "site-packages"
    site.mkdir(parents=True)
    python = find_interpreter(folder)
    python.parent.mkdir()
    base = Path(getattr(sys, "_base_executable", sys.executable))
    python.symlink_to(base)
    version = ".".join(str(part) for part in sys.version_info[:3])
    (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\nversion = {version}\n", encoding="ascii")
    for number in range(packages):
        _install(site, f"package{number}", files_each)
    inventory = take_inventory(folder)
    save_manifest(
        folder,
        StackManifest(
            name="main",
            lock_sha256="0123456789ab",
            python=str(python),
            torch="2.13.0",
            torchvision=None,
            tag="cpu",
            torch_source="a folder",
            packages=inventory.packages,
            files=inventory.files,
            installed_bytes=inventory.installed_bytes,
            created="2026-11-21T12:00:00+00:00",
        ),
    )


def _install(site: Path, name: str, files: int) -> None:
    info = site / f"{name}-1.0.dist-info"
    (site / name).mkdir()
    info.mkdir()
    texts = {f"{name}/module{number}.py": f"VALUE = {number}\n" for number in range(files)}
    texts[f"{info.name}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    texts[f"{info.name}/INSTALLER"] = "uv"
    texts[f"{info.name}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = ""
    for path, text in texts.items():
        (site / path).write_text(text, encoding="ascii")
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        record += f"{path},sha256={digest},{len(text)}\n"
    (info / "RECORD").write_text(f"{record}{info.name}/RECORD,,\n", encoding="ascii")


def _build_record(stack: Path, weights: Path) -> GenerationRecord:
    revision = hash_folder(weights)
    result = build_result(MODEL)
    return GenerationRecord(
        number=1,
        created="2026-11-21T12:00:00+00:00",
        profile="cpu",
        fingerprint="f" * 64,
        stacks=(StackRecord(name="main", path=STACK, lock_sha256="0123456789ab", models=(MODEL,)),),
        models=(
            ModelRecord(
                key=MODEL,
                stack="main",
                model_dir=str(weights),
                revision=revision,
                attention="sdpa",
                dtype="bfloat16",
                files=list_sizes(weights),
            ),
        ),
        smoke=(result,),
        config=_build_patch(stack, weights, revision),
    )


def _build_patch(stack: Path, weights: Path, revision: str) -> ConfigPatch:
    entry = ModelEntry(
        key=MODEL,
        name="Tiny",
        model_path=str(weights),
        precision="bf16",
        torch_dtype="bfloat16",
        attn_implementation="sdpa",
        use_flash_attention=False,
        device_map="cpu",
        trust_remote_code=False,
        max_new_tokens=160,
        status=ModelStatus.PRODUCTION,
    )
    managed = ManagedModel(
        stack="main",
        interpreter=str(find_interpreter(stack)),
        revision=revision,
        verdict=Verdict.PASS,
        evidence=SmokeEvidence(verified="2026-11-21"),
    )
    section = ProvisionSection(generation=1, profile="cpu", models={MODEL: managed})
    return ConfigPatch(entries=(entry,), section=section)
