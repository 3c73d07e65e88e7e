"""Statistics: what is measured of a model on named data, once, and kept on disk for all recipes."""

from evomerge.merging.statistics.measure import Progress, calibrate
from evomerge.merging.statistics.prefix import Prefix, Rig
from evomerge.merging.statistics.store import Measurement, Readings, Stored, find
from evomerge.merging.statistics.texts import data_digest

__all__ = ["Measurement", "Prefix", "Progress", "Readings", "Rig", "Stored", "calibrate", "data_digest", "find"]
