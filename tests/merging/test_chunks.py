"""Chunks: merging piece by piece is merging whole tensors."""

import dataclasses
import itertools
import random
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.merging.chunks import Sources, can_cut, merge_into, prepared, row_width
from evomerge.merging.facts import Facts
from evomerge.merging.pipe import gated, run_pipe, task_vectors
from evomerge.merging.site import Scope, Site, lone_site
from evomerge.recipe.parts import Parts
from evomerge.recipe.stages import parse_stage
from evomerge.testing.stages import draws_for, merged, random_pipe


def in_pieces(
    parts: Parts, experts: list[torch.Tensor], origin: torch.Tensor | None, facts: Facts, keys: list[str]
) -> torch.Tensor:
    site = lone_site(draws_for(experts), task_vectors(experts, None if parts.from_zero else origin))
    result = torch.full((experts[0].numel(),), float("nan"))

    def write(start: int, piece: torch.Tensor) -> None:
        result[start : start + piece.numel()] = piece

    flat = [expert.flatten() for expert in experts]
    width = row_width(parts, experts[0])
    sources = Sources(flat, None if origin is None else origin.flatten(), keys, piece_size=64, width=width)
    known, site = prepared(parts, sources, site, facts)
    merge_into(known, sources, site, write)
    return result.view(experts[0].shape)


@settings(derandomize=True, max_examples=150)
@given(st.integers(0, 2**31), st.integers(1, 3))
def test_pieces_make_the_whole(seed: int, num_experts: int) -> None:
    rng = random.Random(seed)
    pipes = (random_pipe(rng, num_experts) for _ in itertools.count())
    pipe = next(pipe for pipe in pipes if can_cut(Parts.of(pipe, num_experts)))
    parts = Parts.of(pipe, num_experts)
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    shape = rng.choice([(333,), (9, 37), (2, 3, 40), (5, 100)])
    *experts, origin = torch.randn(num_experts + 1, *shape, generator=generator)
    whole = merged(pipe, experts, origin)
    facts, keys = Facts(), [f"expert {index}" for index in range(num_experts)]
    for _ in range(3):  # computed, with a table being made, and from what is remembered
        torch.testing.assert_close(in_pieces(parts, experts, origin, facts, keys), whole, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "stages",
    [
        [{"gate": "top", "density": 0.5}],
        [{"gate": "top", "density": 0.5, "ties": "first"}],
        [{"gate": "top", "density": 0.5}, {"gate": "bernoulli", "density": 0.5}, {"restore": "l1"}],
        [{"gate": "bernoulli", "density": 0.3}, {"restore": "inverse"}, {"vote": "sign"}],
        [{"gate": "rank_bernoulli", "density": 0.3}, {"restore": "l1"}, {"vote": "sign"}, {"reduce": "mean"}],
        [{"reduce": "sphere", "t": 0.3}],
        [{"weigh": [0.5, 0.5]}, {"reduce": "karcher"}],
        [{"reduce": "mean"}, {"post": "stock"}],
        [{"gate": "bernoulli", "density": 0.5}, {"weigh": "norm", "scope": "tensor"}],
        [{"gate": "clamp"}, {"weigh": "balance"}, {"reduce": "mean"}],
        [{"weigh": "norm"}],
    ],
)
def test_common_methods_are_cut(stages: list[dict[str, object]]) -> None:
    assert can_cut(Parts.of(tuple(map(parse_stage, stages)), 2))


@pytest.mark.parametrize(
    "stages",
    [
        [{"gate": "bernoulli", "density": 0.5}, {"gate": "top", "density": 0.5}],
        [{"vote": "sign"}, {"reduce": "sphere", "t": 0.3}],
        [{"reduce": "sphere", "t": 0.3, "scope": "row"}],
        [{"gate": "band", "density": 0.5}],
    ],
)
def test_what_needs_whole_tensors_is_not(stages: list[dict[str, object]]) -> None:
    assert not can_cut(Parts.of(tuple(map(parse_stage, stages)), 2))


@pytest.mark.parametrize(
    "gates",
    [
        [{"gate": "bernoulli", "density": 0.4}],
        [{"gate": "rank_bernoulli", "density": 0.4}],
        [{"gate": "rank_bernoulli", "density": 0.6}, {"gate": "bernoulli", "density": 0.5}],
        [{"gate": "rank_bernoulli", "density": 0.8}, {"gate": "rank_bernoulli", "density": 0.7}],
    ],
)
def test_gates_that_drop_are_remembered_by_what_they_kept(gates: list[dict[str, object]]) -> None:
    parts = Parts.of((*map(parse_stage, gates), parse_stage({"restore": "l1"})), 2)
    deltas = list(torch.randn(2, 30, 40, generator=torch.Generator().manual_seed(0)).round(decimals=1))
    sources = Sources([delta.flatten() for delta in deltas], None, ["one", "two"], piece_size=80, width=40)
    _, site = prepared(parts, sources, lone_site(draws_for(deltas), deltas), Facts())
    anew = dataclasses.replace(site, kept=())
    assert len(site.kept) == 2
    for found, wanted in zip(gated(parts, deltas, site).deltas, gated(parts, deltas, anew).deltas, strict=True):
        assert 0 < int(wanted.count_nonzero()) < wanted.numel()
        assert torch.equal(found.view(torch.int32), wanted.view(torch.int32)), "the signs of zeros are the same too"


def test_gates_that_do_more_than_drop_act_again() -> None:
    stages = [{"gate": "top", "density": 0.5}, {"gate": "bernoulli", "density": 0.5}, {"restore": "l1"}]
    deltas = list(torch.randn(2, 100, generator=torch.Generator().manual_seed(0)))
    sources = Sources(deltas, None, ["one", "two"])
    parts = Parts.of(tuple(map(parse_stage, stages)), 2)
    _, site = prepared(parts, sources, lone_site(draws_for(deltas), deltas), Facts())
    assert not site.kept


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0, 2.0]), min_size=100, max_size=300), st.floats(0.01, 1))
def test_of_equals_those_that_come_first_stay_in_pieces_too(values: list[float], density: float) -> None:
    parts = Parts.of((parse_stage({"gate": "top", "density": density, "ties": "first"}),), 1)
    expert = torch.tensor(values)
    whole = merged(tuple(parts.stages), [expert], None)
    assert torch.equal(in_pieces(parts, [expert], None, Facts(), ["expert"]), whole)


def test_what_a_tensor_needs_of_its_rule_does_not_depend_on_its_own_ties() -> None:
    stages = [{"gate": "top", "density": 0.5, "ties": "first"}, {"weigh": "balance", "ratio": 0.5}]
    parts = Parts.of(tuple(map(parse_stage, stages)), 1)
    expert, tied = torch.randn(100, generator=torch.Generator().manual_seed(0)), torch.full((1000,), 3.0)

    def both() -> Iterator[tuple[Site, list[torch.Tensor]]]:
        yield from ((lone_site(draws_for([tensor]), [tensor]), [tensor]) for tensor in (expert, tied))

    def site() -> Site:
        return dataclasses.replace(lone_site(draws_for([expert]), [expert]), scope=Scope(both))

    result = torch.empty(100)
    sources = Sources([expert], None, ["expert"])
    known, there = prepared(parts, sources, site(), Facts())
    merge_into(known, sources, there, lambda start, piece: result.copy_(piece))
    torch.testing.assert_close(result, run_pipe(parts, [expert], None, site()))
