"""Where a rule acts."""

from typing import Any

import pytest

from evomerge.recipe.where import Where


@pytest.mark.parametrize(
    ("where", "matched"),
    [
        ({}, True),
        ({"layers": [3, 3]}, True),
        ({"layers": [0, 3]}, True),
        ({"layers": [4, 9]}, False),
        ({"roles": ["mlp"]}, True),
        ({"roles": ["attention", "norm"]}, False),
        ({"names": ["*.mlp.*"]}, True),
        ({"names": ["*.MLP.*", "lm_head.*"]}, False),
        ({"layers": [3, 3], "roles": ["mlp"], "names": ["*.weight"]}, True),
        ({"layers": [3, 3], "roles": ["norm"], "names": ["*.weight"]}, False),
    ],
)
def test_all_that_is_given_must_hold(where: dict[str, Any], matched: bool) -> None:
    assert Where.model_validate(where).matches("model.layers.3.mlp.up_proj.weight", 3, "mlp") is matched


def test_what_lies_outside_the_layers_is_in_no_range_of_them() -> None:
    assert not Where(layers=(0, 99)).matches("model.norm.weight", None, "norm")
    assert Where(roles=("norm",)).matches("model.norm.weight", None, "norm")


@pytest.mark.parametrize(
    ("one", "other", "met"),
    [
        ({}, {"layers": [3, 4]}, True),
        ({"layers": [0, 3]}, {"layers": [3, 4]}, True),
        ({"layers": [0, 2]}, {"layers": [3, 4]}, False),
        ({"layers": [0, 3], "roles": ["mlp"]}, {"layers": [0, 3], "roles": ["norm"]}, False),
    ],
)
def test_whether_two_may_mean_one_tensor(one: dict[str, Any], other: dict[str, Any], met: bool) -> None:
    first, second = Where.model_validate(one), Where.model_validate(other)
    assert first.may_meet(second) is second.may_meet(first) is met
