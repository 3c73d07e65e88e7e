"""The library: opened checkpoints, each once."""

from __future__ import annotations

from evomerge.checkpoints import Checkpoint
from evomerge.recipe.recipe import ModelRef


class Library:
    """Opens models when first asked for and keeps them open; files stay memory-mapped."""

    def __init__(self) -> None:
        self._opened: dict[str, Checkpoint] = {}

    def open(self, model: ModelRef) -> Checkpoint:
        """The checkpoint of a model.

        Raises:
            ConfigError: If it cannot be read.
        """
        if model.path not in self._opened:
            self._opened[model.path] = Checkpoint(model.path)
        return self._opened[model.path]
