"""Made-up statistics of models that do not exist, for tests of the stages that read some."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch

from evomerge.merging.site import Reading, Statistics
from evomerge.recipe.calibration import FROM_INPUTS, StatisticKind


def statistics_of(models: Sequence[str], shape: torch.Size) -> Statistics:
    """Random statistics of experts and their origin, the same whenever asked for.

    Args:
        models: What tells the experts from others.
        shape: Of the tensor.
    """

    def statistic(kind: StatisticKind, place: int | None) -> Reading | None:
        return made_up(kind, "origin" if place is None else models[place], shape)

    return statistic


def made_up(kind: StatisticKind, model: str, shape: torch.Size) -> Reading | None:
    """A random statistic of a model at a tensor of this shape; None where that kind is not measured."""
    if len(shape) != 2 and (kind in FROM_INPUTS or kind == "grad_gram"):
        return None
    generator = torch.Generator().manual_seed(zlib.crc32(f"{kind}|{model}".encode()))
    size = shape[0 if kind == "grad_gram" else 1] if len(shape) == 2 else 0
    if kind.endswith("gram"):
        read = torch.randn(3 * size, size, generator=generator)
        values = read.T @ read / len(read)
    elif kind in ("act_mean", "act_sq"):
        values = torch.rand(size, generator=generator)
    else:
        values = torch.rand(() if kind == "grad_sens" else shape, generator=generator)
    return Reading(values, float(values.mean()), float(values.norm()))
