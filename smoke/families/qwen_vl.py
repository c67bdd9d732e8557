"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL, in any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smoke.loading import load_pretrained

_VIDEO = "video_processor"


def load_processor(model_dir: str, *, trust_remote_code: bool = False) -> Any:
    """The model's own processor, without the part for videos where torchvision is missing."""
    from transformers import AutoProcessor
    from transformers.utils import is_torchvision_available

    options = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    if is_torchvision_available():
        return AutoProcessor.from_pretrained(model_dir, **options)
    return _find_image_processor_class(model_dir, options).from_pretrained(model_dir, **options)


def load_model(
    model_dir: str, *, device: str, dtype: str, attention: str, trust_remote_code: bool = False
) -> tuple[Any, dict[str, list[str]]]:
    """See `smoke.loading.load_pretrained`."""
    from transformers import AutoModelForImageTextToText

    return load_pretrained(
        AutoModelForImageTextToText,
        model_dir,
        device=device,
        dtype=dtype,
        attention=attention,
        trust_remote_code=trust_remote_code,
    )


def build_inputs(processor: Any, image: Any, prompt: str) -> dict[str, Any]:
    """One user turn with the picture before the prompt, ready for the answer."""
    content = [{"type": "image"}, {"type": "text", "text": prompt}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    return dict(processor(text=[text], images=[image], return_tensors="pt"))


def decode(processor: Any, new_ids: Sequence[int]) -> str:
    """The text of the new tokens, character for character."""
    text: str = processor.tokenizer.decode(
        new_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return text


def _find_image_processor_class(model_dir: str, options: dict[str, Any]) -> Any:
    """The model's processor class less its video processor, whose class cannot exist without torchvision.

    Since transformers 5.18 the image processor has a version in PIL; ids are the same and pixels agree to
    3e-7 where no resizing is needed (compared under 5.22.2).
    """
    from transformers import AutoConfig
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    full: Any = PROCESSOR_MAPPING[type(AutoConfig.from_pretrained(model_dir, **options))]

    class ImageOnlyProcessor(full):  # type: ignore[misc]
        """`get_attributes` names the parts that a processor is loaded from and made of."""

        @classmethod
        def get_attributes(cls) -> list[str]:
            return [name for name in full.get_attributes() if name != _VIDEO]

    return ImageOnlyProcessor
