"""The merged prefix: what an expert's layer reads behind layers that are merged already (RegMean++)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch

from evomerge.checkpoints import Checkpoint
from evomerge.merging.site import Reading
from evomerge.merging.statistics.inputs import InputSums, linear_maps, open_model
from evomerge.merging.statistics.store import Measured, Readings
from evomerge.merging.statistics.texts import data_digest, token_lists
from evomerge.recipe.calibration import Calibration


class _Enough(Exception):
    """The layers that count have been passed."""


class Rig:
    """A model in memory whose layers are overwritten, and the data of every expert.

    Attributes:
        experts: In the blend's order.
        names: Names of the tensors of each layer, and under None of all others.
    """

    def __init__(self, experts: Sequence[tuple[Checkpoint, Calibration]]) -> None:
        """Load the first expert's architecture in float32 and read all data.

        Raises:
            ConfigError: If the data cannot be read or the models are no causal language models.
        """
        self.experts = [checkpoint for checkpoint, _ in experts]
        for _, calibration in experts:
            data_digest(calibration)  # refuses other data
        self._texts = [token_lists(calibration, checkpoint.folder) for checkpoint, calibration in experts]
        first = self.experts[0]
        self._model, self._windows = open_model(first, "cpu")
        self.names: dict[int | None, list[str]] = {}
        for name in (name for name, window in self._windows.items() if window.is_floating_point()):
            self.names.setdefault(first.position(name).layer, []).append(name)
        self._maps = linear_maps(self._model, self._windows)

    def write(self, names: Sequence[str], tensor: Callable[[str], torch.Tensor]) -> None:
        """Overwrite tensors; those with fewer rows than their places leave the last ones as they are."""
        for name in names:
            values = tensor(name)
            self._windows[name][: len(values)].copy_(values)

    def grams(self, expert: int, layer: int) -> Measured:
        """Gram matrices of what the maps of a layer read, with an expert's data and all that was written."""
        sums = InputSums({name: self._maps[name] for name in self.names[layer] if name in self._maps}, ["gram"])
        with sums.listening(), self._stopping_before(layer + 1):
            for tokens in self._texts[expert]:
                try:
                    self._model(tokens, use_cache=False)
                except _Enough:
                    continue
        return sums.measured("gram")

    @contextmanager
    def _stopping_before(self, layer: int) -> Iterator[None]:
        def stop(module: object, read: object) -> None:
            raise _Enough

        with ExitStack() as stack:
            for name in self.names.get(layer, ()):
                if name in self._maps:
                    stack.callback(self._maps[name].register_forward_pre_hook(stop).remove)
            yield


class Prefix:
    """Gram matrices behind a candidate's merged layers, measured layer by layer when they are first asked for.

    Embeddings are merged first. Then, layer by layer, every expert's own layer is put behind the merged ones and reads
    the expert's data, and what it read decides the merged layer. All matrices are kept while the candidate is merged.
    """

    def __init__(self, rig: Rig, merged: Callable[[str], torch.Tensor]) -> None:
        """Measure nothing yet.

        Args:
            rig: Of the blend's experts.
            merged: Gives a tensor of the blend, which may ask for readings of its layer and of earlier ones.
        """
        self._rig, self._merged = rig, merged
        self._layers: list[list[Measured]] = []

    def of(self, expert: int) -> Readings:
        """The readings of the expert at this place."""
        return _OfExpert(self, expert)

    @torch.no_grad()
    def reading(self, expert: int, tensor: str) -> Reading | None:
        """What was measured at a tensor; None where nothing was."""
        layer = self._rig.experts[0].position(tensor).layer
        if layer is None:
            return None
        while len(self._layers) <= layer:
            self._layers.append(self._measured(len(self._layers)))
        found = self._layers[layer][expert]
        values = found.values.get(found.owners.get(tensor, tensor))
        return None if values is None else Reading(values, float(values.mean()), float(values.norm()))

    def _measured(self, layer: int) -> list[Measured]:
        """Of every expert, once all layers before are merged."""
        self._rig.write(self._rig.names.get(layer - 1 if layer else None, ()), self._merged)
        found = []
        for place, expert in enumerate(self._rig.experts):
            self._rig.write(self._rig.names.get(layer, ()), expert.tensor)
            found.append(self._rig.grams(place, layer))
        return found


@dataclass(frozen=True, slots=True)
class _OfExpert:
    prefix: Prefix
    expert: int

    def reading(self, tensor: str) -> Reading | None:
        return self.prefix.reading(self.expert, tensor)
