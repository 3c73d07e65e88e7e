"""Execution: carries jobs to workers and brings outcomes back."""

from evomerge.execution.job import Executor, Items, Job, Outcome, Responses

__all__ = ["Executor", "Items", "Job", "Outcome", "Responses"]
