"""Routes in recipes: one spelling for what gives the same layers, and refusal of what gives none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.documents import Tree, parse, tree_of
from evomerge.errors import ConfigError
from evomerge.recipe import Recipe
from evomerge.recipe.route import Hop, Route, Segment, hops_of, joined, kin_of

DEPTH = 6
MIX: Tree = {"origin": "base", "experts": ["math", "ja"], "pipe": [{"weigh": [0.5, 0.7]}, {"reduce": "sum"}]}
COPY: Tree = {"origin": "base", "experts": ["math"], "pipe": [{"weigh": [1.0]}, {"reduce": "sum"}]}


def recipe(layers: int | None = DEPTH, **rest: Tree) -> Recipe:
    models = {n: {"path": n, "digest": n} | ({"layers": layers} if layers else {}) for n in ("base", "math", "ja")}
    return parse(Recipe, {"models": models, **rest}, "r.yaml")


def routed(*route: Tree, **rest: Any) -> Recipe:
    return recipe(**{"blends": {"mix": MIX}, "route": [*route], **rest})


HOPS = st.lists(
    st.builds(
        Hop,
        st.sampled_from(["mix", "math"]),
        st.integers(0, DEPTH - 1),
        st.sampled_from([1.0, 0.5, 0.0, -2.0]),
        st.sampled_from([1.0, -1.0]),
    ),
    min_size=1,
    max_size=12,
)


def segments_of(hops: list[Hop]) -> Route:
    """In as few segments as can be."""
    return joined(Segment.of(hop.source, (hop.layer, hop.layer), hop.write, hop.read) for hop in hops)


@given(HOPS)
def test_segments_are_their_hops(hops: list[Hop]) -> None:
    segments = segments_of(hops)
    assert list(hops_of(segments, {"mix": DEPTH, "math": DEPTH})) == hops
    assert len(segments) <= len(hops)


@given(HOPS, st.data())
def test_however_a_route_is_cut_it_has_one_digest(hops: list[Hop], data: st.DataObject) -> None:
    """Layer by layer, or with some neighbours together and factors of 1 spelt out."""
    one_by_one = routed(*(tree_of(Segment.of(hop.source, (hop.layer, hop.layer), hop.write, hop.read)) for hop in hops))
    whole = [*map(tree_of, segments_of(hops))]
    spelt = [{"write": 1.0} | part if data.draw(st.booleans()) else part for part in whole]
    assert one_by_one.digest == routed(*spelt).digest
    assert one_by_one.canonical.canonical == one_by_one.canonical


@given(HOPS, HOPS)
def test_other_layers_have_another_digest(hops: list[Hop], others: list[Hop]) -> None:
    digests = [routed(*map(tree_of, segments_of(some))).digest for some in (hops, others)]
    assert (digests[0] == digests[1]) == (hops == others)


@pytest.mark.parametrize(
    "route",
    [
        [{"from": "mix"}],
        [{"from": "mix", "layers": [0, 5]}],
        [{"from": "mix", "layers": [0, 2], "write": 1}, {"from": "mix", "layers": [3, 5]}],
        [{"from": "mix", "layers": [0, 5], "write": 1.00000000001}],
    ],
)
def test_the_results_own_layers_are_no_route(route: list[Tree]) -> None:
    plain = recipe(blends={"mix": MIX})
    ends = {"embeddings": "mix", "norm": "mix", "head": "mix"}
    assert routed(*route).digest == routed(*route, ends=ends).digest == plain.digest
    assert routed(*route).canonical.route is None


def test_without_the_depth_all_layers_are_known_by_leaving_them_out() -> None:
    plain = recipe(None, blends={"mix": MIX})
    assert routed({"from": "mix"}, layers=None).digest == plain.digest
    assert routed({"from": "mix", "layers": [0, 5]}, layers=None).digest != plain.digest


def test_a_blend_that_is_a_model_is_that_model() -> None:
    blends = {"copy": COPY, "mix": MIX}
    parts = [{"from": "mix", "layers": [0, 2]}, {"from": "math", "layers": [2, 2]}]
    copied = routed(*parts, {"from": "copy", "layers": [3, 3]}, blends=blends)
    direct = routed(*parts, {"from": "math", "layers": [3, 3]})
    assert copied.digest == direct.digest
    assert list(copied.canonical.blends) == ["mix"]


def test_a_model_alone_by_route_and_by_blend() -> None:
    alone = {"experts": ["math"], "pipe": [{"weigh": [1.0]}, {"reduce": "mean"}]}
    assert recipe(route=[{"from": "math"}]).digest == recipe(blends={"one": alone}).digest
    assert recipe(route=[{"from": "math", "layers": [0, 5]}]).digest == recipe(blends={"one": alone}).digest


def test_ends_tell_recipes_apart_and_give_the_donor() -> None:
    plain, other = routed({"from": "mix"}), routed({"from": "mix"}, ends={"head": "math"})
    assert plain.digest != other.digest
    assert other.donor == "base"
    assert routed({"from": "mix"}, ends={"embeddings": "ja"}).donor == "ja"
    assert recipe(route=[{"from": "ja", "layers": [1, 1]}, {"from": "math", "layers": [1, 1]}]).donor == "ja"


def test_a_sign_of_what_the_last_norm_reads_tells_recipes_apart() -> None:
    plain, whole = routed({"from": "mix"}), {"from": "mix", "layers": [0, 5]}
    assert plain.digest == routed(whole, ends={"read": 1}).digest
    turned = routed(whole, ends={"read": -1})
    assert turned.digest not in (plain.digest, routed(whole, ends={"head": "math"}).digest)
    assert (turned.canonical.route, turned.canonical.canonical) == (None, turned.canonical)
    assert recipe(route=[{"from": "math"}], ends={"read": -1}).digest != recipe(route=[{"from": "math"}]).digest


def test_recipes_without_reads_have_the_digests_that_they_had_before_there_were_any() -> None:
    parts = [{"from": "mix", "layers": [0, 3]}, {"from": "math", "layers": [2, 5], "write": 0.5}]
    expected = "c408649b8dff5e3734aa163d24a92d8cdc65a8a113c35e71be810f1ec28a2f47"
    assert routed(*parts, ends={"head": "math"}).digest == expected


def test_blends_that_no_layer_comes_from_are_dropped() -> None:
    blends = {"unused": COPY, "mix": MIX, "late": MIX | {"experts": ["ja", "math"]}}
    ends = {"embeddings": "mix", "norm": "mix", "head": "mix"}
    assert list(routed({"from": "mix", "layers": [1, 2]}, blends=blends, ends=ends).canonical.blends) == ["mix"]
    assert list(routed({"from": "mix", "layers": [1, 2]}, blends=blends).canonical.blends) == ["mix", "late"]


def with_rules(*weights: float, last: Tree) -> Tree:
    rules = [
        {"where": {"layers": [n, n]}, "pipe": [{"weigh": [w, w]}, {"reduce": "sum"}]} for n, w in enumerate(weights)
    ]
    return {"origin": "base", "experts": ["math", "ja"], "rules": [*rules, last]}


def test_rules_for_layers_that_are_not_taken_do_not_matter() -> None:
    last: Tree = {"pipe": [{"weigh": [0.5, 0.2]}, {"reduce": "sum"}]}
    one, other = (
        routed({"from": "mix", "layers": [1, 2]}, blends={"mix": with_rules(first, 0.3, 0.4, last=last)}).digest
        for first in (0.1, 0.2)
    )
    assert one == other
    assert one != routed({"from": "mix", "layers": [0, 1]}, blends={"mix": with_rules(0.1, 0.3, 0.4, last=last)}).digest


@pytest.mark.parametrize(("layers", "is_kept"), [([0, 1], False), ([0, 2], True), ([3, 5], True), ([4, 5], False)])
def test_a_rule_for_some_of_the_layers_that_are_taken_is_kept(layers: list[int], is_kept: bool) -> None:
    rule = {"where": {"layers": layers}, "pipe": [{"weigh": [0.1, 0.2]}, {"reduce": "sum"}]}
    blend = {**MIX, "pipe": None, "rules": [rule, {"pipe": MIX["pipe"]}]}
    kept = routed({"from": "mix", "layers": [2, 3]}, blends={"mix": blend}).canonical.blends["mix"]
    assert len(kept.rules) == 1 + is_kept


def test_rules_that_look_at_all_tensors_keep_those_before_them() -> None:
    """TIES over the model trims by the magnitudes of all tensors that no rule before it takes."""
    last: Tree = {"pipe": [{"gate": "top", "density": 0.3, "scope": "model"}, {"weigh": [0.5, 0.2]}, {"reduce": "sum"}]}
    blend = with_rules(0.1, 0.3, last=last)
    kept = routed({"from": "mix", "layers": [2, 3]}, blends={"mix": blend}).canonical.blends["mix"]
    assert len(kept.rules) == 3


def test_what_is_measured_behind_merged_layers_keeps_the_rules_for_those() -> None:
    """RegMean++ reads what the layers before make of the data, taken or not."""
    last: Tree = {"pipe": [{"reduce": "metric", "inputs": "merged"}]}
    data = {name: {"data": f"{name}.jsonl", "digest": name} for name in ("math", "ja")}
    one, other = (
        routed({"from": "mix", "layers": [2, 3]}, blends={"mix": with_rules(0.1, w, last=last)}, calibration=data)
        for w in (0.2, 0.9)
    )
    assert one.digest != other.digest


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (
            {"route": [{"from": "mx"}]},
            'r.yaml: route[0].from: "mx" is neither a model nor a blend. Did you mean "mix"?',
        ),
        ({"route": []}, "r.yaml: route: has no segment. Name at least one, or leave the route out."),
        ({"ends": {"head": "moth"}}, 'r.yaml: ends.head: "moth" is neither a model nor a blend. Did you mean "math"?'),
        ({"ends": {"tail": "mix"}}, 'r.yaml: ends: "tail" is not a known key. Allowed: embeddings, head, norm, read.'),
        ({"ends": {"read": 2}}, "r.yaml: ends.read: 2 is neither 1 nor -1. The last norm hears a sign and no more."),
        (
            {"route": [{"from": "mix", "layers": [0, 6]}]},
            "r.yaml: route[0].layers: layer 6 does not exist: the last layer of mix is 5.",
        ),
        (
            {"route": [{"from": "mix", "layers": [3, 2]}]},
            "r.yaml: route[0].layers: [3, 2] is not a range. Write [first, last] with 0 <= first <= last.",
        ),
        (
            {"route": [{"from": "mix", "write": "loud"}]},
            "r.yaml: route[0].write: loud is not a number.",
        ),
        (
            {"route": [{"from": "mix", "scale": 1}]},
            'r.yaml: route[0]: "scale" is not a known key. Allowed: from, layers, read, write.',
        ),
    ],
)
def test_a_bad_route(rest: dict[str, Tree], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        recipe(**{"blends": {"mix": MIX}} | rest)
    assert str(caught.value) == message


def test_models_that_blends_or_adapters_join_are_kin() -> None:
    assert kin_of(recipe(blends={"mix": MIX})) == [{"base", "math", "ja"}]
    two = {"mix": MIX | {"experts": ["math"], "pipe": [{"weigh": [1.0]}, {"reduce": "sum"}]}}
    assert kin_of(routed({"from": "mix"}, {"from": "ja"}, blends=two)) == [{"base", "math"}, {"ja"}]
    nested = two | {"both": {"experts": ["mix", "ja"], "pipe": [{"weigh": [0.5, 0.5]}, {"reduce": "sum"}]}}
    assert kin_of(routed({"from": "both"}, blends=nested)) == [{"base", "math", "ja"}]
    models = {"base": "base", "lora": {"path": "lora", "adapts": "base"}, "deep": "deep"}
    tree = {"models": models, "route": [{"from": "lora"}, {"from": "deep"}]}
    assert sorted(map(sorted, kin_of(parse(Recipe, tree, "r.yaml")))) == [["base", "lora"], ["deep"]]


def test_layers_exist_up_to_the_depth_of_their_own_source() -> None:
    models = {name: {"path": name, "layers": layers} for name, layers in (("base", 4), ("deep", 6))}
    route = [{"from": "deep", "layers": [3, 5]}, {"from": "base", "layers": [1, 5]}, {"from": "deep", "layers": [6, 6]}]
    with pytest.raises(ConfigError) as caught:
        parse(Recipe, {"models": models, "route": route}, "r.yaml")
    assert [*map(str, caught.value.problems)] == [
        "r.yaml: route[1].layers: layer 5 does not exist: the last layer of base is 3.",
        "r.yaml: route[2].layers: layer 6 does not exist: the last layer of deep is 5.",
    ]


def test_a_recipe_of_models_needs_a_route() -> None:
    with pytest.raises(ConfigError, match="blends: there are none"):
        recipe()
