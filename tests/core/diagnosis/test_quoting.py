"""A page that lists messages is no log; a person who pastes one in Markdown has one."""

import pytest

from provision.model.failure import Confidence
from tests.core.diagnosis.failures import find_causes

TABLE = """\
# Reading pages

| you see | do |
|---------|----|
| `FlashAttention only supports Ampere GPUs or newer.` | choose sdpa |
| `Error while deserializing header: HeaderTooLarge` | fetch the weights again |
"""
ITEMS = """\
## Trouble

- `Torch not compiled with CUDA enabled`: take another wheel
- `Error while deserializing header: HeaderTooLarge`: fetch the weights again
- `Failed to initialize NVML: Driver/library version mismatch`: restart
"""
HEADINGS = """\
### Torch not compiled with CUDA enabled
Take another wheel.
### Error while deserializing header: HeaderTooLarge
Fetch the weights again.
### Failed to initialize NVML: Driver/library version mismatch
Restart.
"""


@pytest.mark.parametrize("page", [TABLE, ITEMS, HEADINGS])
def test_a_page_gives_nothing_sure(page):
    causes = find_causes(page)
    assert causes
    assert {cause.confidence for cause in causes} == {Confidence.LOW}


@pytest.mark.parametrize(
    "question",
    [
        "Since the update:\n```\nAssertionError: Torch not compiled with CUDA enabled\n```\nWhat to do?",
        "I get `AssertionError: Torch not compiled with CUDA enabled` when I start it.",
        "- OS: Windows 11\n- Error: `Torch not compiled with CUDA enabled`\n",
        "### AssertionError: Torch not compiled with CUDA enabled\n",
    ],
)
def test_a_question_gives_its_cause(question):
    (cause,) = find_causes(question)
    assert (cause.id, cause.confidence) == ("cpu-only-torch-wheel", Confidence.HIGH)
