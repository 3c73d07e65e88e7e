"""The library: opened checkpoints, each once, and what is known of them."""

from __future__ import annotations

import shlex
from collections.abc import Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from evomerge.checkpoints import Adapted, Adapter, Checkpoint, digest_of
from evomerge.errors import ConfigError, EvomergeError, Problem
from evomerge.merging.facts import ROOM_BYTES, Facts
from evomerge.merging.statistics import Measurement, Stored, data_digest, find
from evomerge.recipe.calibration import FROM_INPUTS, Calibration, StatisticKind
from evomerge.recipe.recipe import ModelRef

if TYPE_CHECKING:
    from evomerge.merging.statistics.prefix import Rig

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
        self._statistics: dict[Hashable, Stored] = {}
        self._rigs: dict[Hashable, Rig] = {}

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

    def open_all(self, models: Mapping[str, ModelRef], where: str = "") -> dict[str, Checkpoint]:
        """The checkpoints of all models of a recipe, by name.

        Args:
            models: All models of the recipe.
            where: The recipe's file, for messages.

        Raises:
            ConfigError: If some cannot be read.
        """
        opened: dict[str, Checkpoint] = {}
        problems: list[Problem] = []
        for name, model in sorted(models.items(), key=lambda item: item[1].adapts is not None):
            if model.adapts in models and model.adapts not in opened:
                continue  # of its base there is a problem already
            try:
                opened[name] = self.open(model, models, f"{where}: models.{name}" if where else "")
            except ConfigError as error:
                problems += error.problems
        ConfigError.raise_if_any(problems)
        return {name: opened[name] for name in models}

    def statistics(self, model: ModelRef, calibration: Calibration, kind: StatisticKind) -> Stored:
        """A statistic of a model, from disk.

        Raises:
            ConfigError: If it was not measured, with the command that does.
        """
        key = (model, calibration, kind)
        if key not in self._statistics:
            if calibration.digest is None:
                calibration = calibration.model_copy(update={"digest": data_digest(calibration)})
            digest = model.digest or digest_of(self.open(model))
            stored = find(Measurement(digest, calibration.identity(kind)))
            if stored is None:
                what = f"{kind} of {model.path} was not measured on {calibration.data}, or is damaged."
                raise ConfigError.at("", f"{what} Measure it: {_command(model, calibration, kind)}")
            self._statistics[key] = stored
        return self._statistics[key]

    def rig(self, experts: Sequence[tuple[ModelRef, Calibration]]) -> Rig:
        """A model to pass the experts' data through, made once and used by all candidates.

        Raises:
            ConfigError: If the data cannot be read or the models are no causal language models.
        """
        from evomerge.merging.statistics.prefix import Rig  # brings transformers along

        key = tuple(experts)
        if key not in self._rigs:
            self._rigs[key] = Rig([(self.open(model), calibration) for model, calibration in experts])
        return self._rigs[key]


def _command(model: ModelRef, calibration: Calibration, kind: StatisticKind) -> str:
    options: dict[str, object] = {"data": calibration.data, "kinds": kind}
    options |= {"samples": calibration.samples, "tokens": calibration.tokens}
    if kind not in FROM_INPUTS and calibration.labels == "sampled":
        options |= {"labels": calibration.labels, "seed": calibration.seed}
    words = " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in options.items())
    return f"evomerge calibrate statistics {shlex.quote(model.path)} {words}"
