"""Alignment: a model re-coordinated towards another one before a merge, with its function unchanged."""

from evomerge.merging.alignment.alignment import Alignment, LayerAlignment, align
from evomerge.merging.alignment.blocks import FAMILIES, Blocks, Part, check_alignable
from evomerge.merging.alignment.checkpoint import LogitCheck, specs_of, write_aligned
from evomerge.merging.alignment.gauge import Gauge
from evomerge.merging.alignment.likeness import Likeness, likeness

__all__ = [
    "FAMILIES",
    "Alignment",
    "Blocks",
    "Gauge",
    "LayerAlignment",
    "Likeness",
    "LogitCheck",
    "Part",
    "align",
    "check_alignable",
    "likeness",
    "specs_of",
    "write_aligned",
]
