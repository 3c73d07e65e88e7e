"""Parts: a pipe taken apart by slot, with the neutral element where a slot is empty."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from evomerge.recipe.stages import Linear, Origin, Scale, StageValue, Weigh


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pipe does: W = O + posts(lens⁻¹(reduce(weights · vote(restore(gates(lens(W_k − O))))))).

    Attributes:
        from_zero: Whether O is zero although the blend has an origin.
        lens: The coordinates that entries are compared in; None for the tensor's own.
        gates: In order; may be none.
        restore: What is given back after the gates; None for nothing.
        vote: None where all experts may speak everywhere.
        weigh: How loudly each expert speaks.
        reduce: How the experts are brought together.
        posts: In order; may be none.
    """

    from_zero: bool
    lens: StageValue | None
    gates: tuple[StageValue, ...]
    restore: StageValue | None
    vote: StageValue | None
    weigh: StageValue
    reduce: StageValue
    posts: tuple[StageValue, ...]

    @classmethod
    def of(cls, pipe: Sequence[StageValue], num_experts: int) -> Self:
        """The parts of any pipe, canonical or not; stages that do nothing are left out."""
        slots: dict[str, list[StageValue]] = {}
        for stage in pipe:
            if not stage.is_neutral:
                slots.setdefault(stage.slot, []).append(stage)

        def one(slot: str) -> StageValue | None:
            return slots[slot][0] if slot in slots else None

        return cls(
            from_zero=isinstance(one("origin"), Origin),
            lens=one("lens"),
            gates=tuple(slots.get("gate", ())),
            restore=one("restore") if "gate" in slots else None,
            vote=one("vote"),
            weigh=one("weigh") or Weigh(weigh=(1.0,) * num_experts),
            reduce=one("reduce") or Linear(reduce="sum"),
            posts=tuple(slots.get("post", ())),
        )

    @property
    def stages(self) -> Iterator[StageValue]:
        """All stages, in order."""
        yield from ([Origin(origin="zero")] if self.from_zero else [])
        for part in (self.lens, *self.gates, self.restore, self.vote, self.weigh, self.reduce, *self.posts):
            if part is not None:
                yield part

    @property
    def needs_matrices(self) -> bool:
        """Whether some stage acts on matrices only."""
        return any(stage.on_matrices for stage in self.stages)

    @property
    def off_matrices(self) -> Parts:
        """What is left of the pipe for tensors that are no matrices: mostly their mean where a reducer cannot act."""
        posts = tuple(post for post in self.posts if not post.on_matrices)
        return dataclasses.replace(
            self,
            lens=None if self.lens and self.lens.on_matrices else self.lens,
            gates=tuple(gate for gate in self.gates if not gate.on_matrices),
            restore=None if self.restore and self.restore.on_matrices else self.restore,
            reduce=self._elsewhere if self.reduce.on_matrices else self.reduce,
            posts=posts if self.reduce.elsewhere != "origin" else (Scale(post="scale", by=0.0),),
        )

    @property
    def _elsewhere(self) -> Linear:
        return Linear(reduce="mean" if self.reduce.elsewhere == "mean" else "sum")

    @property
    def off_factors(self) -> Parts:
        """What is left of the pipe for tensors that adapters bring whole: their mean where a reducer wants factors."""
        return dataclasses.replace(self, reduce=Linear(reduce="mean")) if self.reduce.on_factors else self

    @property
    def scale(self) -> float | None:
        """Product of the posts where they are scales; None where there are others."""
        factors = [post.by for post in self.posts if isinstance(post, Scale)]
        return math.prod(factors) if len(factors) == len(self.posts) else None

    @property
    def sums_to_one(self) -> bool:
        """Whether the origin cancels in O + Σ w_k (W_k − O), up to the rounding of the weights."""
        weights = [weight * (self.scale or 0.0) for weight in self.weigh.weigh] if isinstance(self.weigh, Weigh) else []
        return math.isclose(math.fsum(weights), 1.0, rel_tol=0, abs_tol=1e-8 * math.fsum(map(abs, weights)))

    @property
    def is_affine(self) -> bool:
        """Whether the result is a fixed weighted sum of the experts and the origin, the same at every entry."""
        is_sum = isinstance(self.reduce, Linear) and self.reduce.reduce == "sum" and isinstance(self.weigh, Weigh)
        return is_sum and not self.gates and self.vote is None and self.lens is None and self.scale is not None
