"""In place: a tensor of the result written piece by piece is the one that is computed whole, whatever came before."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from evomerge.merging import Library, Merge
from evomerge.recipe import Recipe

MakeRecipe = Callable[..., Recipe]
RAMP = {"post": "ramp", "alpha": 0.5, "beta": 0.5}  # no compiled loop is made for it

PIPES = [
    [{"origin": "zero"}, {"reduce": "sphere", "t": 0.3}, RAMP],
    [{"origin": "zero"}, {"gate": "top", "density": 0.3}, RAMP],
    [{"vote": "sign", "zero": "majority"}, {"weigh": "divergence"}, {"reduce": "mean"}],
    [{"vote": "sign", "zero": "majority"}, {"weigh": "norm", "scope": "tensor"}, {"reduce": "mean"}],
]


@pytest.mark.parametrize("pipe", PIPES)
@pytest.mark.parametrize("is_fused", [False, True])
def test_as_computed_whole(recipe_of: MakeRecipe, tied_zoo: Path, pipe: list[dict[str, Any]], is_fused: bool) -> None:
    recipe, library = recipe_of({"pipe": pipe}, zoo=tied_zoo, dtype="float32"), Library(is_fused=is_fused)
    whole = Merge(recipe, Library())
    for name in reversed(whole.names):
        for _ in range(2):  # computed, and from what is remembered
            rounded = Merge(recipe, library).rounded(name)
            torch.testing.assert_close(rounded, whole.tensor(name), rtol=1e-5, atol=1e-5)
