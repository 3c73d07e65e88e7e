"""Spaces bound to their models: genes, groups, and the way between genomes and recipes."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.documents import Tree, parse
from evomerge.errors import ConfigError, EvomergeError
from evomerge.recipe import ModelRef, Recipe
from evomerge.spaces import FloatGene, Gene, Genome, IntGene, SearchSpace, bind, parse_space

MODELS = {name: ModelRef(path=f"zoo/{name}", digest=f"sha256:{name}") for name in ("base", "math", "ja")}
WEIGHTS = {"weigh": [{"float": [0, 1.5], "neutral": 1}, {"float": [0, 1.5], "neutral": 1}]}
TIES: list[Tree] = [
    {"gate": "top", "density": {"float": [0.05, 1.0], "neutral": 1.0}},
    {"vote": {"choice": ["none", "sign"]}},
    WEIGHTS,
    {"reduce": {"choice": ["sum", "mean"]}},
    {"post": "scale", "by": {"float": [0.1, 2], "neutral": 1, "scale": "log"}},
]


def bound(blend: dict[str, Tree], num_layers: int = 6, **rest: Tree) -> SearchSpace:
    mix = {"origin": "base", "experts": ["math", "ja"]} | blend
    models = {name: model.path for name, model in MODELS.items()}
    tree = {"evomerge": "space/1", "models": models, "blends": {"mix": mix}} | rest
    return bind(parse_space(tree, "s.yaml"), MODELS, num_layers, "s.yaml")


def names(space: SearchSpace) -> list[str]:
    return [gene.name for gene in space.genes]


def value_of(gene: Gene, rng: random.Random) -> Any:
    match gene:
        case FloatGene():
            return gene.from_unit(rng.random())
        case IntGene():
            return rng.randint(gene.low, gene.high)
    return rng.choice(gene.options)


class TestGenes:
    """One gene per hole, or per hole and group."""

    def test_without_groups_a_hole_is_a_gene(self) -> None:
        assert names(bound({"pipe": TIES})) == [
            "mix/gate.density",
            "mix/vote",
            "mix/weigh.math",
            "mix/weigh.ja",
            "mix/reduce",
            "mix/post.by",
        ]

    def test_with_groups_every_group_has_its_own(self) -> None:
        space = bound(
            {"pipe": [{"vote": {"choice": ["none", "sign"]}}]}, groups={"layers": 3, "roles": ["attention", "mlp"]}
        )
        assert names(space) == [
            "mix/layers 0-1 attention/vote",
            "mix/layers 0-1 mlp/vote",
            "mix/layers 2-3 attention/vote",
            "mix/layers 2-3 mlp/vote",
            "mix/layers 4-5 attention/vote",
            "mix/layers 4-5 mlp/vote",
            "mix/rest/vote",
        ]

    @pytest.mark.parametrize(
        ("num_layers", "bands", "expected"),
        [
            (6, 1, ["layers 0-5"]),
            (7, 3, ["layers 0-1", "layers 2-3", "layers 4-6"]),
            (5, 4, ["layer 0", "layer 1", "layer 2", "layers 3-4"]),
            (3, 3, ["layer 0", "layer 1", "layer 2"]),
        ],
    )
    def test_bands_are_as_even_as_can_be(self, num_layers: int, bands: int, expected: list[str]) -> None:
        space = bound({"pipe": [{"vote": {"choice": ["none", "sign"]}}]}, num_layers, groups={"layers": bands})
        assert names(space) == [f"mix/{band}/vote" for band in [*expected, "rest"]]

    @given(st.integers(1, 40), st.integers(1, 40))
    def test_bands_cover_every_layer_once(self, num_layers: int, bands: int) -> None:
        if bands > num_layers:
            return
        space = bound({"pipe": [{"vote": {"choice": ["none", "sign"]}}]}, num_layers, groups={"layers": bands})
        recipe = space.decode(("sign",) * len(space.genes))
        *rules, rest = recipe.blends["mix"].rules
        layers = [rule.where.layers for rule in rules if rule.where and rule.where.layers]
        assert [layer for first, last in layers for layer in range(first, last + 1)] == list(range(num_layers))
        assert max(last - first for first, last in layers) - min(last - first for first, last in layers) <= 1
        assert rest.where is None

    def test_there_cannot_be_more_bands_than_layers(self) -> None:
        with pytest.raises(ConfigError) as caught:
            bound({"pipe": TIES}, num_layers=3, groups={"layers": 4})
        assert str(caught.value) == (
            "s.yaml: groups.layers: 4 bands of layers, but the models have 3 layers. Ask for fewer."
        )

    def test_bands_may_be_given_as_they_are(self) -> None:
        space = bound({"pipe": [{"vote": {"choice": ["none", "sign"]}}]}, 6, groups={"bands": [[0, 0], [1, 3], [5, 5]]})
        assert names(space) == [f"mix/{band}/vote" for band in ("layer 0", "layers 1-3", "layer 5", "rest")]
        assert space.decode(("sign",) * 4).blends["mix"].rules[1].where == parse_where({"layers": [1, 3]})

    def test_bands_end_with_the_last_layer(self) -> None:
        with pytest.raises(ConfigError) as caught:
            bound({"pipe": TIES}, num_layers=3, groups={"bands": [[0, 1], [2, 3]]})
        assert str(caught.value) == (
            "s.yaml: groups.bands: layer 3 does not exist: the models' last layer is 2. End the last band there."
        )

    def test_rules_for_layers_that_do_not_exist_are_refused(self) -> None:
        rules = [
            {"where": {"layers": [0, 9]}, "pipe": TIES},
            {"where": {"layers": [{"int": [3, 4]}, 5]}, "pipe": TIES},
            {"where": {"roles": ["mlp"]}, "pipe": TIES},
            {"pipe": TIES},
        ]
        with pytest.raises(ConfigError) as caught:
            bound({"rules": rules}, num_layers=3)
        assert str(caught.value) == (
            "s.yaml: blends.mix.rules[1].where.layers: layer 3 does not exist: the last layer of mix is 2."
        )

    def test_groups_become_rules(self) -> None:
        space = bound({"pipe": [WEIGHTS]}, groups={"layers": 2, "roles": ["mlp", "embedding"]})
        recipe = space.decode((0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8))
        assert [(rule.where, rule.pipe[0].weigh) for rule in recipe.blends["mix"].rules] == [  # type: ignore[index,union-attr]
            (parse_where({"layers": [0, 2], "roles": ["mlp"]}), (0.1, 0.2)),
            (parse_where({"layers": [3, 5], "roles": ["mlp"]}), (0.3, 0.4)),
            (parse_where({"roles": ["embedding"]}), (0.5, 0.6)),
            (None, (0.7, 0.8)),
        ]

    def test_roles_outside_the_layers_alone(self) -> None:
        space = bound({"pipe": [{"vote": {"choice": ["none", "sign"]}}]}, groups={"layers": 2, "roles": ["head"]})
        assert names(space) == ["mix/head/vote", "mix/rest/vote"]

    def test_holes_beside_the_pipe_are_genes_too_and_are_not_repeated(self) -> None:
        space = bound({"pipe": [WEIGHTS], "seed": {"int": [0, 3]}}, groups={"layers": 1})
        assert names(space) == [
            "mix/seed",
            "mix/layers 0-5/weigh.math",
            "mix/layers 0-5/weigh.ja",
            "mix/rest/weigh.math",
            "mix/rest/weigh.ja",
        ]
        assert space.decode((3, 0.1, 0.2, 0.3, 0.4)).blends["mix"].seed == 3

    def test_an_expert_may_be_chosen(self) -> None:
        space = bound({"experts": ["math", {"choice": ["ja", "base"]}], "pipe": [{"weigh": [1, {"float": [0, 1]}]}]})
        assert names(space) == ["mix/experts.1", "mix/weigh.expert 2"]
        assert space.decode(("base", 0.5)).blends["mix"].experts == ("math", "base")

    def test_stages_of_one_slot_are_told_apart(self) -> None:
        density = {"float": [0.1, 1.0]}
        gates = [{"gate": "top", "density": density}, {"gate": "bernoulli", "density": [density, density]}]
        space = bound({"pipe": gates})
        assert names(space) == ["mix/gate.density", "mix/gate 2.density.math", "mix/gate 2.density.ja"]

    def test_rules_are_told_apart(self) -> None:
        rules = [
            {"where": {"layers": [0, {"int": [1, 4]}]}, "use": "ties", "density": {"float": [0.1, 1]}},
            {"where": {"layers": [5, 5]}, "pipe": [WEIGHTS]},
            {"where": {"roles": ["mlp"]}, "use": "linear", "weights": [{"float": [0, 1]}, 1]},
            {"use": "slerp", "t": {"float": [0, 1]}},
        ]
        space = bound({"rules": rules})
        assert names(space) == [
            "mix/rule 1/where.layers.1",
            "mix/rule 1/density",
            "mix/rule 2/weigh.math",
            "mix/rule 2/weigh.ja",
            "mix/rule 3/weights.math",
            "mix/rule 4/t",
        ]
        recipe = space.decode((3, 0.5, 0.1, 0.2, 0.3, 0.4))
        assert recipe.blends["mix"].rules[0].where == parse_where({"layers": [0, 3]})

    def test_an_expert_that_stands_twice_is_numbered(self) -> None:
        assert names(bound({"experts": ["math", "math"], "pipe": [WEIGHTS]})) == [
            "mix/weigh.expert 1",
            "mix/weigh.expert 2",
        ]

    def test_every_blend_has_its_own(self) -> None:
        blends = {
            "first": {"origin": "base", "experts": ["math"], "pipe": [{"weigh": [{"float": [0, 1]}]}]},
            "second": {"experts": ["first", "ja"], "rules": [{"use": "slerp", "t": {"float": [0, 1]}}]},
        }
        space = bound({}, blends=blends, groups={"layers": 2})
        assert names(space) == [
            "first/layers 0-2/weigh.math",
            "first/layers 3-5/weigh.math",
            "first/rest/weigh.math",
            "second/rule 1/t",
        ]
        assert space.decode((0.1, 0.2, 0.3, 0.4)).result == "second"


def parse_where(tree: Tree) -> Any:
    return (
        parse(
            Recipe,
            {
                "models": {"a": {"path": "a"}},
                "blends": {"m": {"experts": ["a"], "rules": [{"where": tree, "pipe": []}]}},
            },
            "w",
        )
        .blends["m"]
        .rules[0]
        .where
    )


class TestDecode:
    """From a genome to a recipe."""

    @given(st.randoms(use_true_random=False))
    def test_every_genome_is_a_recipe(self, rng: random.Random) -> None:
        space = GROUPED
        genome = tuple(value_of(gene, rng) for gene in space.genes)
        recipe = space.decode(genome)
        assert recipe == space.decode(genome)
        assert recipe.models == MODELS
        assert recipe.canonical.canonical == recipe.canonical

    def test_dtype_and_tokenizer_are_the_files(self) -> None:
        space = bound({"pipe": [WEIGHTS]}, dtype="bfloat16", tokenizer={"from": "ja"})
        recipe = space.decode((1.0, 1.0))
        assert (recipe.dtype, recipe.tokenizer_donor) == ("bfloat16", "ja")

    @pytest.mark.parametrize(
        ("genome", "message"),
        [
            ((0.5,), "s.yaml: a genome has 2 genes, not 1."),
            ((0.5, 0.5, 0.5), "s.yaml: a genome has 2 genes, not 3."),
            ((0.5, 2.0), "s.yaml: gene mix/weigh.ja cannot be 2.0."),
            (("a", 0.5), "s.yaml: gene mix/weigh.math cannot be a."),
            ((True, 0.5), "s.yaml: gene mix/weigh.math cannot be true."),
        ],
    )
    def test_foreign_genomes_are_refused(self, genome: Genome, message: str) -> None:
        with pytest.raises(EvomergeError) as caught:
            bound({"pipe": [WEIGHTS]}).decode(genome)
        assert str(caught.value) == message


GROUPED = bound({"pipe": TIES}, groups={"layers": 2, "roles": ["attention", "mlp"]})
