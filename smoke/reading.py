"""Lets a loaded model read one page, and watches its clock and its numbers while it does."""

from __future__ import annotations

import time
from typing import Any

import torch
from transformers import LogitsProcessorList

from smoke import numerics
from smoke.families import Family


class ModelReader:
    """A loaded model with everything that reading a page needs."""

    def __init__(
        self, family: Family, processor: Any, model: Any, *, prompt: str, max_new_tokens: int
    ) -> None:
        self.device: torch.device = model.device
        self._family = family
        self._processor = processor
        self._model = model
        self._prompt = prompt
        self._max_new_tokens = max_new_tokens

    def read(self, name: str, image: Any) -> dict[str, Any]:
        """Read `image` greedily: the text with its timing, as the answer carries it."""
        inputs = self._prepare(image)
        clock, watch = TokenClock(), LogitsWatch()
        start = time.perf_counter()
        output = self._generate(inputs, streamer=clock, logits_processor=LogitsProcessorList([watch]))
        generate_s = time.perf_counter() - start
        new_ids = output[0, inputs["input_ids"].shape[1] :].tolist()
        return {
            "name": name,
            "text": self._family.decode(self._processor, new_ids),
            "new_tokens": len(new_ids),
            "first_token_s": clock.first_token_s(start),
            "generate_s": generate_s,
            "tokens_per_s": clock.tokens_per_s(),
            "nonfinite_token": watch.find_nonfinite(),
        }

    def find_numeric_fault(self, image: Any) -> dict[str, Any] | None:
        """Read `image` again and stop at the first module that makes a value which is not finite."""
        inputs = self._prepare(image)
        return numerics.find_fault(self._model, lambda: self._generate(inputs))

    def _prepare(self, image: Any) -> dict[str, Any]:
        inputs = self._family.build_inputs(self._processor, image, self._prompt)
        return {name: self._move(value) for name, value in inputs.items()}

    def _move(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return value.to(self.device, self._model.dtype if value.is_floating_point() else None)

    def _generate(self, inputs: dict[str, Any], **options: Any) -> Any:
        with torch.inference_mode():
            return self._model.generate(
                **inputs, max_new_tokens=self._max_new_tokens, do_sample=False, num_beams=1, **options
            )


class TokenClock:
    """A streamer that keeps when each new token came. generate first hands it the prompt."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def put(self, _value: Any) -> None:
        """Called by generate with the prompt's ids, then with each new id, already on the CPU."""
        self._times.append(time.perf_counter())

    def end(self) -> None:
        """Called by generate after the last id."""

    def first_token_s(self, start: float) -> float | None:
        """Seconds from `start` to the first new token, None when there was none."""
        return self._times[1] - start if len(self._times) > 1 else None

    def tokens_per_s(self) -> float | None:
        """The rate of the tokens after the first, None when there was no second."""
        count = len(self._times) - 2
        return count / (self._times[-1] - self._times[1]) if count > 0 else None


class LogitsWatch:
    """A logits processor that changes nothing and remembers which steps had logits that decide nothing.

    It judges the largest logit of each row: NaN and +inf spread to it, while -inf in some places is how
    generation settings forbid a token. The answers stay on the device, so that no step waits for one.
    """

    def __init__(self) -> None:
        self._finite: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Called by generate at each step; `scores` is (batch, vocabulary)."""
        self._finite.append(torch.isfinite(scores.amax(dim=-1)).all())
        return scores

    def find_nonfinite(self) -> int | None:
        """The first step, from 0, whose logits were not finite."""
        if not self._finite:
            return None
        steps = torch.stack(self._finite).tolist()
        return steps.index(False) if False in steps else None
