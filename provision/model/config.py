"""The application's `config.yaml`: what `provision` owns in it, and how it differs from what was written."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from provision.model.smoke import Verdict


class ModelStatus(StrEnum):
    """production: read everything; experimental: read the keywords and the nonce, not every letter."""

    PRODUCTION = "production"
    EXPERIMENTAL = "experimental"


class ModelEntry(Struct, frozen=True, kw_only=True):
    """The owned keys of `models.<key>`. None means that `provision` has no say: what stands there stays.

    `precision` is the application's short name (`bf16`), `torch_dtype` torch's (`bfloat16`). The token and
    context lengths are in tokens, the image limits in pixels. `attn_implementation` is one name, which
    `from_pretrained` takes; None where the model's parts differ, which no one name says.
    """

    key: str
    name: str
    model_path: str
    precision: str
    torch_dtype: str
    attn_implementation: str | None = None
    use_flash_attention: bool
    device_map: str
    trust_remote_code: bool
    max_new_tokens: int
    context_length: int | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    status: ModelStatus
    notes: str | None = None


class EntryOrigin(StrEnum):
    """Who put `models.<key>` there: `provision`, or somebody before it; absent: no such entry is there."""

    CREATED = "created"
    ADOPTED = "adopted"
    ABSENT = "absent"


class SmokeEvidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model read its pages with. `verified` is an ISO date; `cer` a share, 0 is letter for letter."""

    verified: str
    device: str | None = None
    dtype: str | None = None
    attention: str | None = None
    torch: str | None = None
    transformers: str | None = None
    cer: float | None = None


class ManagedModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One model of the section `provision:`.

    `stack` and `interpreter` say where it runs, `revision` which weights it has. `entry` is filled in by the
    merge, which sees the file; whoever builds a patch leaves it alone.
    """

    stack: str
    interpreter: str
    revision: str
    verdict: Verdict
    evidence: SmokeEvidence
    reason: str = ""
    entry: EntryOrigin = EntryOrigin.ABSENT


class ProvisionSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The section `provision:`. `excluded` gives the reason why a model is not among those that run."""

    generation: int
    profile: str
    models: dict[str, ManagedModel]
    excluded: dict[str, str] = {}


class ConfigPatch(Struct, frozen=True, kw_only=True):
    """All that `provision` wants to stand in the file.

    `entries` are written under `models:`; each needs its model in the section. A model of the section without
    entry is one that lives in another stack. `taken_out` are keys whose entry goes, whoever wrote it.
    """

    entries: tuple[ModelEntry, ...]
    section: ProvisionSection
    taken_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        keys = [entry.key for entry in self.entries]
        if len(set(keys)) != len(keys):
            raise ValueError(f"an entry stands twice in the patch: {', '.join(keys)}")
        if unknown := set(keys) - self.section.models.keys():
            raise ValueError(f"not in the section: {', '.join(sorted(unknown))}")
        if both := set(keys) & (self.section.excluded.keys() | set(self.taken_out)):
            raise ValueError(f"configured and excluded at once: {', '.join(sorted(both))}")


class OwnedConfig(Struct, frozen=True, kw_only=True):
    """What stands in a file for the keys that are owned: of each model that the section lists, as found."""

    section: ProvisionSection | None
    models: dict[str, dict[str, object]]


class Drift(Struct, frozen=True, kw_only=True):
    """One difference between the file and the patch. None stands for a key that is not there."""

    key_path: str
    expected: object
    found: object


OWNED_KEYS: tuple[str, ...] = tuple(name for name in ModelEntry.__struct_fields__ if name != "key")
