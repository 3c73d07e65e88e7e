"""Spaces of routes: every genome is a route, and each generator makes what its paper describes."""

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.config.files import read_resolved
from evomerge.documents import Tree
from evomerge.errors import ConfigError
from evomerge.recipe import ModelRef, Recipe
from evomerge.recipe.route import Hop, hops_of
from evomerge.shipped import shipped_root
from evomerge.spaces import ChoiceGene, FloatGene, SearchSpace, bind, parse_space
from evomerge.spaces.genes import Scalar
from evomerge.spaces.starts import NotInSpace
from tests.spaces.test_space import value_of

DEPTH = 4
MODELS = {name: ModelRef(path=name, digest=name) for name in ("base", "math", "ja")}
MIX: Tree = {"origin": "base", "experts": ["math", "ja"], "pipe": [{"weigh": [0.5, 0.7]}, {"reduce": "sum"}]}

HOLES: list[Tree] = [
    {
        "from": "mix",
        "layers": [0, {"int": [1, 3], "neutral": 3}],
        "repeat": {"int": [1, 3], "neutral": 1},
    },
    {
        "from": {"choice": ["math", "ja"], "neutral": "math"},
        "layers": [{"int": [0, 3], "neutral": 2}, {"int": [0, 3], "neutral": 2}],
        "write": {"float": [0.5, 2], "neutral": 1, "scale": "log"},
        "include": {"bool": None, "neutral": False},
    },
]
ROUTES: dict[str, Tree] = {
    "indicator": {"use": "indicator", "from": ["mix", "math"], "repeats": 2, "write": [0.5, 2]},
    "indicator@paper": {"use": "indicator@paper", "from": ["math", "ja"], "repeats": 2},
    "indicator@paper of either sign": {"use": "indicator@paper", "from": ["ja", "mix"], "scales": [-1.5, 1.5]},
    "removal": {"use": "tailor", "from": ["mix"], "remove": 2},
    "selection": {"use": "tailor", "from": ["mix", "math", "ja"], "remove": "any", "write": [0.5, 2]},
    "merging": {"use": "tailor", "from": ["math", "ja"], "origin": "base", "remove": 1, "select": "some"},
    "bands": {"use": "bands", "from": ["ja", "math"], "bands": 3},
    "segments": HOLES,
}


def bound(route: Tree, **rest: Tree) -> SearchSpace:
    tree = {"evomerge": "space/1", "models": {n: n for n in MODELS}, "blends": {"mix": MIX}, "route": route} | rest
    return bind(parse_space(tree, "s.yaml"), MODELS, DEPTH, "s.yaml")


def hops(recipe: Recipe) -> list[Hop]:
    assert recipe.route is not None
    return [*hops_of(recipe.route, dict.fromkeys(recipe.sources, DEPTH))]


def written(recipe: Recipe) -> list[tuple[str, int, float]]:
    """Source, layer and factor on what it writes of every layer."""
    return [(hop.source, hop.layer, hop.write) for hop in hops(recipe)]


def neutral(space: SearchSpace, **change: Scalar) -> Recipe:
    """The recipe of neutral genes, but for those whose names, without `route/`, are given."""
    wanted: Mapping[str, Any] = {f"route/{name}": value for name, value in change.items()}
    genome = tuple(wanted.get(gene.name, 0 if gene.neutral is None else gene.neutral) for gene in space.genes)
    assert set(wanted) <= {gene.name for gene in space.genes}
    return space.decode(genome)


@pytest.mark.parametrize("name", ROUTES)
@given(st.integers(0, 10**6))
def test_every_genome_is_a_recipe_with_layers(name: str, seed: int) -> None:
    space, rng = bound(ROUTES[name]), random.Random(seed)
    recipe = space.decode(tuple(value_of(gene, rng) for gene in space.genes))
    assert hops(recipe)
    assert all(0 <= hop.layer < DEPTH for hop in hops(recipe))
    assert recipe.canonical.canonical == recipe.canonical


@pytest.mark.parametrize("name", [name for name in ROUTES if name not in ("removal", "merging")])
def test_neutral_genes_leave_the_first_source_as_it_is(name: str) -> None:
    space = bound(ROUTES[name], seeds=["neutral"])
    assert space.decode(space.seeds[0]).canonical.route is None


class TestIndicator:
    """Sakana's array, typed."""

    def test_genes(self) -> None:
        genes = bound(ROUTES["indicator"]).genes
        assert [sum(isinstance(gene, kind) for gene in genes) for kind in (ChoiceGene, FloatGene)] == [14, 16]

    def test_the_first_sources_ends_are_fixed_and_slots_keep_their_order(self) -> None:
        changes: dict[str, Scalar] = {"mix 1/include": False, "math 3/include": True, "mix 0 again 1/include": True}
        recipe = neutral(bound(ROUTES["indicator"]), **changes, **{"math 3/write": 0.5, "mix 3/write": 2.0})
        expected = [("mix", 0, 1.0), ("mix", 2, 1.0), ("math", 3, 0.5), ("mix", 0, 1.0), ("mix", 3, 2.0)]
        assert written(recipe) == expected

    @pytest.mark.parametrize(("write", "scale"), [([0.5, 2.0], "log"), ([0.0, 2.0], "linear"), ([-1.0, 2.0], "linear")])
    def test_factors_of_either_sign(self, write: list[float], scale: str) -> None:
        space = bound({"use": "indicator", "from": ["math"], "write": write})
        gene = next(gene for gene in space.genes if gene.name == "route/math 2/write")
        assert gene == FloatGene(gene.name, write[0], 2.0, neutral=1.0, scale=scale)  # type: ignore[arg-type]
        assert hops(neutral(space, **{"math 2/write": write[0]}))[2].write == write[0]

    def test_ends_come_from_the_first_source(self) -> None:
        recipe = neutral(bound({"use": "indicator", "from": ["ja", "mix"]}))
        assert recipe.end_sources == {"embeddings": "ja", "norm": "ja", "head": "ja"}
        assert recipe.donor == "ja"


class TestIndicatorOfPaper:
    """The authors' decoding: path = [0] + [t mod M for t where I_t > 0] + [L − 1], W = 1 + w, first scale 1."""

    def test_number_of_genes(self) -> None:
        """T − 2 indicators and M² scales: 4,286 for the published 64 layers three times over, 78 here."""
        assert len(bound(ROUTES["indicator@paper"]).genes) == (8 * 2 - 2) + 8 * 8

    def test_path_and_scales(self) -> None:
        chosen: dict[str, Scalar] = {f"place {t}": -0.1 for t in range(14)} | {
            "place 2": 0.1,
            "place 5": 1.0,
            "place 10": 0.3,
        }
        scales: dict[str, Scalar] = {"scale 0 2": 0.5, "scale 2 5": -0.5, "scale 5 2": 1.0, "scale 2 3": 0.25}
        found = hops(neutral(bound(ROUTES["indicator@paper"]), **chosen, **scales))
        assert [hop[:2] for hop in found] == [("math", 0), ("math", 2), ("ja", 1), ("math", 2), ("math", 3)]
        # stream scales 1, 1.5, 0.5, 2, 1.25: their running products are 1, 1.5, 0.75, 1.5, 1.875
        assert [hop.write for hop in found] == pytest.approx([1, 1 / 1.5, 1 / 0.75, 1 / 1.5, 1 / 1.875])
        assert [hop.read for hop in found] == pytest.approx([1, 1.5, 0.75, 1.5, 1.875])

    def test_negative_scales_turn_reads_and_the_last_norm_around_and_none_is_zero(self) -> None:
        chosen: dict[str, Scalar] = {f"place {t}": 0.1 if t == 2 else -0.1 for t in range(14)}
        wide = ROUTES["indicator@paper"] | {"scales": [-1.5, 1.5]}
        recipes = [
            neutral(bound(wide), **chosen, **{"scale 0 2": first, "scale 2 3": second})
            for first, second in ((-1.5, 0.0), (-1.25, -1.5), (-1.0, 0.0))
        ]
        # W of the two connections: -0.5 and 1, then -0.25 and -0.5, then 0.01 for 0 and 1
        expected = [1, -0.5, -0.5, 1, -0.25, 0.125, 1, 0.01, 0.01]
        found = [hop for recipe in recipes for hop in hops(recipe)]
        assert [hop.read for hop in found] == pytest.approx(expected)
        assert [1 / hop.write for hop in found] == pytest.approx(expected)
        assert [recipe.ends and recipe.ends.read for recipe in recipes] == [-1.0, None, None]


class TestTailor:
    """Removal, selection, merging."""

    @given(st.integers(0, 3), st.integers(0, 2))
    def test_so_many_layers_are_removed_however_genes_fall(self, first: int, second: int) -> None:
        found = hops(neutral(bound(ROUTES["removal"]), **{"removed 1": first, "removed 2": second}))
        left = [layer for layer in range(DEPTH) if layer != first]
        del left[second]
        assert [hop.layer for hop in found] == left

    def test_of_all_layers_removed_one_stays(self) -> None:
        recipe = neutral(bound(ROUTES["selection"]), **{f"layer {n}/include": False for n in range(DEPTH)})
        assert written(recipe) == [("mix", 0, 1.0)]

    def test_layers_are_selected_one_by_one(self) -> None:
        recipe = neutral(
            bound(ROUTES["selection"]), **{"layer 1/from": "ja", "layer 2/from": "math", "layer 2/write": 0.5}
        )
        assert written(recipe) == [("mix", 0, 1.0), ("ja", 1, 1.0), ("math", 2, 0.5), ("mix", 3, 1.0)]

    def test_none_is_the_origins_layer_one_its_own_and_more_are_merged(self) -> None:
        entering: dict[str, Scalar] = {
            **{"removed 1": 3, "layer 0/math": False, "layer 0/ja": False, "layer 1/math": False, "layer 1/ja": True},
            **{"layer 2/math": True, "layer 2/ja": True, "layer 2/factor": 0.4},
        }
        recipe = neutral(bound(ROUTES["merging"]), **entering)
        assert written(recipe) == [("base", 0, 1.0), ("ja", 1, 1.0), ("tailored", 2, 1.0)]
        rule, rest = recipe.canonical.blends["tailored"].rules
        assert rule.where is not None
        assert rule.where.layers == (2, 2)
        assert rule.pipe[0].weigh == (0.4, 0.4)  # type: ignore[index,union-attr]
        assert recipe.end_sources == {"embeddings": "base", "norm": "base", "head": "base"}
        assert rest.where is None

    def test_genes_that_take_no_part_make_no_difference(self) -> None:
        space = bound(ROUTES["merging"])
        inactive: dict[str, Scalar] = {"removed 1": 0, "layer 0/factor": 0.1, "layer 1/factor": 0.2, "layer 0/ja": True}
        assert neutral(space, **{"removed 1": 0}).digest == neutral(space, **inactive).digest


class TestBands:
    """Layer swapping."""

    def test_a_language_around_the_middle(self) -> None:
        choices: dict[str, Scalar] = {"boundary 1": 1, "boundary 2": 3, "band 2/from": "math"}
        assert written(neutral(bound(ROUTES["bands"]), **choices)) == [
            *(("ja", 0, 1.0), ("math", 1, 1.0), ("math", 2, 1.0), ("ja", 3, 1.0))
        ]

    def test_boundaries_in_any_order_mean_the_same(self) -> None:
        one, other = (
            neutral(bound(ROUTES["bands"]), **{"boundary 1": a, "boundary 2": b, "band 2/from": "math"})
            for a, b in ((1, 3), (3, 1))
        )
        assert one.digest == other.digest


class TestSegments:
    """Routes written out with holes."""

    def test_repeats_and_ends_that_are_turned_around(self) -> None:
        changes: dict[str, Scalar] = {
            **{"segment 1/last": 1, "segment 1/repeat": 2, "segment 2/include": True, "segment 2/from": "ja"},
            **{"segment 2/first": 3, "segment 2/last": 2, "segment 2/write": 0.5},
        }
        assert written(neutral(bound(HOLES), **changes)) == [
            *(("mix", 0, 1.0), ("mix", 1, 1.0)) * 2,
            *(("ja", 2, 0.5), ("ja", 3, 0.5)),
        ]

    def test_a_route_without_holes_goes_with_holes_elsewhere(self) -> None:
        blend = MIX | {"pipe": [{"weigh": [{"float": [0, 1]}, 0.5]}, {"reduce": "sum"}]}
        space = bound([{"from": "mix", "layers": [1, 3]}], blends={"mix": blend})
        assert [gene.name for gene in space.genes] == ["mix/weigh.math"]
        assert [hop.layer for hop in hops(space.decode((0.3,)))] == [1, 2, 3]


def test_presets_start_from_the_blends_own_layers() -> None:
    blend = MIX | {"pipe": [{"weigh": [{"float": [0, 1]}, {"float": [0, 1]}]}, {"reduce": "sum"}]}
    space = bound(ROUTES["indicator"], blends={"mix": blend}, seeds=["uniform"])
    recipe = space.decode(space.seeds[0])
    assert recipe.canonical.route is None
    assert recipe.canonical.blends["mix"].rules[0].pipe[1].weigh == (0.5, 0.5)  # type: ignore[index,union-attr]


def test_models_alone_need_no_blend() -> None:
    space = bound({"use": "bands", "from": ["math", "ja"]}, blends={}, seeds=["neutral"])
    assert space.decode(space.seeds[0]).donor == "math"


@pytest.mark.parametrize(
    ("route", "rest", "message"),
    [
        (
            {"use": "indicator", "from": ["moth"]},
            {},
            's.yaml: route: "moth" is neither a model nor a blend. Did you mean "math"?',
        ),
        (
            {"use": "indicate", "from": ["math"]},
            {},
            's.yaml: route: "indicate" is no generator of routes. Did you mean "indicator"?',
        ),
        (
            {"from": ["math"]},
            {},
            's.yaml: route: A route is a list of segments, or a mapping with "use", the name of a generator, and '
            '"from".',
        ),
        ({"use": "bands", "from": ["math"]}, {}, "s.yaml: route.from: 1 entries are too few. Give 2 or more."),
        (
            {"use": "indicator", "from": ["math"], "write": [2, 0.5]},
            {},
            "s.yaml: route.write: [2, 0.5] is no range of factors. Write [low, high] with low < high.",
        ),
        (
            {"use": "indicator@paper", "from": ["math"], "scales": [0.5, 2]},
            {},
            "s.yaml: route.scales: [0.5, 2] is no range of W − 1. "
            "Write true, false, or [low, high] with low < 0 < high.",
        ),
        (
            {"use": "tailor", "from": ["math"], "remove": 4},
            {},
            "s.yaml: route.remove: removes 4 layers, but the models have 4. Remove 3 or fewer.",
        ),
        (
            [{"from": "math", "layers": [0, {"int": [1, 4]}]}],
            {},
            "s.yaml: route[0].layers: layer 4 does not exist: the last layer of math is 3.",
        ),
        (
            [{"from": "math", "layers": [0, 1], "write": {"choice": [1, "loud"]}}],
            {},
            "s.yaml: route[0].write: loud is not a number.",
        ),
        (
            {"use": "tailor", "from": ["math", "ja"], "select": "some"},
            {"blends": {"tailored": MIX}},
            's.yaml: "tailored" is what the route calls a blend of its own. Give yours another name.',
        ),
        (
            {"use": "bands", "from": ["math", "ja"]},
            {"blends": {}, "seeds": ["ties"]},
            "s.yaml: seeds[0]: ties does not lie in the space: there is no blend that it could be. "
            'Only "neutral" can be meant. Drop it or widen the space.',
        ),
    ],
)
def test_a_bad_route(route: Tree, rest: dict[str, Tree], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bound(route, **rest)
    assert str(caught.value) == message


class TestDepths:
    """Sources of several depths."""

    DEPTHS: Mapping[str, int] = {"base": 4, "math": 4, "ja": 4, "deep": 6}

    def bound(self, route: Tree, **rest: Tree) -> SearchSpace:
        models = {name: ModelRef(path=name, digest=name) for name in self.DEPTHS}
        tree = {"evomerge": "space/1", "models": {n: n for n in models}, "blends": {"mix": MIX}, "route": route} | rest
        return bind(parse_space(tree, "s.yaml"), models, self.DEPTHS, "s.yaml")

    def told(self, route: Tree, **rest: Tree) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self.bound(route, **rest)
        return [*map(str, caught.value.problems)]

    @pytest.mark.parametrize(("sources", "last"), [(["mix", "deep"], 3), (["deep", "mix"], 5)])
    def test_the_row_has_each_sources_own_layers(self, sources: list[str], last: int) -> None:
        space = self.bound({"use": "indicator", "from": sources, "repeats": 2}, seeds=["neutral"])
        assert len(space.genes) == 2 * (4 + 6) - 2
        everything = neutral(space, **{gene.name.removeprefix("route/"): True for gene in space.genes})
        row = [(source, layer) for source in sources for layer in range({"mix": 4, "deep": 6}[source])]
        expected = [part for part in row if part != (sources[0], last)] + row + [(sources[0], last)]
        found = hops_of(everything.route or (), {"mix": 4, "deep": 6})
        assert [(hop.source, hop.layer) for hop in found] == expected
        assert space.decode(space.seeds[0]).canonical.route is None or sources[0] == "deep"

    def test_the_published_row_as_well(self) -> None:
        space = self.bound({"use": "indicator@paper", "from": ["deep", "mix"], "repeats": 1})
        assert len(space.genes) == (10 - 2) + 10 * 10
        chosen: dict[str, Scalar] = {f"place {t}": 0.1 if t in (5, 7) else -0.1 for t in range(8)}
        assert [hop[:2] for hop in hops_of(neutral(space, **chosen).route or (), {})] == [
            *(("deep", 0), ("deep", 5), ("mix", 1), ("deep", 5)),
        ]

    def test_segments_end_with_the_last_layer_of_their_own_source(self) -> None:
        layers: Tree = [{"int": [0, 5]}, 5]
        assert len(self.bound([{"from": "deep", "layers": layers}, {"from": "mix"}]).genes) == 1
        assert self.told(
            [{"from": {"choice": ["deep", "ja"]}, "layers": layers}, {"from": "mix", "layers": [1, 4]}]
        ) == [
            "s.yaml: route[0].layers: layer 5 does not exist: the last layer of ja is 3.",
            "s.yaml: route[1].layers: layer 4 does not exist: the last layer of mix is 3.",
        ]

    @pytest.mark.parametrize("use", ["bands", "tailor"])
    def test_layers_of_one_number_want_sources_of_one_depth(self, use: str) -> None:
        assert self.told({"use": use, "from": ["mix", "deep"]}) == [
            f"s.yaml: route.from: mix has 4 layers, deep has 6 layers, but {use} puts layers of one number in each "
            "other's place. Name sources of one depth, or use indicator or a list of segments."
        ]

    def test_all_that_layers_are_asked_in_vain_is_told_at_once(self) -> None:
        blend = MIX | {"pipe": [{"weigh": [{"float": [0, 1]}, 0.5]}, {"reduce": "sum"}]}
        route = {"use": "bands", "from": ["mix", "math"], "bands": 30}
        assert self.told(route, blends={"mix": blend}, groups={"layers": 9}) == [
            "s.yaml: route.bands: 30 bands, but the models have 4 layers. Ask for 4 or fewer.",
            "s.yaml: groups.layers: 9 bands of layers, but the models have 4 layers. Ask for fewer.",
        ]

    def test_a_group_of_layers_is_one_of_its_own_blend(self) -> None:
        pipe = [{"weigh": [{"float": [0, 1]}]}, {"reduce": "sum"}]
        blends = {"low": {"experts": ["math"], "pipe": pipe}, "high": {"experts": ["deep"], "pipe": pipe}}
        space = self.bound([{"from": "low"}, {"from": "high"}], blends=blends, groups={"layers": 2})
        names = [gene.name.split("/")[1] for gene in space.genes if "rest" not in gene.name]
        assert names == ["layers 0-1", "layers 2-3", "layers 0-2", "layers 3-5"]


def test_a_first_source_of_one_layer_has_no_first_and_last() -> None:
    tree = {"evomerge": "space/1", "models": {"one": "one"}, "route": {"use": "indicator", "from": ["one"]}}
    with pytest.raises(ConfigError, match="needs a first source of 2 layers or more, but one has 1: the first begins"):
        bind(parse_space(tree, "s.yaml"), {"one": ModelRef(path="one")}, 1, "s.yaml")


@pytest.mark.parametrize(("name", "num_genes"), [("zoo_route", 34), ("zoo_mixed", 62)])
def test_shipped_spaces_have_as_many_genes_as_they_say(name: str, num_genes: int) -> None:
    path = shipped_root() / "search_spaces" / f"{name}.yaml"
    space = bind(parse_space(read_resolved(path, "zoo"), name), MODELS, 6, name)
    assert len(space.genes) == num_genes
    assert f"{num_genes} genes." in path.read_text(encoding="utf-8")
    assert all(space.decode(seed).canonical.route is None for seed in space.seeds)


def test_genes_of_a_route_are_not_told_from_its_layers() -> None:
    space = bound([{"from": "mix"}, {"from": "ja", "layers": [3, 3], "write": {"float": [0.5, 2.0]}}])
    with pytest.raises(
        NotInSpace, match=r"it does not say what gene route/segment 2/write was; a run over such routes"
    ):
        space.encode(space.decode((1.5,)))
    space = bound(ROUTES["indicator"])
    neutral = tuple(gene.neutral for gene in space.genes)
    assert space.encode(space.decode(neutral)) == neutral
    with pytest.raises(NotInSpace, match="or in its route, whose genes it does not say; a run over such routes does"):
        space.encode(space.decode((not neutral[0], *neutral[1:])))
