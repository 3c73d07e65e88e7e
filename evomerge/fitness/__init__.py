"""What a merge is worth: items and their splits, lm-eval's scores on them, estimates and objectives."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from evomerge.fitness.estimators import Estimate, subset_mean
from evomerge.fitness.fitness import Fitness
from evomerge.fitness.items import ItemSplits, split_items
from evomerge.fitness.objectives import Objectives
from evomerge.fitness.spec import FitnessSpec

if TYPE_CHECKING:
    from evomerge.fitness.harness import Harness
    from evomerge.fitness.loading import load_tasks

__all__ = [
    "Estimate",
    "Fitness",
    "FitnessSpec",
    "Harness",
    "ItemSplits",
    "Objectives",
    "load_tasks",
    "split_items",
    "subset_mean",
]

_ON_DEMAND = {"Harness": "harness", "load_tasks": "loading"}


def __getattr__(name: str) -> Any:
    """These bring lm-eval and transformers along, which takes seconds, and a fitness document has no use for them."""
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(f"{__name__}.{_ON_DEMAND[name]}"), name)
