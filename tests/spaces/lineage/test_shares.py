"""Recipes found again as members: the sums that they are, by the formula, and what is no such sum."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.documents import Tree, parse
from evomerge.recipe import ModelRef, Recipe
from evomerge.recipe.spans import TensorSpan
from evomerge.spaces.genes import Genome
from evomerge.spaces.lineage import BreedFile, Lineage, LineageSpace, bind_breed, lattice_of
from evomerge.spaces.starts import NotInSpace
from evomerge.testing.lineages import small_lineage
from tests.spaces.lineage.test_lineage import members

NAMES = ("one", "two", "three")
MODELS = {name: ModelRef(path=f"zoo/{name}", digest=f"sha256:{name}") for name in (*NAMES, "base", "other")}
SMALL = small_lineage()


def space_of(origin: str | None = None, experts: Sequence[str] = NAMES, **rest: Tree) -> LineageSpace:
    tree: Tree = {"experts": experts, "origin": origin, "chromosomes": [{"roles": ["attention"]}], "resolution": 3}
    document = parse(BreedFile, {"evomerge": "space/1", "models": MODELS, "breed": tree} | rest, "s.yaml")
    lineage = Lineage(tuple(experts), SMALL.lattice, SMALL.gram_LKK, origin is not None)
    return bind_breed(document, MODELS, lineage, "s.yaml")


def recipe(*blends: Tree, **rest: Tree) -> Recipe:
    named = {f"b{index}": blend for index, blend in enumerate(blends)}
    return parse(Recipe, {"models": MODELS, "blends": named} | rest, "r.yaml")


def weighed(*weights: float, reduce: str = "sum") -> list[Tree]:
    return [{"weigh": list(weights)}, {"reduce": reduce}]


@settings(max_examples=40)
@given(members(), st.sampled_from([None, "base", "two"]))
def test_a_member_is_found_again(member: Genome, origin: str | None) -> None:
    space = space_of(origin)
    found = space.encode(space.decode(member))
    assert found == member
    assert space.decode(found).digest == space.decode(member).digest


@settings(max_examples=20)
@given(members())
def test_a_member_is_found_on_a_finer_lattice_without_chromosomes(member: Genome) -> None:
    space, lattice = space_of(), lattice_of(SMALL.lattice.stretches, (), resolution=6)
    gram_LKK = np.zeros((len(lattice.cells), 3, 3))
    document = space.document.model_copy(update={"breed": space.document.breed.model_copy(update={"chromosomes": ()})})
    finer = bind_breed(document, MODELS, Lineage(NAMES, lattice, gram_LKK), "s.yaml")
    found_LK = finer.lineage.coefficients(finer.encode(space.decode(member)))
    own = zip(SMALL.lattice.cells, SMALL.coefficients(member), strict=True)
    by_entry = {entry: row_K.tolist() for cell, row_K in own for entry in range(cell.start, cell.stop)}
    for cell, row_K in zip(lattice.cells, found_LK, strict=True):
        assert by_entry[cell.start] == by_entry[cell.stop - 1] == row_K.tolist()


def value(recipe: Recipe, source: str, stretch: TensorSpan, entry: int) -> float:
    """What a recipe makes of an entry, as the formula of the weighted sum says, of models whose entries are numbers."""
    if source in recipe.models:
        return {"one": 1.0, "two": -2.0, "three": 5.0, "base": 0.5}[source] * (1 + entry % 7)
    blend = recipe.blends[source]
    origin = value(recipe, blend.origin, stretch, entry) if blend.origin else 0.0
    for rule in recipe.blends[source].rules:
        span = rule.where and rule.where.span
        is_met = rule.where is None or rule.where.matches(stretch.name, stretch.layer, stretch.role)
        if is_met and (span is None or span[0] <= entry < span[1]):
            weigh, reduce = rule.pipe[:2]  # type: ignore[union-attr]
            total = sum(weigh.weigh) if reduce.reduce == "mean" else 1.0
            deltas = [value(recipe, expert, stretch, entry) - origin for expert in blend.experts]
            return origin + sum(w * delta / total for w, delta in zip(weigh.weigh, deltas, strict=True))
    return origin if blend.origin else value(recipe, blend.experts[0], stretch, entry)


@st.composite
def sums(draw: Any) -> Recipe:
    """Blends of blends by layers, roles and spans."""
    known, blends = list(NAMES), list[Tree]()
    for _ in range(draw(st.integers(1, 3))):
        experts = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True))
        wheres = [{"layers": [0, 1]}, {"roles": ["mlp"]}, {"span": [80, 160]}]
        rules: list[Tree] = [{"where": draw(st.sampled_from(wheres))}, *([{}] if draw(st.booleans()) else [])]
        for rule in rules:
            weights = [draw(st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5])) for _ in experts]
            reduce = draw(st.sampled_from(["sum", "mean"])) if sum(weights) else "sum"
            rule["pipe"] = weighed(*weights, reduce=reduce)
        origin = draw(st.sampled_from([None, *known]))
        blends.append({"origin": origin, "experts": experts, "rules": rules})
        known.append(f"b{len(blends) - 1}")
    return recipe(*blends)


@settings(max_examples=60)
@given(sums())
def test_the_member_is_the_same_sum(mixed: Recipe) -> None:
    donor = mixed.canonical.donor  # comes first, for spans count its entries
    names = (donor, *(name for name in NAMES if name != donor))
    lineage = space_of(experts=names).lineage
    shares_LK = lineage.coefficients(space_of(experts=names).encode(mixed))
    stretches = {stretch.name: stretch for stretch in lineage.lattice.stretches}
    for cell, share_K in zip(lineage.lattice.cells, shares_LK, strict=True):
        for entry in (cell.start, cell.stop - 1):
            models = [value(mixed, name, stretches[cell.tensor], entry) for name in names]
            wanted = value(mixed, mixed.result, stretches[cell.tensor], entry)
            np.testing.assert_allclose(share_K @ models, wanted, rtol=1e-6, atol=1e-6)


def test_task_vectors_are_counted_from_the_origin_that_members_have() -> None:
    mixed = recipe({"origin": "base", "experts": ["three", "one"], "pipe": weighed(0.75, 0.5)})
    assert space_of("base").encode(mixed) == (12, 0.5, 0.0, 0.75, 24, 0.5, 0.0, 0.75)
    mixed = recipe({"origin": "two", "experts": ["three", "one"], "pipe": weighed(0.75, 0.5)})
    assert space_of("base").encode(mixed) == (12, 0.5, -0.25, 0.75, 24, 0.5, -0.25, 0.75)
    average = recipe({"experts": ["three", "base"], "pipe": weighed(1, 1, reduce="mean")})
    assert space_of("base").encode(average) == (12, 0.0, 0.0, 0.5, 24, 0.0, 0.0, 0.5)


def test_models_are_known_by_their_content() -> None:
    models = {"one": MODELS["three"], "elsewhere": ModelRef(path="/other/place", digest="sha256:one")}
    blends = {"mix": {"experts": ["one", "elsewhere"], "pipe": weighed(0.75, 0.5)}}
    mixed = parse(Recipe, {"models": models, "blends": blends}, "r.yaml")
    assert space_of().encode(mixed) == (12, 0.5, 0.0, 0.75, 24, 0.5, 0.0, 0.75)


PAIR: dict[str, Tree] = {"origin": "base", "experts": ["one", "two"]}
TIES = [{"gate": "top", "density": 0.5}, {"vote": "sign"}, *weighed(1, 1, reduce="mean")]


@pytest.mark.parametrize(
    ("mixed", "origin", "reason"),
    [
        (recipe(PAIR | {"pipe": TIES}), "base", '"b0" has gate: top, and members are weighted sums'),
        (recipe({"experts": ["one", "two"], "pipe": [{"reduce": "sphere", "t": 0.5}]}), None, "has reduce: sphere"),
        (recipe(PAIR | {"pipe": weighed(0.5, 0.2)}), None, 'no member has "base" (zoo/base); name it in breed.experts'),
        (recipe({"experts": ["other"], "pipe": weighed(1)}), None, 'no member has "other"'),
        (
            recipe({"experts": ["one", "two"], "pipe": weighed(0.5, 0.2)}),
            "base",
            'weights of "b0" do not add up to 1 and count from zero',
        ),
        (recipe(PAIR | {"pipe": weighed(1, 0)}, route=[{"from": "b0", "layers": [0, 1]}]), "base", "it is routed"),
        (recipe(PAIR | {"pipe": weighed(1, 0)}, dtype="float16"), "base", "its dtype is float16, and that of members"),
        (recipe(PAIR | {"pipe": weighed(1, 0)}, tokenizer={"from": "two"}), "base", "takes its tokenizer from"),
        (
            recipe(PAIR | {"rules": [{"where": {"span": [0, 12]}, "pipe": weighed(1, 0)}]}),
            "base",
            '"b0" changes within tensors, but not where members may; raise breed.resolution',
        ),
        (
            recipe({"experts": ["two"], "rules": [{"where": {"span": [0, 40]}, "pipe": weighed(0.5)}]}),
            None,
            'its spans count entries of "two", those of members entries of "one"',
        ),
    ],
)
def test_what_is_no_member_is_told(mixed: Recipe, origin: str | None, reason: str) -> None:
    with pytest.raises(NotInSpace) as caught:
        space_of(origin).encode(mixed)
    assert reason in str(caught.value)


def test_dtype_and_tokenizer_are_those_of_all_members() -> None:
    mixed = recipe(PAIR | {"pipe": weighed(1, 0)}, dtype="float16", tokenizer={"from": "two"})
    space = space_of("base", dtype="float16", tokenizer={"from": "two"})
    assert space.encode(mixed) == space.lineage.founders[0]
