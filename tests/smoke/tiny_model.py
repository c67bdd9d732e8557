"""Run by a stack's interpreter: saves a random Qwen2-VL of some 0.1 M parameters, `python tiny_model.py FOLDER`.

It cannot read. It is what the worker's tests break on purpose, so that they need no trained weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2VLConfig, Qwen2VLForConditionalGeneration

SPECIAL = ["<pad>", "<bos>", "<eos>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
# Token 0 is "!", as in Qwen's vocabulary: the arg max of logits that are all NaN.
CHARACTERS = [chr(code) for code in range(0x21, 0x7F)] + [" ", "\n"]
CHAT_TEMPLATE = (
    "<bos>{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endfor %}"
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token per printable ASCII character, then the special tokens."""
    vocabulary = {token: index for index, token in enumerate(CHARACTERS + SPECIAL)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="!"))  # noqa: S106 - a token of text
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **dict(zip(("pad_token", "bos_token", "eos_token"), SPECIAL[:3], strict=True)),
        additional_special_tokens=SPECIAL[3:],
    )


def build_model(token_id: dict[str, int]) -> Qwen2VLForConditionalGeneration:
    """The real architecture, two layers each of 64."""
    config = Qwen2VLConfig(
        vision_config={
            "depth": 2,
            "embed_dim": 64,
            "hidden_size": 64,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        text_config={
            "vocab_size": 128,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": 1024,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
            "bos_token_id": token_id["<bos>"],
            "eos_token_id": token_id["<eos>"],
            "pad_token_id": token_id["<pad>"],
        },
        image_token_id=token_id["<|image_pad|>"],
        video_token_id=token_id["<|video_pad|>"],
        vision_start_token_id=token_id["<|vision_start|>"],
        vision_end_token_id=token_id["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    return Qwen2VLForConditionalGeneration(config).to(torch.bfloat16)


def save_tiny_model(folder: Path) -> None:
    """A Hub-style folder: weights, configurations, tokenizer and chat template."""
    tokenizer = build_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    build_model(tokenizer.get_vocab()).save_pretrained(folder)
    preprocessor = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2VLProcessor",
        "min_pixels": 28 * 28,
        "max_pixels": 448 * 448,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor), encoding="utf-8")


if __name__ == "__main__":
    save_tiny_model(Path(sys.argv[1]))
