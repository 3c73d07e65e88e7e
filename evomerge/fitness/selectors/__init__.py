"""Selectors: which items of a task a candidate is asked."""

from evomerge.fitness.selectors.base import Selector, collect

__all__ = ["Selector", "collect"]
