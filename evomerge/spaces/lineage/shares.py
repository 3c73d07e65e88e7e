"""Shares: what a recipe takes of each model that members are bred from, cell by cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from evomerge.documents import shown
from evomerge.recipe.parts import Parts
from evomerge.recipe.recipe import Blend, PipeRule, Recipe
from evomerge.recipe.spans import TensorSpan
from evomerge.recipe.stages import Linear, Origin, Scale, StageValue, Weigh
from evomerge.recipe.where import Where
from evomerge.spaces.lineage.lattice import Cell, Lattice
from evomerge.spaces.lineage.lineage import Floats
from evomerge.spaces.starts import NotInSpace

_EVERYWHERE = Where()


def shares_of(recipe: Recipe, member: Recipe, lattice: Lattice) -> Floats:
    """The coefficients of the member that is the same merge as a recipe.

    Where rules only weigh and add, O + Σ w_k (E_k − O), a blend is a sum of its models, and so is a blend of blends.

    Args:
        recipe: Canonical. Its models are known by their content, whatever their names.
        member: The recipe of any member, for the models that are bred from and for what all members share.
        lattice: Where members may change.

    Returns:
        shares_LK: One row per cell, one column per model.

    Raises:
        NotInSpace: If no member is this merge.
    """
    _check_frame(recipe, member)
    sums, stretches = _Sums.of(recipe, member), {stretch.name: stretch for stretch in lattice.stretches}
    return np.array([sums.share(recipe.result, stretches[cell.tensor], cell) for cell in lattice.cells])


def _check_frame(recipe: Recipe, member: Recipe) -> None:
    """What lies outside the weights, and spans, must mean what they mean for members."""
    if recipe.route is not None or recipe.ends is not None:
        raise NotInSpace("it is routed, and members have their models' own layers")
    if recipe.dtype != member.dtype:
        raise NotInSpace(f"its dtype is {shown(recipe.dtype)}, and that of members {shown(member.dtype)}")
    theirs, ours = (each.tokenizer and each.identities[each.tokenizer.source] for each in (recipe, member))
    if theirs != ours:
        raise NotInSpace("it takes its tokenizer from elsewhere than members")
    has_spans = any(rule.where and rule.where.span for blend in recipe.blends.values() for rule in blend.rules)
    if has_spans and recipe.identities[recipe.donor] != member.identities[member.donor]:
        what = f'its spans count entries of "{recipe.donor}", those of members entries of "{member.donor}"'
        raise NotInSpace(f"{what}; name the former first in breed.experts, or as breed.origin")


@dataclass(frozen=True, slots=True)
class _Sums:
    """The sources of a canonical recipe as sums of the models that members are bred from.

    Attributes:
        recipe: The recipe.
        experts: What tells those models.
        origin: What tells the one that their task vectors are measured from, if any.
    """

    recipe: Recipe
    experts: tuple[str, ...]
    origin: str | None

    @classmethod
    def of(cls, recipe: Recipe, member: Recipe) -> Self:
        """Sums of a member's models."""
        names, blend = member.identities, member.blends[member.result]
        return cls(recipe, tuple(names[name] for name in blend.experts), names[blend.origin] if blend.origin else None)

    def share(self, source: str, stretch: TensorSpan, cell: Cell) -> Floats:
        """A model's or blend's coefficients in a cell of a tensor, (K,)."""
        if source in self.recipe.models:
            return self._model(source)
        blend = self.recipe.blends[source]
        for rule in blend.rules:
            where = rule.where or _EVERYWHERE
            start, stop = where.span or (stretch.start, stretch.stop)
            if start < cell.stop and cell.start < stop and where.matches(stretch.name, stretch.layer, stretch.role):
                if cell.start < start or stop < cell.stop:
                    what = f'"{source}" changes within tensors, but not where members may; raise breed.resolution'
                    raise NotInSpace(what)
                assert isinstance(rule, PipeRule), "the canonical form has no presets"
                return self._sum(source, rule.pipe, stretch, cell)
        return self._origin(blend, stretch, cell)

    def _sum(self, source: str, pipe: Sequence[StageValue], stretch: TensorSpan, cell: Cell) -> Floats:
        """Coefficients of what a pipe makes."""
        blend = self.recipe.blends[source]
        parts = Parts.of(pipe, len(blend.experts))
        if not (parts.is_affine and isinstance(parts.weigh, Weigh) and parts.scale is not None):
            others = [stage for stage in parts.stages if not isinstance(stage, Origin | Weigh | Linear | Scale)]
            other = others[0] if others else parts.reduce
            what = f'"{source}" has {other.slot}: {getattr(other, other.slot)}'
            raise NotInSpace(f"{what}, and members are weighted sums of their models")
        weights = [weight * parts.scale for weight in parts.weigh.weigh]
        share_K = np.zeros(len(self.experts))
        for weight, expert in zip(weights, blend.experts, strict=True):
            if weight:
                share_K += weight * self.share(expert, stretch, cell)
        if blend.origin is not None and not parts.from_zero:
            share_K += (1.0 - math.fsum(weights)) * self._origin(blend, stretch, cell)
        elif self.origin is not None and not parts.sums_to_one:
            what = f'weights of "{source}" do not add up to 1 and count from zero, those of members from breed.origin'
            raise NotInSpace(f"{what}; leave that out")
        return share_K

    def _origin(self, blend: Blend, stretch: TensorSpan, cell: Cell) -> Floats:
        """Coefficients of what a blend's task vectors are measured from; a tensor that no rule governs is its own."""
        if blend.origin in self.recipe.models and self.recipe.identities[blend.origin] == self.origin:
            return np.zeros(len(self.experts))
        return self.share(blend.origin or blend.experts[0], stretch, cell)

    def _model(self, name: str) -> Floats:
        """Coefficients of a model alone: none of the origin's, as long as it is not an expert as well."""
        identity, share_K = self.recipe.identities[name], np.zeros(len(self.experts))
        if identity in self.experts:
            share_K[self.experts.index(identity)] = 1.0
        elif identity != self.origin:
            raise NotInSpace(f'no member has "{name}" ({self.recipe.models[name].path}); name it in breed.experts')
        return share_K
