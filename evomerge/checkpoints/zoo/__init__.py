"""A zoo of tiny language models, trained here, whose merge has a skill that none of them has."""

from evomerge.checkpoints.zoo.build import build_zoo
from evomerge.checkpoints.zoo.plan import FULL, MICRO, Course, Progress, ZooPlan

__all__ = ["FULL", "MICRO", "Course", "Progress", "ZooPlan", "build_zoo"]
