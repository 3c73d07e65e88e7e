"""Search-space files: what is refused, and in which words."""

from typing import Any

import pytest

from evomerge.documents import Tree
from evomerge.errors import ConfigError
from evomerge.spaces import parse_space

BLEND: dict[str, Any] = {
    "origin": "base",
    "experts": ["math", "ja"],
    "pipe": [{"weigh": [{"float": [0, 1.5]}, 0.5]}, {"reduce": "sum"}],
}


def space(**change: Tree) -> dict[str, Tree]:
    models = {"base": "zoo/base", "math": {"path": "zoo/math"}, "ja": "zoo/ja"}
    return {"evomerge": "space/1", "models": models, "blends": {"mix": BLEND}} | change


def problems(tree: Tree) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_space(tree, "s.yaml")
    return [str(problem) for problem in caught.value.problems]


def with_hole(hole: Tree) -> dict[str, Tree]:
    return space(blends={"mix": BLEND | {"pipe": [{"weigh": [hole, 0.5]}]}})


def test_a_good_space() -> None:
    parsed = parse_space(space(), "s.yaml")
    assert parsed.models["base"].path == "zoo/base"
    assert parsed.groups is None


@pytest.mark.parametrize(
    ("hole", "message"),
    [
        ({"float": [1, 0]}, ": [1, 0] is empty. Write [low, high] with low < high."),
        ({"float": [1, 1]}, ": [1, 1] is empty. Write [low, high] with low < high."),
        ({"float": [0, "x"]}, ".float[1]: x is not a number."),
        ({"float": [0, float("inf")]}, ".float[1]: .inf is not a finite number."),
        ({"float": [0]}, ".float: entry 2 is missing. Add it."),
        ({"float": 1}, ".float: 1 is not a list."),
        ({"float": [0, 1], "scale": "log"}, ": a log scale needs low > 0, not 0. Raise low, or drop the scale."),
        ({"float": [0, 1], "scale": "logg"}, '.scale: "logg" is not allowed. Did you mean "log"?'),
        ({"float": [0, 1], "neutral": 2}, ": neutral 2 lies outside [0, 1]."),
        ({"float": [0, 1], "neutrl": 1}, ': "neutrl" is not a known key. Did you mean "neutral"?'),
        ({"float": [0, 1], "int": [0, 1]}, ': "int" is not a known key. Allowed: float, neutral, scale.'),
        ({"int": [3, 3]}, ": [3, 3] is empty. Write [low, high] with low < high; both are included."),
        ({"int": [0, 3], "neutral": 4}, ": neutral 4 lies outside [0, 3]."),
        ({"int": [0.5, 3]}, ".int[0]: 0.5 is not a whole number."),
        ({"choice": [1]}, ".choice: 1 entries are too few. Give 2 or more."),
        ({"choice": [1, 1]}, ": [1, 1] names an option twice."),
        ({"choice": [1, 2], "neutral": 3}, ": neutral 3 is none of [1, 2]."),
        ({"choice": [1, 2], "neutral": True}, ": neutral true is none of [1, 2]."),
        ({"bool": True}, ".bool: true is not nothing. Leave it empty."),
    ],
)
def test_a_bad_hole(hole: Tree, message: str) -> None:
    assert problems(with_hole(hole)) == [f"s.yaml: blends.mix.pipe[0].weigh[0]{message}"]


def test_all_bad_holes_are_told_at_once() -> None:
    pipe = [{"gate": "top", "density": {"float": [1, 0]}}, {"weigh": [{"int": [2, 1]}, {"choice": [1]}]}]
    assert [line.split(": ")[1] for line in problems(space(blends={"mix": BLEND | {"pipe": pipe}}))] == [
        "blends.mix.pipe[0].density",
        "blends.mix.pipe[1].weigh[0]",
        "blends.mix.pipe[1].weigh[1].choice",
    ]


def test_both_ends_of_a_hole_must_make_a_recipe() -> None:
    pipe = [{"gate": "top", "density": {"float": [0, 1.4]}}]
    assert problems(space(blends={"mix": BLEND | {"pipe": pipe}})) == [
        "s.yaml: blends.mix.pipe[0].density: 0 is not above 0. A density lies in (0, 1]; "
        "to leave an expert out, give it weight 0.",
        "s.yaml: blends.mix.pipe[0].density: 1.4 is above 1. A density lies in (0, 1].",
    ]


def test_every_option_must_make_a_recipe() -> None:
    pipe = [{"vote": {"choice": ["none", "sign", "sgn"]}}]
    assert problems(space(blends={"mix": BLEND | {"pipe": pipe}})) == [
        's.yaml: blends.mix.pipe[0]: "sgn" is no kind of vote. Did you mean "sign"?'
    ]


def test_a_choice_between_a_gate_and_none_may_share_a_density() -> None:
    gate = {"gate": {"choice": ["none", "top", "bernoulli"]}, "density": {"float": [0.1, 1.0]}}
    parse_space(space(blends={"mix": BLEND | {"pipe": [gate]}}), "s.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modles": {}}, ': "modles" is not a known key. Did you mean "models"?'),
        ({"evomerge": "recipe/1"}, ': evomerge: "recipe/1" is not allowed. Allowed: space/1.'),
        ({"models": {}}, ": models: 0 entries are too few. Give 1 or more."),
        ({"models": {"base": {"digest": "x"}}}, ': models.base: "path" is missing. Add it.'),
        (
            {"models": {"base": "b", "math": "m", "ja": "j", "uniform": "u"}},
            ': models: "uniform" is what reports call something else. Give the model another name.',
        ),
        (
            {"models": {"base": "b", "math": "m", "ja": "j", "favourite": "u"}},
            ': models: "favourite" is what reports call something else. Give the model another name.',
        ),
        ({"groups": {"layers": 0}}, ": groups.layers: 0 is below 1. Give 1 or more."),
        ({"groups": {"layer": 2}}, ': groups: "layer" is not a known key. Did you mean "layers"?'),
        (
            {"groups": {"bands": [[0, 1], [1, 2]]}},
            ": groups.bands: [1, 2] does not follow what stands before it. Write [first, last], ascending.",
        ),
        (
            {"groups": {"bands": [[2, 1]]}},
            ": groups.bands: [2, 1] does not follow what stands before it. Write [first, last], ascending.",
        ),
        ({"groups": {"bands": []}}, ": groups.bands: 0 entries are too few. Give 1 or more."),
        (
            {"groups": {"layers": 2, "bands": [[0, 1]]}},
            ': groups: "layers" and "bands" both cut the layers. Keep one of them.',
        ),
        ({"groups": {"roles": ["mpl"]}}, ': groups.roles[0]: "mpl" is not allowed. Did you mean "mlp"?'),
        ({"groups": {"roles": ["mlp", "mlp"]}}, ': groups.roles: "mlp" stands twice.'),
        ({"dtype": "int8"}, ': dtype: "int8" is not allowed. Allowed: bfloat16, float16, float32.'),
        ({"tokenizer": {"from": "x"}}, ': tokenizer.from: "x" is not a model. Allowed: base, ja, math.'),
        ({"blends": {"mix": 3}}, ": blends.mix: 3 is not a mapping."),
        (
            {"blends": {}},
            ": blends: there are none. Name a blend, or say by a route which layers of which models to take.",
        ),
        ({"blends": {"mix": BLEND | {"pip": 1}}}, ': blends.mix: "pip" is not a known key. Did you mean "pipe"?'),
        (
            {"seeds": [3]},
            ": seeds: A seed is the name of a preset, or a mapping such as {use: ties, density: 0.3}.",
        ),
        (
            {"seeds": [{"use": ["ties"]}]},
            ": seeds: A seed is the name of a preset, or a mapping such as {use: ties, density: 0.3}.",
        ),
        (
            {"groups": {"layers": 2}, "blends": {"mix": {"experts": ["math"], "rules": [{"use": "linear"}]}}},
            ': "groups" repeat the genes of a "pipe", but no blend has one. Write one, or drop the groups.',
        ),
        (
            {"blends": {"mix": BLEND | {"pipe": []}}},
            ": nothing varies. Make some value of a blend a hole, such as {float: [0, 1]}, or use `evomerge export`.",
        ),
    ],
)
def test_a_bad_space(change: dict[str, Tree], message: str) -> None:
    assert problems(space(**change)) == [f"s.yaml{message}"]


def test_the_kind_of_document_must_be_said() -> None:
    tree = space()
    del tree["evomerge"]
    assert problems(tree) == ['s.yaml: "evomerge" is missing. Add it.']


def test_what_is_wrong_with_the_recipe_is_told_with_its_place_in_the_file() -> None:
    blend = BLEND | {"experts": ["math", "jaa"], "origin": "x"}
    assert problems(space(blends={"mix": blend})) == [
        's.yaml: blends.mix.origin: "x" is neither a model nor an earlier blend. Allowed: base, ja, math.',
        's.yaml: blends.mix.experts[1]: "jaa" is neither a model nor an earlier blend. Did you mean "ja"?',
    ]
