"""The bill of materials: valid by the schema's own validator, the same for the same content."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from provision.model.lockfile import LockedFile
from provision.model.sbom import Bill, BilledModel, BilledStack, PackageMetadata
from tests.support.locks import COMMIT, make_hash, make_lock

pytest.importorskip("cyclonedx")

LOCK = make_lock(**{"numpy": "2.4.6", "torch": "2.13.0+cpu", "transformers": "5.22.2"})
BILL = Bill(
    subject="generation 3",
    profile="cpu",
    created="2026-11-21T12:00:00+01:00",
    stacks=(
        BilledStack(
            name="main",
            models=("qwen_vl_2b",),
            lock=LOCK,
            installed={
                "numpy": PackageMetadata(name="numpy", licence="BSD-3-Clause AND MIT", requires=()),
                "torch": PackageMetadata(name="torch", licence="BSD License", requires=("numpy", "absent")),
                "transformers": PackageMetadata(
                    name="transformers", licence="apache-2.0", requires=("numpy", "torch")
                ),
            },
        ),
    ),
    models=(
        BilledModel(
            key="qwen_vl_2b",
            stack="main",
            repo_id="Qwen/Qwen2-VL-2B-Instruct",
            revision=COMMIT,
            licence="apache-2.0",
            files=(LockedFile(path="model.safetensors", size_bytes=7, sha256="1" * 64),),
        ),
        BilledModel(key="tiny", stack="main", repo_id=None, revision="2" * 64, licence=None, files=()),
    ),
)


def render(bill: Bill) -> str:
    from provision.core.sbom import render_bill

    return render_bill(bill)


def find(document: dict, reference: str) -> dict:
    return next(part for part in document["components"] if part["bom-ref"] == reference)


def test_the_schemas_own_validator_takes_it() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert jsonschema
    for bill in (BILL, replace(BILL, created=None, models=()), replace(BILL, stacks=(), models=())):
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(render(bill)) is None


def test_packages_weights_and_files_are_listed_with_hashes_and_licences() -> None:
    document = json.loads(render(BILL))
    assert document["specVersion"] == "1.6"
    assert document["metadata"]["timestamp"] == "2026-11-21T12:00:00+01:00"
    torch = find(document, "pkg:pypi/torch@2.13.0%2Bcpu")
    assert torch["hashes"] == [{"alg": "SHA-256", "content": make_hash("torch2.13.0+cpu")}]
    assert torch["licenses"] == [{"license": {"acknowledgement": "declared", "name": "BSD License"}}]
    assert find(document, "pkg:pypi/numpy@2.4.6")["licenses"] == [
        {"acknowledgement": "declared", "expression": "BSD-3-Clause AND MIT"}
    ]
    model = find(document, "model:qwen_vl_2b")
    assert (model["type"], model["name"], model["version"]) == (
        "machine-learning-model",
        "Qwen/Qwen2-VL-2B-Instruct",
        COMMIT,
    )
    assert model["purl"] == f"pkg:huggingface/Qwen/Qwen2-VL-2B-Instruct@{COMMIT}"
    assert model["licenses"] == [{"license": {"acknowledgement": "declared", "id": "Apache-2.0"}}]
    (file,) = model["components"]
    assert (file["type"], file["name"]) == ("file", "model.safetensors")
    assert file["hashes"] == [{"alg": "SHA-256", "content": "1" * 64}]
    assert find(document, "model:tiny")["purl"] == f"pkg:generic/provision/tiny@{'2' * 64}"


def test_models_hang_from_stacks_and_stacks_from_what_no_other_package_needs() -> None:
    document = json.loads(render(BILL))
    needs = {part["ref"]: part.get("dependsOn", []) for part in document["dependencies"]}
    assert needs["environment"] == ["model:qwen_vl_2b", "model:tiny", "stack:main"]
    assert needs["model:qwen_vl_2b"] == ["stack:main"]
    assert needs["stack:main"] == ["pkg:pypi/transformers@5.22.2"]
    assert needs["pkg:pypi/transformers@5.22.2"] == ["pkg:pypi/numpy@2.4.6", "pkg:pypi/torch@2.13.0%2Bcpu"]
    assert needs["pkg:pypi/torch@2.13.0%2Bcpu"] == ["pkg:pypi/numpy@2.4.6"]


def test_packages_that_need_each_other_are_not_lost() -> None:
    circle = {
        "torch": PackageMetadata(name="torch", licence=None, requires=("transformers",)),
        "transformers": PackageMetadata(name="transformers", licence=None, requires=("torch",)),
    }
    document = json.loads(render(replace(BILL, stacks=(replace(BILL.stacks[0], installed=circle),))))
    needs = {part["ref"]: part.get("dependsOn", []) for part in document["dependencies"]}
    assert needs["stack:main"] == [
        "pkg:pypi/numpy@2.4.6",
        "pkg:pypi/torch@2.13.0%2Bcpu",
        "pkg:pypi/transformers@5.22.2",
    ]


def test_the_serial_number_is_made_of_the_content() -> None:
    assert render(BILL) == render(BILL)
    first, other = (json.loads(render(bill)) for bill in (BILL, replace(BILL, subject="generation 4")))
    assert first["serialNumber"].startswith("urn:uuid:")
    assert first["serialNumber"] != other["serialNumber"]


def test_a_package_in_two_stacks_is_one_component_with_the_hashes_of_both() -> None:
    other = replace(LOCK.wheels[0], hashes=(f"sha256:{'f' * 64}",))
    second = replace(BILL.stacks[0], name="second", lock=replace(LOCK, wheels=(other,)), installed={})
    document = json.loads(render(replace(BILL, stacks=(*BILL.stacks, second))))
    numpy = find(document, "pkg:pypi/numpy@2.4.6")
    assert [entry["content"] for entry in numpy["hashes"]] == [make_hash("numpy2.4.6"), "f" * 64]
