"""Licences and needs out of METADATA, as distributions of all ages write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.model.sbom import PackageMetadata
from provision.system.package_metadata import load_package_metadata


def install(stack: Path, name: str, lines: str) -> None:
    info = stack / "lib" / "python3.12" / "site-packages" / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    text = f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{lines}\nLicense: words, not a header\n"
    (info / "METADATA").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: other\n", "MIT OR Apache-2.0"),
        ("License: BSD 3-Clause\n", "BSD 3-Clause"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License\n", "MIT License"),
        (f"License: {'Permission is hereby granted ' * 9}\n", None),
        (
            "Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: OSI Approved :: BSD License\n",
            "BSD License, MIT License",
        ),
        ("Classifier: License :: OSI Approved\n", None),
        ("", None),
    ],
)
def test_the_licence_is_what_the_distribution_declares(
    tmp_path: Path, lines: str, licence: str | None
) -> None:
    install(tmp_path, "Some_Package", lines)
    assert load_package_metadata(tmp_path)["some-package"] == PackageMetadata(
        name="some-package", licence=licence, requires=()
    )


def test_needs_are_those_of_this_environment_without_extras(tmp_path: Path) -> None:
    install(
        tmp_path,
        "a",
        'Requires-Dist: Flash_Attn>=2\nRequires-Dist: numpy; python_version >= "3"\n'
        'Requires-Dist: pytest; extra == "dev"\nRequires-Dist: pywin32; sys_platform == "never"\n'
        "Requires-Dist: ===broken\n",
    )
    assert load_package_metadata(tmp_path)["a"].requires == ("flash-attn", "numpy")


def test_a_stack_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert load_package_metadata(tmp_path / "none") == {}
