"""Spans: which rule governs what, and one spelling for equal cuts."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.documents import Tree, parse
from evomerge.errors import ConfigError
from evomerge.recipe import Recipe
from evomerge.recipe.spans import Span, cut
from evomerge.recipe.where import Where

MODELS = {name: {"path": f"zoo/{name}", "digest": f"sha256:{name}"} for name in ("base", "math", "ja")}
SPANS = st.tuples(st.integers(0, 30), st.integers(1, 30)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def recipe_of(*rules: Tree) -> Recipe:
    blend = {"experts": ["math", "ja"], "rules": list(rules)}
    return parse(Recipe, {"models": MODELS, "blends": {"mix": blend}}, "r.yaml")


def rule(first: int, *span: int, **where: Any) -> Tree:
    """Takes `first` tenths of the first expert in a span."""
    where = {**where, "span": list(span)} if span else where
    return {**({"where": where} if where else {}), "pipe": [{"weigh": [first / 10, 1 - first / 10]}]}


@given(st.lists(SPANS | st.none()), SPANS)
def test_every_entry_obeys_the_first_span_that_holds_it(spans: list[Span | None], whole: Span) -> None:
    parts = cut(spans, whole)
    assert [part[0][0] for part in parts[1:]] == [part[0][1] for part in parts[:-1]], "parts leave no gaps"
    assert all(one[1] != other[1] for one, other in itertools.pairwise(parts)), "neighbours differ"
    found = {entry: place for span, place in parts for entry in range(*span)}
    for entry in range(*whole):
        holding = [place for place, span in enumerate(spans) if span is None or span[0] <= entry < span[1]]
        assert found[entry] == (holding[0] if holding else None)


@given(st.lists(st.tuples(st.integers(0, 2), SPANS), min_size=1, max_size=6), st.booleans())
def test_rules_that_do_the_same_to_every_entry_have_one_digest(given: list[tuple[int, Span]], has_rest: bool) -> None:
    rest = [rule(1)] if has_rest else []
    recipe = recipe_of(*(rule(number, *span) for number, span in given), *rest)
    single: list[Tree] = []
    for entry in range(60):
        if holding := [number for number, span in given if span[0] <= entry < span[1]]:
            single.append(rule(holding[0], entry, entry + 1))
    assert recipe.digest == recipe_of(*reversed(single), *rest).digest
    assert recipe.canonical.canonical == recipe.canonical


def test_rules_for_other_tensors_are_kept_apart() -> None:
    one = recipe_of(rule(1, 0, 5, roles=["mlp"]), rule(2, 0, 5, roles=["attention"]), rule(3))
    assert [part.where for part in one.canonical.blends["mix"].rules] == [
        Where(roles=("mlp",), span=(0, 5)),
        Where(roles=("attention",), span=(0, 5)),
        None,
    ]


@pytest.mark.parametrize(
    ("rules", "key", "what"),
    [
        ([rule(1, 5, 5)], "rules[0].where.span", "[5, 5] holds no entry."),
        ([{"where": {"span": [0, 5]}, "use": "ties", "density": 0.3}], "rules[0]", "gate: top needs whole tensors"),
        ([rule(1, 0, 5), {"use": "slerp", "t": 0.5}], "rules[1]", "reduce: sphere needs whole tensors"),
        ([rule(1, 0, 5), {"pipe": [{"gate": "bernoulli", "density": 0.5}, {"restore": "l1"}]}], "rules[1]", "restore"),
    ],
)
def test_stages_that_need_whole_tensors_do_not_get_parts(rules: list[Tree], key: str, what: str) -> None:
    with pytest.raises(ConfigError) as error:
        recipe_of(*rules)
    assert str(error.value).startswith(f"r.yaml: blends.mix.{key}: {what}")


def test_other_tensors_may_be_merged_whole() -> None:
    assert recipe_of(rule(1, 0, 5, roles=["mlp"]), {"where": {"roles": ["attention"]}, "use": "slerp", "t": 0.5})
    assert recipe_of({"where": {"layers": [0, 2]}, "use": "ties"}, rule(1, 0, 5, layers=[3, 4]))
