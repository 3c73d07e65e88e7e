"""Gates that go by the rank of an entry's magnitude among others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import pydantic

from evomerge.recipe.numbers import Densities, Shares, of_expert
from evomerge.recipe.stages.base import StageValue
from evomerge.recipe.stages.gates import DensityGate


class RankBernoulliGate(DensityGate):
    """Keeps large entries with greater probability than small ones (MagPrune of DELLA, arXiv:2406.11617).

    Along a row the probability rises with the rank of the magnitude, evenly from `density − epsilon` to
    `density + epsilon`; a tensor without rows is one row. `epsilon` is half of the paper's window, and is cut to what
    the density leaves on either side. Probabilities are multiples of 2⁻¹⁶. Rows of one entry keep it with probability
    `density`.
    """

    joins: ClassVar[bool] = False
    is_rowwise: ClassVar[bool] = True
    is_stochastic: ClassVar[bool] = True

    gate: Literal["rank_bernoulli"]
    density: Densities
    epsilon: Shares = 0.1

    def window_of(self, expert: int) -> tuple[float, float]:
        """The least and the greatest probability for the expert at this place."""
        density = self.density_of(expert)
        half = min(of_expert(self.epsilon, expert), density, 1 - density)
        return density - half, density + half

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "random changes, large ones rather"


class BandGate(DensityGate):
    """Drops the `int(gamma · numel)` largest entries, then the smallest until `int(density · numel)` are left.

    Where that leaves too few, fewer large ones are dropped; at least one entry stays
    (Model Breadcrumbs, arXiv:2312.06795). `scope` says what is ranked together: a tensor, or each of its rows.
    """

    joins: ClassVar[bool] = False

    gate: Literal["band"]
    density: Densities
    gamma: Shares = 0.01
    scope: Literal["tensor", "row"] = "tensor"

    def places(self, expert: int, count: int) -> tuple[int, int]:
        """The places that stay in the ascending order of `count` magnitudes: from the first to before the last."""
        num_kept = max(1, int(self.density_of(expert) * count))
        first = max(0, count - num_kept - int(of_expert(self.gamma, expert) * count))
        return first, first + num_kept

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "middling changes"


class BlockGate(StageValue):
    """Keeps the `n` largest of every `m` consecutive entries of the flattened tensor (CABS, arXiv:2503.01874).

    A last block of fewer than m entries is dropped, but for tensors of fewer than m entries, which are one block.
    `owner: exclusive` lets an expert choose only among entries that no expert before it has taken.
    """

    gate: Literal["block"]
    n: int = pydantic.Field(ge=1)
    m: int = pydantic.Field(ge=1)
    owner: Literal["each", "exclusive"] = "each"

    @property
    def is_neutral(self) -> bool:
        """Whether it keeps all."""
        return self.n == self.m == 1 and self.owner == "each"

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return f"{self.n} of {self.m}" + (", each entry by one expert" if self.owner == "exclusive" else "")

    def misfit(self, experts: Sequence[str]) -> str | None:
        """A block must hold what is kept of it."""
        if self.n <= self.m:
            return None
        return f"{self.n} of every {self.m} entries cannot be kept. Give an n of at most m."


STAGES = (RankBernoulliGate, BandGate, BlockGate)
