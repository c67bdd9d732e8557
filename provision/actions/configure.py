"""From what was verified to what config.yaml says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from provision.actions.situation import Situation
from provision.actions.weights import ModelFiles
from provision.model.catalogue import ModelSpec
from provision.model.config import (
    ConfigPatch,
    ManagedModel,
    ModelEntry,
    ModelStatus,
    ProvisionSection,
    SmokeEvidence,
)
from provision.model.smoke import SHORT_DTYPES, SmokeResult, Verdict


def build_config_patch(
    situation: Situation,
    *,
    generation: int,
    interpreters: Mapping[str, str],
    files: Mapping[str, ModelFiles],
    results: Sequence[SmokeResult],
    verified: str,
) -> ConfigPatch:
    """Everything that this generation writes: models that passed, and the reasons why others did not.

    `interpreters` maps a stack's name to its interpreter; `verified` is the ISO date of the smoke.
    """
    models = {model.key: model for model in situation.selection.models}
    passed = [result for result in results if result.verdict is not Verdict.FAIL]
    failed = {result.model: result.reason for result in results if result.verdict is Verdict.FAIL}
    return ConfigPatch(
        entries=tuple(build_entry(models[result.model], files[result.model], result) for result in passed),
        section=ProvisionSection(
            generation=generation,
            profile=situation.profile.name,
            models={
                result.model: ManagedModel(
                    stack=result.stack,
                    interpreter=interpreters[result.stack],
                    revision=files[result.model].revision,
                    verdict=result.verdict,
                    reason=result.reason,
                    evidence=_build_evidence(result, verified),
                )
                for result in passed
            },
            # An entry that provision made goes; one with keys of somebody's own stays and is listed here.
            excluded=failed,
        ),
    )


def build_entry(model: ModelSpec, files: ModelFiles, result: SmokeResult) -> ModelEntry:
    """Only what was verified: the attention and dtype are those that were read off the loaded model.

    GOT-OCR 2.0 refuses `attn_implementation="sdpa"` and takes sdpa where it can when nothing is said (transformers
    4.57.6 and 5.22.2); a mapping of parts would do, but an application reads one name.
    """
    dtype = str(result.dtype)
    attention = result.attention if len(_list_attentions(result)) == 1 else None
    return ModelEntry(
        key=model.key,
        name=model.name,
        model_path=str(files.folder),
        precision=SHORT_DTYPES.get(dtype, dtype),
        torch_dtype=dtype,
        attn_implementation=attention,
        use_flash_attention=attention == "flash_attention_2",
        device_map=result.device,
        trust_remote_code=model.trust_remote_code,
        max_new_tokens=model.generation.max_new_tokens,
        context_length=model.context_length,
        min_pixels=model.min_pixels,
        max_pixels=model.max_pixels,
        status=ModelStatus.PRODUCTION if result.verdict is Verdict.PASS else ModelStatus.EXPERIMENTAL,
        notes="; ".join(_list_notes(model, result)) or None,
    )


def _list_attentions(result: SmokeResult) -> list[str]:
    """The attentions of the model's parts; see `JobResult`."""
    return result.attention.split("+") if result.attention else []


def _list_notes(model: ModelSpec, result: SmokeResult) -> Iterator[str]:
    if not model.production:
        yield "proves the chain; no production OCR"
    if len(_list_attentions(result)) > 1:
        yield f"load it without attn_implementation: its parts then take {result.attention}, which no one name says"


def _build_evidence(result: SmokeResult, verified: str) -> SmokeEvidence:
    return SmokeEvidence(
        verified=verified,
        device=result.device_name or result.device,
        dtype=result.dtype,
        attention=result.attention,
        torch=result.torch,
        transformers=result.transformers,
        cer=result.cer,
    )
