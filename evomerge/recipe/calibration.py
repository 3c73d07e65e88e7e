"""Calibration: the data on which statistics of a model are measured, and what the statistics are."""

from __future__ import annotations

from typing import Literal, TypeAlias

import pydantic

from evomerge.documents import Tree, Value

StatisticKind: TypeAlias = Literal[
    "gram", "act_mean", "act_sq", "fisher", "grad_sens", "grad_median", "grad_gram", "merged_gram"
]
"""What can be measured; `STATISTICS` says what each is."""

STATISTICS: dict[StatisticKind, str] = {
    "gram": "mean over tokens of x xᵀ, x what a linear map reads",
    "act_mean": "mean over tokens of |x|, x what a linear map reads",
    "act_sq": "mean over tokens of x², x what a linear map reads",
    "fisher": "mean over texts of the squared gradient of the loss",
    "grad_sens": "mean over texts of the sum of |weight · gradient| in a layer, of norm 1 over all layers",
    "grad_median": "median over texts of the gradient's magnitude",
    "grad_gram": "mean over tokens of g gᵀ, g the gradient at what a linear map gives",
}
"""Every statistic that is measured once and stored, by its name."""

PER_CANDIDATE: tuple[StatisticKind, ...] = ("merged_gram",)
"""Statistics that depend on the recipe and are measured anew for each: `gram` behind layers that are merged already."""

FROM_INPUTS: tuple[StatisticKind, ...] = ("gram", "act_mean", "act_sq", "merged_gram")
"""Statistics that need no gradients."""


class Calibration(Value):
    """Texts on which one model is measured, the first ones of a file.

    Attributes:
        data: A file with one text per line, or a .jsonl file whose lines have a `text`.
        digest: `sha256:` of the file; filled in when it is first read.
        samples: How many texts.
        tokens: How many tokens of each text.
        labels: Where gradients come from: the texts' own next tokens (empirical Fisher) or next tokens drawn from
            what the model predicts (true Fisher).
        seed: Of those draws.
    """

    data: str
    digest: str | None = None
    samples: int = pydantic.Field(default=256, ge=1)
    tokens: int = pydantic.Field(default=512, ge=2)
    labels: Literal["data", "sampled"] = "data"
    seed: int = 0

    def identity(self, kind: StatisticKind) -> dict[str, Tree]:
        """What tells a statistic of this kind from others of the same model, and nothing that makes no difference."""
        identity: dict[str, Tree] = {"kind": kind, "data": self.digest or f"path:{self.data}"}
        identity |= {"samples": self.samples, "tokens": self.tokens}
        if kind in FROM_INPUTS:
            return identity
        return identity | {"labels": self.labels} | ({"seed": self.seed} if self.labels == "sampled" else {})
