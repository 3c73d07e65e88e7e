"""One recipe applied to its models, tensor by tensor."""

from __future__ import annotations

import torch

from evomerge.checkpoints import Checkpoint, position_of
from evomerge.errors import CandidateFailed
from evomerge.merging.draws import Draw
from evomerge.merging.library import Library
from evomerge.merging.pipe import run_pipe
from evomerge.recipe import Blend, Recipe, canonical
from evomerge.recipe.recipe import PipeRule
from evomerge.recipe.stages import StageValue

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Merge:
    """The tensors of a recipe's result, computed when asked for; nothing is kept between them."""

    def __init__(self, recipe: Recipe, library: Library) -> None:
        """Prepare a merge.

        Args:
            recipe: Any spelling; its canonical form is what is merged.
            library: Where models are opened.
        """
        self._recipe = canonical(recipe)
        self._checkpoints = {name: library.open(model) for name, model in recipe.models.items()}
        self._identities = {name: model.identity for name, model in recipe.models.items()}
        self._identities |= {name: f"blend:{index}" for index, name in enumerate(recipe.blends)}
        self.donor: Checkpoint = self._checkpoints[recipe.donor]

    @property
    def names(self) -> list[str]:
        """Names of the result's tensors."""
        return self.donor.names

    def dtype(self, name: str) -> torch.dtype:
        """Dtype of a tensor of the result; whole numbers keep theirs."""
        stored = self.donor.dtype(name)
        if self._recipe.dtype is None or not stored.is_floating_point:
            return stored
        return _DTYPES[self._recipe.dtype]

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor of the result: float32 before its one rounding to `dtype(name)`; whole numbers as the donor has them.

        Raises:
            CandidateFailed: If the models' tensors do not fit together.
        """
        if not self.donor.dtype(name).is_floating_point:
            return self.donor.tensor(name)
        return self._source(self._recipe.result, name)

    def _source(self, source: str, name: str) -> torch.Tensor:
        if source in self._checkpoints:
            return self._checkpoints[source].tensor(name)
        blend = self._recipe.blends[source]
        origin = None if blend.origin is None else self._source(blend.origin, name)
        pipe = _pipe_for(blend, name)
        if pipe is None:
            return origin if origin is not None else self._source(blend.experts[0], name)
        experts = [self._source(expert, name) for expert in blend.experts]
        shapes = {tuple(tensor.shape) for tensor in (*experts, *(() if origin is None else (origin,)))}
        if len(shapes) > 1:
            raise CandidateFailed(f"tensor {name} has the shapes {sorted(shapes)} in the models of blend {source}")
        draws = [Draw(blend.seed, self._identities[expert], name) for expert in blend.experts]
        return run_pipe(pipe, experts, origin, draws)


def _pipe_for(blend: Blend, name: str) -> tuple[StageValue, ...] | None:
    position = position_of(name)
    for rule in blend.all_rules:
        if isinstance(rule, PipeRule) and (
            rule.where is None or rule.where.matches(name, position.layer, position.role)
        ):
            return rule.pipe
    return None
