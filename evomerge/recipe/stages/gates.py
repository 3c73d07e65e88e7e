"""Gates: which entries of one expert's task vector are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from evomerge.recipe.numbers import Densities, of_expert
from evomerge.recipe.stages.base import StageValue


class NoGate(StageValue):
    """Keeps every entry. A density may stand beside it without effect, so that a hole can choose a gate or none."""

    gate: Literal["none"]
    density: Densities | None = None

    @property
    def is_neutral(self) -> bool:
        """It does nothing."""
        return True


class DensityGate(StageValue):
    """A gate that keeps more with greater density, and which density 1 switches off.

    Attributes:
        joins: Whether two of a kind, one after the other, do what the stricter of them does alone.
    """

    joins: ClassVar[bool] = True

    gate: str
    density: Densities

    @property
    def is_neutral(self) -> bool:
        """Whether it keeps all."""
        densities = self.density if isinstance(self.density, tuple) else (self.density,)
        return all(density == 1.0 for density in densities)

    def density_of(self, expert: int) -> float:
        """The density for the expert at this place."""
        return of_expert(self.density, expert)


class TopGate(DensityGate):
    """Keeps the `int(density · numel)` entries of largest magnitude, at least one, per tensor or over the whole model.

    `scope: model` takes all tensors of the rule together, as TIES (arXiv:2306.01708) trims; mergekit trims per tensor.
    `ties: keep` keeps all entries that equal the smallest kept one, `first` those that come first in their tensor, so
    many as asked.
    """

    gate: Literal["top"]
    density: Densities
    scope: Literal["tensor", "model"] = "tensor"
    ties: Literal["keep", "first"] = "keep"

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "largest changes" + (" of the model" if self.scope == "model" else "")

    def misfit(self, experts: Sequence[str]) -> str | None:
        """Tensors of a model have no order in which ties could be first."""
        if self.scope == "tensor" or self.ties == "keep":
            return None
        return '"ties: first" counts in one tensor, "scope: model" in all of them. Leave one of them out.'


class BernoulliGate(DensityGate):
    """Keeps each entry with probability `density`, as DARE (arXiv:2311.03099) does.

    The draw of an entry depends on the blend's seed, the expert and the tensor alone; masks are nested in density.
    Probabilities are multiples of 2⁻¹⁶, and at least that.
    """

    is_entrywise: ClassVar[bool] = True
    is_stochastic: ClassVar[bool] = True

    gate: Literal["bernoulli"]
    density: Densities

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "random changes"


STAGES = (NoGate, TopGate, BernoulliGate)
