"""The embedded model's vocabulary: 256 bytes in the order of Qwen's own, then Qwen2-VL's special tokens."""

from __future__ import annotations

from typing import Any

END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
VISION_START = "<|vision_start|>"
VISION_END = "<|vision_end|>"
VISION_PAD = "<|vision_pad|>"
IMAGE_PAD = "<|image_pad|>"
VIDEO_PAD = "<|video_pad|>"

SPECIAL_TOKENS = (
    END_OF_TEXT,
    TURN_START,
    TURN_END,
    VISION_START,
    VISION_END,
    VISION_PAD,
    IMAGE_PAD,
    VIDEO_PAD,
)


def build_byte_alphabet() -> dict[int, str]:
    """The character that stands for each byte, in vocabulary order, as byte-level BPE has it since GPT-2.

    Bytes that print stand for themselves and come first, so the first of all is `!`; the others are
    moved up past U+0100. Source: `bytes_to_unicode` of https://github.com/openai/gpt-2.
    """
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printing]
    return {byte: chr(byte) for byte in printing} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def build_vocabulary() -> dict[str, int]:
    """Token to id: the bytes from 0, the special tokens from 256."""
    tokens = (*build_byte_alphabet().values(), *SPECIAL_TOKENS)
    return {token: index for index, token in enumerate(tokens)}


def build_byte_ids() -> list[int]:
    """The token id of each byte, by byte value."""
    vocabulary = build_vocabulary()
    alphabet = build_byte_alphabet()
    return [vocabulary[alphabet[byte]] for byte in range(256)]


def build_tokenizer() -> Any:
    """A `tokenizers.Tokenizer` that gives one token per byte of UTF-8, so it knows every text.

    Byte-level BPE with no merges; normalisation and decoding are those of Qwen2's tokenizer.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    vocabulary = build_vocabulary()
    bytes_only = {token: index for token, index in vocabulary.items() if token not in SPECIAL_TOKENS}
    tokenizer = Tokenizer(BPE(vocab=bytes_only, merges=[]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS]
    )
    return tokenizer
