"""Responses by model and item, wherever they come from, as the matrix that a bank is fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evomerge.fitness.irt.model import Floats


class ResponseStore:
    """What models answered, by the digests of items. A model that is added twice is one; new answers count."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._rows: dict[str, dict[str, float]] = {}
        self._names: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, name: str, digest: str, scores: Mapping[str, float]) -> None:
        """Take in answers of one model.

        Args:
            name: Of the model, by which the first who adds it calls it.
            digest: What tells it from others; empty where only the name does.
            scores: In [0, 1], 1 for right, by the items' digests. None at all are not kept.
        """
        if scores:
            key = digest or f"name:{name}"
            self._rows.setdefault(key, {}).update(scores)
            self._names.setdefault(key, name)

    def matrix(self, items: Sequence[str]) -> tuple[tuple[str, ...], dict[str, Floats]]:
        """The answers on some items.

        Returns:
            Those of the items that anybody answered, in their order; and the scores on them of every model that
            answered any, by its name, float64, NaN where it was not asked.
        """
        asked = frozenset[str]().union(*self._rows.values())
        kept = tuple(item for item in items if item in asked)
        rows = {
            self._names[key]: np.array([scores.get(item, np.nan) for item in kept], np.float64)
            for key, scores in self._rows.items()
        }
        return kept, {name: row_N for name, row_N in rows.items() if not np.isnan(row_N).all()}

    def digests(self) -> dict[str, str]:
        """What tells each model from others, by its name; empty where only the name does."""
        return {name: "" if key == f"name:{name}" else key for key, name in self._names.items()}
