"""Faults: what is wrong with a file, gathered by key so that all of it is told at once."""

from __future__ import annotations

from evomerge.documents import key
from evomerge.errors import ConfigError, Problem
from evomerge.recipe.mergekit.settings import Place


class Faults:
    """Problems of one file, each told once, in the order of their discovery."""

    def __init__(self, where: str) -> None:
        """Begin with none.

        Args:
            where: The file's name.
        """
        self.where = where
        self._found: dict[Problem, None] = {}

    def at(self, place: Place) -> str:
        """The file and the key, as a person would look for it."""
        return f"{self.where}: {key(place)}" if place else self.where

    def add(self, place: Place, what: str) -> None:
        """Note what is wrong at a key."""
        self._found[Problem(self.at(place), what)] = None

    def include(self, error: ConfigError) -> None:
        """Note the problems of an error."""
        self._found |= dict.fromkeys(error.problems)

    def raise_if_any(self) -> None:
        """Tell all of them together.

        Raises:
            ConfigError: If there is one.
        """
        ConfigError.raise_if_any(self._found)
