"""Statistics of what linear maps read: sums over tokens, gathered by hooks while texts pass through a model."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from transformers.modeling_utils import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from evomerge.checkpoints import Checkpoint
from evomerge.errors import ConfigError
from evomerge.merging.loading import load_model
from evomerge.merging.places import places_of
from evomerge.merging.statistics.store import Measured
from evomerge.recipe.calibration import StatisticKind


def open_model(checkpoint: Checkpoint, device: str) -> tuple[PreTrainedModel, dict[str, torch.Tensor]]:
    """A causal language model in float32, and the memory that holds each tensor of the checkpoint.

    Raises:
        ConfigError: If it is another kind of model.
    """
    loaded, unused = load_model(checkpoint, "float32")
    if not loaded.can_generate() or loaded.config.is_encoder_decoder:
        what = f"{type(loaded).__name__} is no causal language model, and statistics are measured on those only."
        raise ConfigError.at(str(checkpoint.folder), what)
    model: PreTrainedModel = loaded.to(device).requires_grad_(False)
    return model, places_of(checkpoint, model, unused)


def linear_maps(model: PreTrainedModel, windows: Mapping[str, torch.Tensor]) -> dict[str, torch.nn.Module]:
    """Linear maps by the names of their weights in the checkpoint; the head is none of them.

    Args:
        model: A transformers model.
        windows: By the name of a tensor of the checkpoint, its place in the model.
    """
    names = {window.data_ptr(): name for name, window in windows.items()}
    head = model.get_output_embeddings()
    maps = [module for module in model.modules() if isinstance(module, torch.nn.Linear | Conv1D) and module is not head]
    named = ((names.get(module.weight.data_ptr()), module) for module in maps)
    return {name: module for name, module in named if name is not None}


class InputSums:
    """Sums over tokens of x xᵀ, |x| and x². Maps that read the very same tensor share one sum.

    Matrices are added up in float32, vectors in float64. A Gram matrix of a map with I inputs takes 4·I² bytes, and all
    of a model's are held together: 2.5 GB for Qwen2.5-0.5B, 22 GB for a Llama of 7 B, most of it behind the wide inner
    layers of the MLPs.
    """

    def __init__(self, maps: Mapping[str, torch.nn.Module], kinds: Sequence[StatisticKind]) -> None:
        self._maps = maps
        self._kinds = kinds
        self._sums: dict[StatisticKind, dict[str, torch.Tensor]] = {kind: {} for kind in kinds}
        self._counts: dict[str, int] = {}
        self._owners: dict[str, str] = {}
        self._last: tuple[str, torch.Tensor] | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hooks are in place inside."""
        handles = [
            module.register_forward_hook(functools.partial(self._hear, name)) for name, module in self._maps.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def measured(self, kind: StatisticKind) -> Measured:
        """The means."""
        means = {name: (total / self._counts[name]).float().cpu() for name, total in self._sums[kind].items()}
        return Measured(means, {name: owner for name, owner in self._owners.items() if owner != name})

    def _hear(self, name: str, module: object, read: tuple[Any, ...], given: object) -> None:
        inputs: torch.Tensor = read[0]
        if name not in self._owners:
            is_shared = self._last is not None and self._last[1] is inputs
            self._owners[name] = self._last[0] if is_shared and self._last else name
        owner = self._owners[name]
        self._last = owner, inputs  # held, so that no other tensor can take its place in memory
        if owner != name:
            return
        inputs_NI = inputs.detach().flatten(0, -2).float()
        self._counts[name] = self._counts.get(name, 0) + len(inputs_NI)
        for kind in self._kinds:
            add_to(self._sums[kind], name, _total(kind, inputs_NI))


def add_to(sums: dict[str, torch.Tensor], name: str, value: torch.Tensor) -> None:
    """Add a tensor to the sum of that name, or begin with it."""
    if name in sums:
        sums[name] += value
    else:
        sums[name] = value


def _total(kind: StatisticKind, inputs_NI: torch.Tensor) -> torch.Tensor:
    if kind == "gram":
        return inputs_NI.T @ inputs_NI
    return (inputs_NI.abs() if kind == "act_mean" else inputs_NI.square()).sum(dim=0, dtype=torch.float64)
