"""One recipe applied to its models, tensor by tensor."""

from __future__ import annotations

import torch

from evomerge.checkpoints import Checkpoint, position_of
from evomerge.errors import CandidateFailed
from evomerge.merging.draws import Draw
from evomerge.merging.library import Library
from evomerge.merging.pipe import run_pipe
from evomerge.recipe import Blend, Recipe
from evomerge.recipe.parts import Parts
from evomerge.recipe.recipe import PipeRule
from evomerge.recipe.where import Where

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Merge:
    """The tensors of a recipe's result, computed when asked for; nothing is kept between them."""

    def __init__(self, recipe: Recipe, library: Library) -> None:
        """Prepare a merge.

        Args:
            recipe: Any spelling; its canonical form is what is merged.
            library: Where models are opened.
        """
        self._recipe = recipe.canonical
        self._checkpoints = {name: library.open(model) for name, model in recipe.models.items()}
        self._rules = {name: _rules_of(blend) for name, blend in self._recipe.blends.items()}
        self._identities = self._recipe.identities
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
        """A tensor of the result before its one rounding to `dtype(name)`.

        Returns:
            Float32 where something was merged, else the source's own; whole numbers as the donor has them.

        Raises:
            CandidateFailed: If the models' tensors do not fit together.
        """
        if not self.donor.dtype(name).is_floating_point:
            return self.donor.tensor(name)
        return self._source(self._recipe.result, name)

    def _source(self, source: str, name: str) -> torch.Tensor:
        if source in self._checkpoints:
            checkpoint = self._checkpoints[source]
            if name not in checkpoint.files:
                raise CandidateFailed(f"model {source} has no tensor {name}.")
            return checkpoint.tensor(name)
        blend = self._recipe.blends[source]
        origin = None if blend.origin is None else self._source(blend.origin, name)
        parts = self._parts(source, name)
        if parts is None:
            return origin if origin is not None else self._source(blend.experts[0], name)
        experts = [self._source(expert, name) for expert in blend.experts]
        shapes = {tensor.shape for tensor in (*experts, *(() if origin is None else (origin,)))}
        if len(shapes) > 1:
            known = " and ".join(sorted(str(list(shape)) for shape in shapes))
            raise CandidateFailed(f"tensor {name} has the shapes {known} in the models of blend {source}.")
        draws = [Draw(blend.seed, self._identities[expert], name) for expert in blend.experts]
        return run_pipe(parts, experts, origin, draws)

    def _parts(self, blend: str, name: str) -> Parts | None:
        position = position_of(name)
        for where, parts in self._rules[blend]:
            if where is None or where.matches(name, position.layer, position.role):
                return parts
        return None


def _rules_of(blend: Blend) -> list[tuple[Where | None, Parts]]:
    pipes = [rule for rule in blend.rules if isinstance(rule, PipeRule)]  # the canonical form has no others
    return [(rule.where, Parts.of(rule.pipe, len(blend.experts))) for rule in pipes]
