"""What is redundant in a pipe, and what only looks it."""

from typing import Any

import pytest
import torch

from evomerge.recipe.canonical import canonical_pipe
from evomerge.recipe.stages import parse_stage
from evomerge.testing.stages import merged


def pipe_of(*stages: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(map(parse_stage, stages))


def form(*stages: dict[str, Any]) -> tuple[Any, ...]:
    return canonical_pipe(pipe_of(*stages), 2, has_origin=True)


@pytest.mark.parametrize(
    "stages",
    [
        [{"gate": "top", "density": [1.0, 0.3]}, {"restore": "std"}, {"weigh": [1, 0]}],
        [{"gate": "bernoulli", "density": 1e-6}, {"restore": "inverse"}, {"weigh": [1, 0.5]}],
        [{"vote": "sign"}, {"weigh": [1, 0.5]}, {"post": "scale", "by": 0}],
    ],
)
def test_the_canonical_form_gives_the_same_tensors(stages: list[dict[str, Any]]) -> None:
    *experts, origin = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        merged(form(*stages), experts, origin), merged(pipe_of(*stages), experts, origin), rtol=1e-5, atol=1e-5
    )


def test_a_factor_stands_in_the_weights_and_its_sign_outside() -> None:
    """Where the sign would turn a weighted vote around."""
    vote = {"vote": "sign"}
    one = form(vote, {"weigh": [1, 0.5]}, {"post": "scale", "by": -2})
    assert one == form(vote, {"weigh": [2, 1]}, {"post": "scale", "by": -1})
    assert one != form(vote, {"weigh": [2, 1]})
