"""What the smoke says of a model that read everything."""

from __future__ import annotations

from msgspec.structs import replace

from provision.model.smoke import SmokeResult, Verdict

_READ = SmokeResult(
    model="tiny_qwen2_vl",
    stack="main",
    verdict=Verdict.PASS,
    reason="read every character",
    cer=0.0,
    keywords_found=6,
    keywords_total=6,
    nonce="AB12CD",
    text="",
    dtype="bfloat16",
    attention="sdpa",
    device="cpu",
    device_name=None,
    load_s=0.1,
    first_token_s=0.1,
    tokens_per_s=100.0,
    peak_memory_bytes=10**8,
    peak_memory_kind=None,
    torch="2.13.0",
    transformers="5.22.2",
    numeric_fault=None,
    scores=(),
)


def build_result(model: str, **changes: object) -> SmokeResult:
    """A result of `model` on a CPU, with changes."""
    return replace(_READ, model=model, **changes)
