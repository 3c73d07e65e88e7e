"""Stages that inner products decide, as the factors that they come to."""

import pytest
import torch

from evomerge.merging.norms import inner_products
from evomerge.merging.resolved import is_resolvable, resolved
from evomerge.recipe.parts import Parts
from evomerge.recipe.stages import Linear, parse_stage
from evomerge.testing.stages import merged


@pytest.mark.parametrize(
    "stages",
    [
        [{"weigh": [0.5, 2.0]}, {"reduce": "sphere", "t": 0.3}],
        [{"weigh": [0.5, -1.0]}, {"reduce": "karcher"}],
        [{"vote": "sign"}, {"reduce": "mean"}, {"post": "stock"}, {"post": "scale", "by": 0.5}],
        [{"weigh": "norm", "scope": "tensor", "weights": [0.4, 0.6]}, {"reduce": "sum"}],
        [{"weigh": "norm", "scope": "tensor"}, {"reduce": "sum"}, {"post": "stock", "cosine": "measured"}],
    ],
)
def test_factors_stand_for_stages(stages: list[dict[str, object]]) -> None:
    generator = torch.Generator().manual_seed(0)
    experts = list(torch.randn(2, 5, 8, generator=generator) + 1)
    pipe = tuple(map(parse_stage, stages))
    short = resolved(Parts.of(pipe, 2), inner_products(experts))
    assert isinstance(short.reduce, Linear)
    assert not any(is_resolvable(stage, short) for stage in short.stages)
    torch.testing.assert_close(merged(tuple(short.stages), experts, None), merged(pipe, experts, None))


@pytest.mark.parametrize(
    "stages",
    [
        [{"gate": "top", "density": 0.5}, {"reduce": "karcher"}],
        [{"vote": "sign"}, {"reduce": "sphere", "t": 0.5}],
        [{"weigh": "energy"}, {"reduce": "karcher"}],
        [{"reduce": "sphere", "t": 0.5, "scope": "row"}],
        [{"post": "stock", "scope": "row"}],
    ],
)
def test_what_changes_vectors_first_is_not_resolved(stages: list[dict[str, object]]) -> None:
    parts = Parts.of(tuple(map(parse_stage, stages)), 2)
    assert not any(is_resolvable(stage, parts) for stage in parts.stages)
