"""Finite numbers: merged tensors that hold others are refused, with the model that is to blame."""

from __future__ import annotations

import math

import torch

from evomerge.errors import CandidateFailed, ConfigError, Problem
from evomerge.merging.library import Library
from evomerge.merging.merge import Merge
from evomerge.recipe import Recipe


def merge_finite(merge: Merge, name: str, place: torch.Tensor, recipe: Recipe, library: Library) -> None:
    """Overwrite a tensor with the result's, none of whose numbers is NaN or infinite.

    Models are looked into only where the result is not finite, or could not be computed for that reason.

    Args:
        merge: Of the recipe.
        name: The result's tensor.
        place: Of its dtype and shape.
        recipe: What is merged.
        library: Where its models are opened.

    Raises:
        ConfigError: If a number is not finite.
        CandidateFailed: If the models' tensors do not fit together.
    """
    try:
        merge.into(name, place)
    except (
        CandidateFailed,
        ArithmeticError,
        RuntimeError,
        ValueError,
    ):  # what decompositions and comparisons make of NaN
        _check_sources(name, recipe, library)
        raise
    if not is_finite(place):
        _check_sources(name, recipe, library)
        dtype = str(place.dtype).removeprefix("torch.")
        what = f"tensor {name} of the result is not finite in {dtype}, though it is in every model."
        raise ConfigError.at("recipe", f"{what} Use smaller weights, or a dtype with a wider range.")


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether no number is NaN or infinite."""
    # one fast pass: a sum is not finite where a number is not, and seldom elsewhere
    return math.isfinite(tensor.sum().item()) or bool(torch.isfinite(tensor).all())


def _check_sources(name: str, recipe: Recipe, library: Library) -> None:
    """Refuse models with numbers that are not finite in this tensor or, as scopes reach further, in any other."""
    opened = library.open_all(recipe.models)
    others = {other for checkpoint in opened.values() for other in checkpoint.names if other != name}
    for each in (name, *sorted(others)):
        what = f"tensor {each} holds NaN or infinite numbers. Leave the model out, or download it again."
        ConfigError.raise_if_any(
            Problem(f"models.{model}", f"{checkpoint.folder}: {what}")
            for model, checkpoint in opened.items()
            if each in checkpoint.files and not is_finite(checkpoint.tensor(each))
        )
