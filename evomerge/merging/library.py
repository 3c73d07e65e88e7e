"""The library: opened checkpoints, each once, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from evomerge.checkpoints import Adapted, Adapter, Checkpoint
from evomerge.errors import EvomergeError
from evomerge.merging.facts import ROOM_BYTES, Facts
from evomerge.recipe.recipe import ModelRef

NO_MODELS: Mapping[str, ModelRef] = MappingProxyType({})


class Library:
    """Opens models when first asked for and keeps them open; files stay memory-mapped.

    Attributes:
        facts: What is remembered of the models from recipe to recipe.
        is_fused: Whether merges run as compiled loops where they can.
    """

    def __init__(self, *, is_fused: bool = False, room_bytes: int = ROOM_BYTES) -> None:
        """Make an empty library.

        Args:
            is_fused: Whether merges run as compiled loops where they can, which takes a C++ compiler and some seconds
                per kind of merge, and gives the same bits.
            room_bytes: Of what is remembered from recipe to recipe because computing it again would take time.
        """
        self.is_fused = is_fused
        self._opened: dict[tuple[str, str | None], Checkpoint] = {}
        self.facts = Facts(room_bytes)

    def open(self, model: ModelRef, models: Mapping[str, ModelRef] = NO_MODELS, where: str = "") -> Checkpoint:
        """The checkpoint of a model; of an adapter, what it makes of its base.

        Args:
            model: The model.
            models: All models by name, where an adapter's base is looked up.
            where: The file and key that name the model, for messages.

        Raises:
            ConfigError: If it cannot be read, or an adapter does not fit its base.
        """
        if model.adapts is not None and model.adapts not in models:
            raise EvomergeError(f"{model.path} is an adapter on {model.adapts}, which is not among the models.")
        base = None if model.adapts is None else models[model.adapts]
        key = model.path, None if base is None else base.path
        if key not in self._opened:
            if base is None:
                self._opened[key] = Checkpoint(model.path, where)
            else:
                self._opened[key] = Adapted(self.open(base), Adapter(model.path, where), where)
        return self._opened[key]

    def open_all(self, models: Mapping[str, ModelRef]) -> dict[str, Checkpoint]:
        """The checkpoints of all models of a recipe, by name.

        Raises:
            ConfigError: If one cannot be read.
        """
        return {name: self.open(model, models) for name, model in models.items()}
