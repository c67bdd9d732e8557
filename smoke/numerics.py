"""Finds where in a model the first value came from that is not finite."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn


class _FoundError(Exception):
    """Ends the run at the first fault: what comes after it is its consequence."""


def find_fault(model: nn.Module, run: Callable[[], object]) -> dict[str, Any] | None:
    """Call `run`, which runs `model`, and describe the first module that makes a value which is not finite.

    None when every module's values were finite, also when `run` raised something of its own. Each module
    costs a synchronisation with the device, so this is for a model that is known to fail.
    """
    search = _Search(model)
    try:
        run()
    except _FoundError:
        return search.fault | {"parameters": list(find_nonfinite_parameters(model))}
    except Exception as error:
        print(f"the run that looks for values that are not finite raised {error!r}", file=sys.stderr)
    finally:
        search.remove()
    return None


def find_nonfinite_parameters(model: nn.Module) -> Iterator[dict[str, Any]]:
    """Parameters and buffers that hold NaN or inf, in the model's order."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if can_be_checked(tensor):
            nonfinite = count_nonfinite(tensor)
            if nonfinite:
                dtype = str(tensor.dtype).removeprefix("torch.")
                yield {"name": name, "dtype": dtype, "nonfinite": nonfinite, "values": tensor.numel()}


def can_be_checked(value: object) -> bool:
    """A tensor of floating-point values. Those of one byte, as quantised weights are, have no isfinite."""
    return (
        isinstance(value, torch.Tensor)
        and value.is_floating_point()
        and value.element_size() > 1
        and not value.is_meta
        and value.numel() > 0
    )


def count_nonfinite(tensor: torch.Tensor) -> int:
    """How many values are NaN or inf."""
    return int((~torch.isfinite(tensor)).sum().item())


class _Search:
    """Hooks on every module, which end the run at the first value that is not finite.

    A module ends after its children, so the innermost one is met first. A child that is handed such a value,
    though all that ended before gave finite ones, got it from the arithmetic of the module around it.
    """

    def __init__(self, model: nn.Module) -> None:
        self.fault: dict[str, Any] = {}
        self._running: list[tuple[str, nn.Module]] = []
        self._previous: tuple[str, torch.Tensor] | None = None
        self._hooks = [hook for name, module in model.named_modules() for hook in self._attach(name, module)]

    def remove(self) -> None:
        """Take the hooks off again."""
        for hook in self._hooks:
            hook.remove()

    def _attach(self, name: str, module: nn.Module) -> Iterable[Any]:
        # What a whole model is called in its own list of modules is "".
        entry = (name or type(module).__name__, module)

        def enter(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            unmasked = {key: value for key, value in kwargs.items() if "mask" not in key}
            self._check(
                (args, unmasked), self._running[-1] if self._running else entry, f"input of {entry[0]}"
            )
            self._running.append(entry)

        def leave(_module: nn.Module, _args: Any, output: Any) -> None:
            self._running.pop()
            self._check(output, entry, "output")
            tensors = list(_list_tensors(output))
            if tensors:
                self._previous = (entry[0], tensors[0])

        return (
            module.register_forward_pre_hook(enter, with_kwargs=True),
            module.register_forward_hook(leave),
        )

    def _check(self, values: object, culprit: tuple[str, nn.Module], label: str) -> None:
        for tensor in _list_tensors(values):
            nonfinite = count_nonfinite(tensor)
            if nonfinite:
                name, module = culprit
                self.fault = {
                    "module": name,
                    "module_class": type(module).__name__,
                    "tensor": label,
                    "dtype": str(tensor.dtype).removeprefix("torch."),
                    "nonfinite_share": nonfinite / tensor.numel(),
                    "previous_module": self._previous[0] if self._previous else None,
                    "previous_max_abs": self._previous[1].abs().max().item() if self._previous else None,
                }
                raise _FoundError


def _list_tensors(value: object) -> Iterator[torch.Tensor]:
    """The tensors in an argument or a result: bare, in sequences, in mappings such as ModelOutput."""
    if isinstance(value, torch.Tensor):
        if can_be_checked(value):
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _list_tensors(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _list_tensors(item)
