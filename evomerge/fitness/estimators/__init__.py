"""Estimators: a task's score, and how well it is known, from the answers to some of its items."""

from evomerge.fitness.estimators.base import Estimate, Estimator, Scores
from evomerge.fitness.estimators.means import subset_mean

__all__ = ["Estimate", "Estimator", "Scores", "subset_mean"]
