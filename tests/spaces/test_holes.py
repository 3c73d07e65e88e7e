"""Holes: trees whose leaves may be genes."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.documents import key
from evomerge.spaces import ChoiceGene, FloatGene, IntGene
from evomerge.spaces.holes import fill, genes_in, open_holes

LEAVES = st.none() | st.booleans() | st.integers() | st.text("abc", max_size=3)
TREES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("hole", "gene"),
    [
        ({"float": [0, 1]}, FloatGene("g", 0.0, 1.0)),
        ({"float": [0.1, 1], "neutral": 1, "scale": "log"}, FloatGene("g", 0.1, 1.0, neutral=1.0, scale="log")),
        ({"int": [1, 3], "neutral": 2}, IntGene("g", 1, 3, neutral=2)),
        ({"choice": ["a", 1, True, 0.5], "neutral": "a"}, ChoiceGene("g", ("a", 1, True, 0.5), neutral="a")),
        ({"bool": None, "neutral": False}, ChoiceGene("g", (False, True), neutral=False)),
    ],
)
def test_every_form_of_a_hole(hole: Any, gene: Any) -> None:
    assert open_holes(hole, name=lambda path: "g") == gene


def test_genes_are_named_by_their_place_and_come_in_the_order_of_the_file() -> None:
    opened = open_holes({"b": [{"int": [0, 1]}, {"x": {"bool": None}}], "a": {"int": [0, 1]}}, name=key)
    assert [gene.name for gene in genes_in(opened)] == ["b[0]", "b[1].x", "a"]


@given(TREES)
def test_a_tree_without_holes_is_left_as_it_is(tree: Any) -> None:
    opened = open_holes(tree)
    assert opened == tree
    assert list(genes_in(opened)) == []
    assert fill(opened, {}) == tree


@given(TREES, st.randoms(use_true_random=False))
def test_what_is_filled_in_stands_where_the_hole_was(tree: Any, rng: random.Random) -> None:
    def punched(node: Any) -> tuple[Any, Any]:
        """The tree with holes for about half of its leaves, and what it is when they are filled with "x"."""
        if isinstance(node, dict):
            pairs = {name: punched(part) for name, part in node.items()}
            return {name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()}
        if isinstance(node, list):
            parts = [punched(part) for part in node]
            return [part[0] for part in parts], [part[1] for part in parts]
        return ({"choice": ["x", "y"]}, "x") if rng.random() < 0.5 else (node, node)

    holed, expected = punched(tree)
    opened = open_holes(holed, name=key)
    assert fill(opened, {gene.name: "x" for gene in genes_in(opened)}) == expected
