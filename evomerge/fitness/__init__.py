"""What a merge is worth: items and their splits, lm-eval's scores on them, estimates and objectives."""

from evomerge.fitness.estimators import Estimate, subset_mean
from evomerge.fitness.fitness import Fitness
from evomerge.fitness.harness import Harness
from evomerge.fitness.items import ItemSplits, split_items
from evomerge.fitness.loading import load_tasks
from evomerge.fitness.objectives import Objectives
from evomerge.fitness.spec import FitnessSpec

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
