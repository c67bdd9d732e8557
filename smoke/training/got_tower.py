"""GOT-OCR 2.0: the model, its own vision tower on pages stretched to squares, its prompts."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from smoke.families import got_ocr
from smoke.pages import grid
from smoke.training import prompts
from smoke.training.architecture import Normalizer, PageFeatures, Prompt, TokenGrid, build_from_config

# What transformers' processor asks for itself: plain text, and with a format, a colour or a box.
PLAIN_QUERY = got_ocr.PLAIN_QUERY
OTHER_QUERIES = (
    " OCR with format: ",
    "[green]  OCR: ",
    "[0, 0, 1000, 1000] OCR: ",
    " OCR upon the patch reference: ",
)


class SquareEncoder:
    """Stretches a batch of pages as the image processor does, and runs the model's own tower on them."""

    def __init__(self, model: Any, model_dir: Path, device: str) -> None:
        self._model = model.model
        self._model_dir = model_dir
        self._normalizer = Normalizer(model_dir, device)
        vision = model.config.vision_config
        side = vision.image_size // vision.patch_size // got_ocr.DOWNSAMPLING
        self.token_grid = TokenGrid(side, side)
        self._stretch = build_stretch(vision.image_size).to(device)
        if vision.image_size != grid.PAGE_WIDTH:
            raise ValueError(f"pages are {grid.PAGE_WIDTH} px wide, and the model reads {vision.image_size}")

    def encode(self, images: Tensor) -> PageFeatures:
        """Images (pages, height, width), 0 black to 1 white, to features."""
        hidden = self._model.vision_tower(self.build_pixels(images)).last_hidden_state
        return PageFeatures(self._model.multi_modal_projector(hidden))

    def build_pixels(self, images: Tensor) -> Tensor:
        """Images to normalised squares (pages, 3, width, width)."""
        with torch.autocast(images.device.type, enabled=False):
            return self._normalizer.normalize((self._stretch @ images).clamp(0, 1))

    def check(self, images: Tensor) -> None:
        """Raises RuntimeError when the squares are not those of the folder's own image processor."""
        from PIL import Image

        processor = got_ocr.load_processor(str(self._model_dir)).processor.image_processor
        levels = (images * 255).round()
        pictures = [Image.fromarray(page.byte().numpy()).convert("RGB") for page in levels]
        expected = processor(images=pictures, return_tensors="pt")["pixel_values"]
        difference = (self.build_pixels(levels / 255) - expected).abs().max().item()
        # One grey level is 0.015 of what is compared, and the processor rounds to whole ones.
        if difference > 0.02:
            raise RuntimeError(f"the stretched pages are off by {difference:.2g}")


class GotPrompts:
    """Token ids of random queries in the conversation that the family's own code writes."""

    def __init__(self, model_dir: Path) -> None:
        self._processor = got_ocr.load_processor(str(model_dir))

    def draw(self, seed: int, answer_tokens: int) -> Prompt:  # noqa: ARG002 - positions just count up
        """Mostly the plain query, at times another that the processor knows, else an instruction of any kind."""
        random = Random(seed)
        match random.choices(("plain", "other", "any"), (50, 15, 35))[0]:
            case "plain":
                query = PLAIN_QUERY
            case "other":
                query = random.choice(OTHER_QUERIES)
            case _:
                query = prompts.draw_instruction(random)
        text = got_ocr.render_conversation(self._processor, query)
        return Prompt(self._processor.processor.tokenizer(text, return_tensors="pt").input_ids[0], None)


def build_model(model_dir: Path) -> Any:
    """The model of `model_dir/config.json` with random float32 weights.

    Its class begins with all positions of the tower equal, which serves weights that are loaded.
    """
    model = build_from_config(model_dir)
    nn.init.normal_(model.model.vision_tower.pos_embed, std=0.02)
    return model


def build_encoder(model: Any, model_dir: Path, device: str) -> SquareEncoder:
    """The vision tower behind the stretching."""
    return SquareEncoder(model, model_dir, device)


def build_prompts(_model: Any, model_dir: Path) -> GotPrompts:
    """The source of prompts."""
    return GotPrompts(model_dir)


def build_stretch(height: int) -> Tensor:
    """The matrix (height, page height) that stretches a page downwards: bicubic, as Pillow has it."""
    identity = torch.eye(grid.PAGE_HEIGHT)[None, None]
    size = (height, grid.PAGE_HEIGHT)
    return functional.interpolate(identity, size=size, mode="bicubic", antialias=True)[0, 0]
