"""Fused loops: the same bits as stage by stage."""

import shutil
from typing import Any

import pytest
import torch

from evomerge.merging.chunks import Sources, prepared
from evomerge.merging.draws import Draw
from evomerge.merging.facts import Facts
from evomerge.merging.fused import Loop, merge_fused
from evomerge.merging.pipe import run_pipe, task_vectors
from evomerge.merging.site import lone_site
from evomerge.recipe.canonical import canonical_pipe
from evomerge.recipe.parts import Parts
from evomerge.recipe.stages import parse_stage
from evomerge.testing.stages import draws_for

PIPES: list[list[dict[str, Any]]] = [
    [{"origin": "zero"}, {"weigh": [0.3, 0.2, 0.7]}, {"reduce": "mean"}],
    [{"weigh": [0.3, -0.2, 0.7]}, {"post": "scale", "by": 1.3}],
    [{"gate": "top", "density": [0.3, 1.0, 0.05]}, {"vote": "sign"}, {"weigh": [0.5, 1, 0.7]}, {"reduce": "mean"}],
    [{"gate": "top", "density": 0.5}, {"restore": "l1"}, {"vote": "sign", "tally": "plain"}, {"weigh": [-0.5, 1, 0.7]}],
    [{"gate": "bernoulli", "density": [0.3, 0.9, 0.5]}, {"restore": "inverse"}, {"weigh": [0.6, 0.6, 0.6]}],
    [{"gate": "bernoulli", "density": 0.7}, {"restore": "l1"}, {"vote": "sign"}, {"weigh": [0.1, 0.2, 0.3]}],
]
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


def parts_of(pipe: list[dict[str, Any]]) -> Parts:
    stages = canonical_pipe(tuple(map(parse_stage, pipe)), 3, has_origin=True)
    return Parts.of(stages, 3)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize(("pipe", "dtype"), [*((pipe, torch.bfloat16) for pipe in PIPES), (PIPES[2], torch.float32)])
def test_the_bits_are_those_of_the_stages(pipe: list[dict[str, Any]], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    origin = torch.randn(70_001, generator=generator).mul(0.02).to(dtype)
    experts = [(origin + torch.randn(70_001, generator=generator).mul(0.001)).to(dtype) for _ in range(3)]
    parts, draws = parts_of(pipe), draws_for(experts)
    whole = run_pipe(
        parts, experts, origin, lone_site(draws, task_vectors(experts, None if parts.from_zero else origin))
    )
    sources, facts = Sources(experts, origin, ["a", "b", "c"]), Facts()
    known, site = prepared(parts, sources, lone_site(draws, []), facts)
    loop = Loop.of(known, site)
    assert loop is not None
    place = torch.empty(70_001, dtype=dtype)
    for _ in range(2):  # computed and from what is remembered
        merge_fused(loop, known, sources, site, facts, place)
        if parts.restore is not None and getattr(parts.restore, "restore", "") == "l1":
            torch.testing.assert_close(place, whole.to(dtype))  # sums over pieces and over the whole round differently
        else:
            assert torch.equal(place, whole.to(dtype))


@pytest.mark.parametrize(
    "pipe",
    [
        [{"gate": "bernoulli", "density": 0.5}, {"gate": "top", "density": 0.5}],
        [{"gate": "top", "density": 0.5}, {"restore": "inverse"}],
        [{"vote": "sign"}, {"weigh": [1, -1, 1]}, {"reduce": "mean"}],
        [{"vote": "sign"}, {"reduce": "sphere", "t": 0.5}],
        [{"vote": "sign"}, {"post": "scale", "by": 0.7}, {"post": "scale", "by": 0.9}],
    ],
)
def test_other_pipes_have_no_loop(pipe: list[dict[str, Any]]) -> None:
    assert Loop.of(Parts.of(tuple(map(parse_stage, pipe)), 2), lone_site([], [])) is None


@pytest.mark.slow
@needs_compiler
def test_draws_are_remembered_by_their_address() -> None:
    """Not by what draws them, which would be remembered with it."""
    experts = [torch.randn(70_001), torch.randn(70_001), torch.randn(70_001)]
    parts, facts, draws = parts_of(PIPES[4]), Facts(), draws_for(experts)
    sources = Sources(experts, torch.zeros(70_001), ["a", "b", "c"])
    known, site = prepared(parts, sources, lone_site(draws, []), facts)
    loop = Loop.of(known, site)
    assert loop is not None
    merge_fused(loop, known, sources, site, facts, torch.empty(70_001))
    assert facts._known
    assert not any(isinstance(part, Draw) for key in facts._known for part in key)
