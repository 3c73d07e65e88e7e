"""Statistics: what is measured of a model on named data, once, and kept on disk for all recipes.

`measure` and `prefix` pass data through models and bring transformers along; to read what was measured takes neither.
"""

from evomerge.merging.statistics.store import Measurement, Readings, Stored, find
from evomerge.merging.statistics.texts import data_digest

__all__ = ["Measurement", "Readings", "Stored", "data_digest", "find"]
