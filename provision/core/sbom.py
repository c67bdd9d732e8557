"""A bill of materials as CycloneDX 1.6: the same bytes for the same content."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import replace

from provision import __version__
from provision.model.packages import Wheel
from provision.model.sbom import Bill, BilledModel, BilledStack, PackageMetadata

if TYPE_CHECKING:
    from cyclonedx.model import HashType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import License
    from packageurl import PackageURL

# RFC 9562 wants a name space of one's own for names that are not URLs.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:provision:sbom")


def render_bill(bill: Bill) -> str:
    """The CycloneDX document. Its serial number is made of its content, its time is that of its subject."""
    from cyclonedx.output.json import JsonV1Dot6

    bom = _build_bom(bill)
    content = JsonV1Dot6(bom).output_as_string()
    bom.serial_number = uuid.uuid5(_NAMESPACE, hashlib.sha256(content.encode()).hexdigest())
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _build_bom(bill: Bill) -> Bom:
    from cyclonedx.model import Property
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.tool import ToolRepository

    tool = Component(name="provision", version=__version__, type=ComponentType.APPLICATION, bom_ref="tool")
    subject = Component(
        name=f"provision {bill.subject}",
        type=ComponentType.APPLICATION,
        bom_ref="environment",
        properties=[Property(name="provision:profile", value=bill.profile)],
    )
    # The library puts the present time and a random number where none is given.
    created = datetime.fromisoformat(bill.created) if bill.created else None
    metadata = BomMetaData(component=subject, tools=ToolRepository(components=[tool]), timestamp=created)
    cast(Any, metadata).timestamp = created
    packages = _build_packages(bill.stacks)
    stacks = {stack.name: _build_stack(stack) for stack in bill.stacks}
    models = [(model, _build_model(model)) for model in bill.models]
    bom = Bom(
        serial_number=uuid.UUID(int=0),
        metadata=metadata,
        components=[*packages.values(), *stacks.values(), *(component for _, component in models)],
    )
    bom.register_dependency(subject, [*(component for _, component in models), *stacks.values()])
    for model, component in models:
        bom.register_dependency(component, [stacks[model.stack]] if model.stack in stacks else [])
    for stack in bill.stacks:
        own = {wheel.name: packages[wheel.name, wheel.version] for wheel in stack.lock.wheels}
        bom.register_dependency(stacks[stack.name], [own[name] for name in _list_roots(stack)])
        for name, metadata_of in stack.installed.items():
            if name in own:
                needs = (own[need] for need in metadata_of.requires if need in own and need != name)
                bom.register_dependency(own[name], needs)
    return bom


def _list_roots(stack: BilledStack) -> list[str]:
    """The packages that no other needs; where needs are not known, or go in a circle, all that is left."""
    held = set(stack.lock.versions)
    needs = {name: set(said.requires) & held - {name} for name, said in stack.installed.items()}
    roots = sorted(held - {need for name in held for need in needs.get(name, ())})
    reached, todo = set(roots), list(roots)
    while todo:
        fresh = needs.get(todo.pop(), set()) - reached
        reached |= fresh
        todo += fresh
    return sorted({*roots, *(held - reached)})


def _build_packages(stacks: Iterable[BilledStack]) -> dict[tuple[str, str], Component]:
    """One component for each version of each package, whichever stacks hold it."""
    wheels: dict[tuple[str, str], Wheel] = {}
    said: dict[tuple[str, str], PackageMetadata] = {}
    for stack in stacks:
        for wheel in stack.lock.wheels:
            key = (wheel.name, wheel.version)
            hashes = {*wheel.hashes, *(wheels[key].hashes if key in wheels else ())}
            wheels[key] = replace(wheel, hashes=tuple(sorted(hashes)))
            if wheel.name in stack.installed:
                said.setdefault(key, stack.installed[wheel.name])
    return {key: _build_package(wheel, said.get(key)) for key, wheel in sorted(wheels.items())}


def _build_package(wheel: Wheel, said: PackageMetadata | None) -> Component:
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    purl = PackageURL(type="pypi", name=wheel.name, version=wheel.version)
    return Component(
        name=wheel.name,
        version=wheel.version,
        type=ComponentType.LIBRARY,
        bom_ref=purl.to_string(),
        purl=purl,
        hashes=list(_build_hashes(digest.removeprefix("sha256:") for digest in wheel.hashes)),
        licenses=_build_licences(said.licence if said else None),
    )


def _build_stack(stack: BilledStack) -> Component:
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        name=f"stack {stack.name}",
        version=stack.lock.sha256,
        type=ComponentType.PLATFORM,
        bom_ref=f"stack:{stack.name}",
        properties=[Property(name="provision:lock-sha256", value=stack.lock.sha256)],
    )


def _build_model(model: BilledModel) -> Component:
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component, ComponentType

    files = [
        Component(
            name=file.path,
            type=ComponentType.FILE,
            bom_ref=f"model:{model.key}/{file.path}",
            hashes=list(_build_hashes([file.sha256])),
            properties=[Property(name="provision:size-bytes", value=str(file.size_bytes))],
        )
        for file in model.files
    ]
    return Component(
        name=model.repo_id or model.key,
        version=model.revision,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"model:{model.key}",
        purl=_build_model_url(model),
        licenses=_build_licences(model.licence),
        components=files,
        properties=[Property(name="provision:model", value=model.key)],
    )


def _build_model_url(model: BilledModel) -> PackageURL:
    """https://github.com/package-url/purl-spec/blob/main/types-doc/huggingface-definition.md"""
    from packageurl import PackageURL

    if model.repo_id is None:
        return PackageURL(type="generic", namespace="provision", name=model.key, version=model.revision)
    owner, _, name = model.repo_id.rpartition("/")
    return PackageURL(type="huggingface", namespace=owner, name=name, version=model.revision)


def _build_hashes(digests: Iterable[str]) -> Iterator[HashType]:
    """Of a package those of every wheel that the lock takes: which one was taken depends on the machine."""
    from cyclonedx.model import HashAlgorithm, HashType

    for digest in digests:
        yield HashType(alg=HashAlgorithm.SHA_256, content=digest)


def _build_licences(said: str | None) -> list[License]:
    """An SPDX id or expression where the words are one, else the words themselves."""
    from cyclonedx.model.license import DisjunctiveLicense, LicenseAcknowledgement, LicenseExpression
    from cyclonedx.spdx import fixup_id, is_expression

    declared = LicenseAcknowledgement.DECLARED
    if not said:
        return []
    if name := fixup_id(said):
        return [DisjunctiveLicense(id=name, acknowledgement=declared)]
    if is_expression(said):
        return [LicenseExpression(said, acknowledgement=declared)]
    return [DisjunctiveLicense(name=said, acknowledgement=declared)]
