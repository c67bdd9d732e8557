"""GOT-OCR 2.0 in transformers' own class; the repositories with code of their own are another matter.

Its processor writes the whole conversation: the system turn, the picture and a query, `OCR: ` for plain text. There
is no chat template.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from smoke.loading import load_pretrained

# The query of transformers' processor when it is asked for nothing but the text.
PLAIN_QUERY = " OCR: "
# Two convolutions of stride 2 stand between the tower's patches and the text model.
DOWNSAMPLING = 4


class GotProcessor(NamedTuple):
    """transformers' processor, and how many visual tokens the model makes of one picture.

    The processor takes 256 for granted, which is 1024 px in patches of 16: the size that was published.
    """

    processor: Any
    image_tokens: int


def load_processor(model_dir: str, *, trust_remote_code: bool = False) -> GotProcessor:
    """The model's own processor; it needs no torchvision."""
    from transformers import AutoConfig, AutoProcessor

    options = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    vision = AutoConfig.from_pretrained(model_dir, **options).vision_config
    side = vision.image_size // vision.patch_size // DOWNSAMPLING
    return GotProcessor(AutoProcessor.from_pretrained(model_dir, **options), side * side)


def load_model(
    model_dir: str, *, device: str, dtype: str, attention: str, trust_remote_code: bool = False
) -> tuple[Any, dict[str, list[str]]]:
    """See `smoke.loading.load_pretrained`. `attention` reaches the text model; the tower has but its own.

    The class refuses any name but eager (ValueError, transformers 4.57.6 to 5.23.0) unless it is the text
    model's: left alone, that takes sdpa.
    """
    from transformers import AutoModelForImageTextToText

    reached: str | dict[str, str] = attention if attention == "eager" else {"text_config": attention}
    return load_pretrained(
        AutoModelForImageTextToText,
        model_dir,
        device=device,
        dtype=dtype,
        attention=reached,
        trust_remote_code=trust_remote_code,
    )


def build_inputs(processor: GotProcessor, image: Any, prompt: str) -> dict[str, Any]:
    """The processor's own conversation, with `prompt` in place of its query unless that is empty.

    The card ends the answer with `stop_strings="<|im_end|>"`; that is one token, so its id does the same.
    """
    inner = processor.processor
    pixels = inner.image_processor(images=image, return_tensors="pt")["pixel_values"]
    text = render_conversation(processor, prompt or PLAIN_QUERY, pictures=len(pixels))
    ends = {inner.tokenizer.convert_tokens_to_ids(inner.message_end_token), inner.tokenizer.eos_token_id}
    encoded = inner.tokenizer(text, return_tensors="pt")
    return {
        "input_ids": encoded["input_ids"],
        "attention_mask": encoded["attention_mask"],
        "pixel_values": pixels,
        "eos_token_id": sorted(ends - {None}),
    }


def decode(processor: GotProcessor, new_ids: Sequence[int]) -> str:
    """The text of the new tokens, character for character."""
    text: str = processor.processor.tokenizer.decode(
        new_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return text


def render_conversation(processor: GotProcessor, query: str, *, pictures: int = 1) -> str:
    """The text before the answer, an image token for each visual token: what the processor writes itself."""
    inner = processor.processor
    start, end = inner.message_start_token, inner.message_end_token
    image = inner.img_pad_token * (processor.image_tokens * pictures)
    return (
        f"{start}{inner.system_query}{end}"
        f"{start}user\n{inner.img_start_token}{image}{inner.img_end_token}\n{query}{end}"
        f"{start}assistant\n"
    )
