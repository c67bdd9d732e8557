"""Which device runs which code, by NVIDIA's rules and torch's exceptions to them."""

from __future__ import annotations

import pytest

from provision.core.compiled_code import Runs, choose_cubin, judge_code
from provision.model.profile import Architectures, EvidenceStatus


def carry(*sass: int, ptx: tuple[int, ...] = ()) -> Architectures:
    return Architectures(sass=sass, ptx=ptx, status=EvidenceStatus.VERIFIED, source="test", date="2026-11-21")


X86 = carry(75, 80, 86, 90, 100, 120)
ARM = carry(80, 90, 100, 110, 120)


@pytest.mark.parametrize(
    ("capability", "carried", "runs", "cubin"),
    [
        ("12.0", X86, Runs.NATIVE, 120),
        ("12.1", X86, Runs.NATIVE, 120),
        ("10.3", X86, Runs.NATIVE, 100),
        ("11.0", X86, Runs.NOT, None),
        ("11.0", ARM, Runs.NATIVE, 110),
        ("8.9", X86, Runs.NATIVE, 86),
        ("8.9", ARM, Runs.NATIVE, 80),
        ("8.6", ARM, Runs.NATIVE, 80),
        ("8.0", carry(86), Runs.NOT, None),
        ("7.5", ARM, Runs.NOT, None),
        ("7.0", X86, Runs.NOT, None),
        ("6.1", carry(50, 60, 70), Runs.NATIVE, 60),
        ("5.2", carry(50, 60, 70), Runs.NATIVE, 50),
        # NVIDIA's integrated devices take nothing that was made for others.
        ("8.7", ARM, Runs.NOT, None),
        ("8.7", carry(80, 87), Runs.NATIVE, 87),
        ("8.9", carry(87), Runs.NOT, None),
        ("7.2", carry(70), Runs.NOT, None),
        ("6.2", carry(60), Runs.NOT, None),
        ("5.3", carry(50), Runs.NOT, None),
        # PTX is for every newer device.
        ("12.0", carry(80, ptx=(90,)), Runs.COMPILED, None),
        ("8.0", carry(90, ptx=(90,)), Runs.NOT, None),
        ("9.0", carry(90, ptx=(90,)), Runs.NATIVE, 90),
        ("no number", X86, Runs.NOT, None),
    ],
)
def test_code(capability: str, carried: Architectures, runs: Runs, cubin: int | None) -> None:
    assert judge_code(capability, carried) is runs
    assert choose_cubin(capability, carried) == cubin
