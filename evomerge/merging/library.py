"""The library: opened checkpoints, each once, and what is known of them."""

from __future__ import annotations

from evomerge.checkpoints import Checkpoint
from evomerge.merging.facts import Facts
from evomerge.recipe.recipe import ModelRef


class Library:
    """Opens models when first asked for and keeps them open; files stay memory-mapped.

    Attributes:
        facts: What is remembered of the models from recipe to recipe.
        is_fused: Whether merges run as compiled loops where they can.
    """

    def __init__(self, *, is_fused: bool = False) -> None:
        """Make an empty library.

        Args:
            is_fused: Whether merges run as compiled loops where they can, which takes a C++ compiler and some seconds
                per kind of merge, and gives the same bits.
        """
        self.is_fused = is_fused
        self._opened: dict[str, Checkpoint] = {}
        self.facts = Facts()

    def open(self, model: ModelRef) -> Checkpoint:
        """The checkpoint of a model.

        Raises:
            ConfigError: If it cannot be read.
        """
        if model.path not in self._opened:
            self._opened[model.path] = Checkpoint(model.path)
        return self._opened[model.path]
