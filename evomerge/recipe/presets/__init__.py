"""Presets: published merge methods by name, each a macro that expands to a pipe of stages."""

from __future__ import annotations

from typing import get_args

from evomerge.recipe.presets import (
    adapters,
    averages,
    calibrated,
    consensus,
    distances,
    mergekit_arithmetic,
    mergekit_others,
    sparse,
    spectral,
    spherical,
)
from evomerge.recipe.presets.base import PresetValue

__all__ = ["PRESETS", "PresetValue"]

_ROOMS = (
    averages,
    spherical,
    sparse,
    consensus,
    distances,
    spectral,
    adapters,
    calibrated,
    mergekit_arithmetic,
    mergekit_others,
)

PRESETS: dict[str, type[PresetValue]] = {
    name: kind for room in _ROOMS for kind in room.PRESETS for name in get_args(kind.model_fields["use"].annotation)
}
"""Every preset by its name."""
