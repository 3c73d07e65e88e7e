"""Parts: a pipe taken apart by slot, with the neutral element where a slot is empty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from evomerge.recipe.stages import (
    BernoulliGate,
    Linear,
    Origin,
    Restore,
    Scale,
    Sphere,
    StageValue,
    TopGate,
    Vote,
    Weigh,
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pipe does: W = O + scale · reduce(weights · vote(restore(gates(W_k − O)))).

    Attributes:
        from_zero: Whether O is zero although the blend has an origin.
        gates: In order; may be none.
        restore: What is given back after the gates.
        vote: None where all experts may speak everywhere.
        weights: One per expert.
        reduce: How the experts are brought together.
        scale: Product of all scales.
    """

    from_zero: bool
    gates: tuple[TopGate | BernoulliGate, ...]
    restore: Literal["none", "inverse", "l1"]
    vote: Vote | None
    weights: tuple[float, ...]
    reduce: Linear | Sphere
    scale: float

    @classmethod
    def of(cls, pipe: Sequence[StageValue], num_experts: int) -> Self:
        """The parts of any pipe, canonical or not."""
        return cls(
            from_zero=any(isinstance(stage, Origin) and stage.origin == "zero" for stage in pipe),
            gates=tuple(stage for stage in pipe if isinstance(stage, TopGate | BernoulliGate)),
            restore=next((stage.restore for stage in pipe if isinstance(stage, Restore)), "none"),
            vote=next((stage for stage in pipe if isinstance(stage, Vote) and stage.vote != "none"), None),
            weights=next((stage.weigh for stage in pipe if isinstance(stage, Weigh)), (1.0,) * num_experts),
            reduce=next((stage for stage in pipe if isinstance(stage, Linear | Sphere)), Linear(reduce="sum")),
            scale=math.prod(stage.by for stage in pipe if isinstance(stage, Scale)),
        )

    @property
    def is_affine(self) -> bool:
        """Whether the result is a fixed weighted sum of the experts and the origin, the same at every entry."""
        is_sum = isinstance(self.reduce, Linear) and self.reduce.reduce == "sum"
        return is_sum and not self.gates and self.vote is None
