"""Reads METADATA of the distributions in a stack: licences, and what each needs."""

from __future__ import annotations

from pathlib import Path

from packaging.markers import UndefinedEnvironmentName
from packaging.metadata import RawMetadata, parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from provision.model.sbom import PackageMetadata
from provision.system.environment_layout import load_lenient

# Some put their licence's whole text where its name belongs.
_NAME_CHARS = 80
_CLASSIFIER = "License :: "


def load_package_metadata(stack_dir: Path) -> dict[str, PackageMetadata]:
    """What every distribution in a stack says of itself, by canonical name; empty without a stack."""
    sites = [*stack_dir.glob("lib/python3*/site-packages"), stack_dir / "Lib" / "site-packages"]
    found = {}
    for path in sorted(info for site in sites for info in site.glob("*.dist-info/METADATA")):
        raw, _ = parse_email(load_lenient(path) or "")
        name = str(canonicalize_name(raw.get("name", path.parent.name.partition("-")[0])))
        found[name] = PackageMetadata(
            name=name,
            licence=_find_licence(raw),
            requires=tuple(sorted({need for text in raw.get("requires_dist", ()) if (need := _read(text))})),
        )
    return found


def _find_licence(raw: RawMetadata) -> str | None:
    """The expression of PEP 639, else a short licence field, else what the classifiers say."""
    if expression := raw.get("license_expression"):
        return expression
    field = (raw.get("license") or "").strip()
    if field and field.upper() != "UNKNOWN" and len(field) <= _NAME_CHARS and "\n" not in field:
        return field
    named = [text for text in raw.get("classifiers", ()) if text.startswith(_CLASSIFIER)]
    words = [text.rpartition(" :: ")[2] for text in named if text.count(" :: ") > 1]
    return ", ".join(sorted(set(words))) or None


def _read(text: str) -> str | None:
    """The name of what a requirement needs in this environment; None for what only an extra needs."""
    try:
        requirement = Requirement(text)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    except (InvalidRequirement, UndefinedEnvironmentName):
        return None
    return str(canonicalize_name(requirement.name)) if applies else None
