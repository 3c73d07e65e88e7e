"""The value of a parameter at one tensor."""

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.documents import Tree
from evomerge.recipe.mergekit.parameters import NotThatKind, at, resolve, typed
from evomerge.recipe.mergekit.settings import Settings

SETTINGS: pydantic.TypeAdapter[Settings] = pydantic.TypeAdapter(Settings)


def value(*scopes: dict[str, Tree], tensor: str = "model.layers.3.mlp.up_proj.weight", t: float = 0.0) -> Tree:
    parsed = [((place,), SETTINGS.validate_python(scope)) for place, scope in enumerate(scopes)]
    found = resolve("weight", "number", parsed, tensor, t)
    return found and found.value


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.floats(0, 1))
def test_a_gradient_is_plain_interpolation(points: list[float], t: float) -> None:
    expected = np.interp(t, np.linspace(0, 1, len(points)), points) if len(points) > 1 else points[0]
    assert at(points, t) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("t", "expected"), [(0.0, True), (0.49, True), (0.5, False), (0.99, False), (1.0, True)])
def test_truth_values_hold_up_to_the_next(t: float, expected: bool) -> None:
    assert at([True, False, True], t) is expected


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ([{"weight": 1}, {"weight": 2}], 1),
        ([{}, {"weight": 2}, {"weight": 3}], 2),
        ([{"density": 1}, {}], None),
        ([{"weight": {"filter": "attn", "value": 1}}, {"weight": 2}], 2),
        ([{"weight": [{"filter": "attn", "value": 1}]}, {"weight": [{"filter": "mlp", "value": 2}]}], 2),
        ([{"weight": [{"filter": "mlp", "value": 1}, {"filter": "up_proj", "value": 2}]}], 1),
        ([{"weight": [{"filter": "up_proj", "value": 2}, {"filter": "mlp", "value": 1}, {"value": 3}]}], 2),
        ([{"weight": [{"filter": "*", "value": 4}, {"filter": "mlp", "value": 1}]}], 4),
        ([{"weight": {"filter": "layers.3", "value": 5}}], 5),
        ([{"weight": {"filter": "m*p", "value": 5}}, {"weight": 6}], 6),
        ([{"weight": "1e-3"}], 1e-3),
        ([None, {"weight": 7}], 7),
    ],
)
def test_the_nearest_scope_with_a_matching_filter_decides(
    scopes: list[dict[str, Tree]], expected: float | None
) -> None:
    assert value(*scopes) == expected


def test_a_place_leads_to_the_value() -> None:
    scope = SETTINGS.validate_python({"weight": [{"filter": "attn", "value": 1}, {"value": [2, 3]}]})
    found = resolve("weight", "number", [(("models", 0, "parameters"), scope)], "mlp", 1.0)
    assert found is not None
    assert (found.value, found.place) == (3, ("models", 0, "parameters", "weight", 1, "value"))


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ("much", "number", "much is not a number."),
        (True, "number", "true is not"),
        (0.5, "flag", "0.5 is neither true"),
    ],
)
def test_values_of_another_kind(given: Tree, kind: Tree, message: str) -> None:
    with pytest.raises(NotThatKind, match=message):
        typed(given, kind)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([], "an empty list is no gradient"),
        ({"filter": "mlp"}, '"value" is missing'),
        ({"filter": 3, "value": 1}, "3 is no filter"),
        ({"fliter": "mlp", "value": 1}, '"fliter" is not a known key. Allowed: filter, value.'),
        ([{"value": 1}, 2], "2 stands among filters"),
        ([[1, 2]], "is neither a number, a truth value nor a text"),
        ({"value": [{}]}, "is neither a number, a truth value nor a text"),
    ],
)
def test_settings_that_cannot_be_read(tree: Tree, message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        SETTINGS.validate_python({"weight": tree})
