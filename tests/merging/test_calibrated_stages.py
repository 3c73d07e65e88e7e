"""Laws of the stages that read statistics."""

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.checkpoints import Position
from evomerge.errors import CandidateFailed
from evomerge.merging.chunks import Sources, can_cut, merge_into, prepared, row_width
from evomerge.merging.facts import Facts
from evomerge.merging.pipe import run_pipe
from evomerge.merging.site import Reading, Site, lone_site
from evomerge.recipe.calibration import StatisticKind
from evomerge.recipe.canonical import canonical_pipe
from evomerge.recipe.parts import Parts
from evomerge.recipe.stages import StageValue
from evomerge.testing.pipes import pipe_of
from evomerge.testing.stages import draws_for, merged, random_measured_pipe
from evomerge.testing.statistics import statistics_of

RNGS = st.randoms(use_true_random=False)


def tensors(*shape: int, count: int = 2, seed: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for _ in range(count)]


def with_statistics(pipe: Sequence[StageValue], experts: list[torch.Tensor], **values: torch.Tensor) -> torch.Tensor:
    """The merge of experts that all have the same statistics, or none of a kind that is not given."""

    def statistics(kind: StatisticKind, place: int | None) -> Reading | None:
        found = values.get(kind)
        return None if found is None else Reading(found, float(found.mean()), float(found.norm()))

    site = lone_site(draws_for(experts), experts, statistics=statistics)
    return run_pipe(Parts.of(pipe, len(experts)), experts, None, site)


@settings(derandomize=True, max_examples=150)
@given(RNGS, st.integers(1, 3), st.booleans())
def test_the_canonical_form_gives_the_same_tensors(rng: random.Random, num_experts: int, has_origin: bool) -> None:
    pipe = random_measured_pipe(rng, num_experts)
    origin, *experts = tensors(*rng.choice([(6, 7), (40,), ()]), count=num_experts + 1, seed=rng.randrange(2**31))
    base = origin if has_origin else None
    short = canonical_pipe(pipe, num_experts, has_origin)
    assert canonical_pipe(short, num_experts, has_origin) == short
    try:
        plain = merged(pipe, experts, base)
    except CandidateFailed:  # weights that cancel leave metrics without an inverse
        return
    tolerance = 1e-4 if Parts.of(pipe, num_experts).needs_matrices else 2e-6
    torch.testing.assert_close(
        merged(short, experts, base), plain, rtol=tolerance, atol=tolerance * max(1.0, float(plain.abs().max()))
    )


@settings(derandomize=True, max_examples=100)
@given(RNGS, st.integers(1, 3))
def test_pieces_are_merged_like_wholes(rng: random.Random, num_experts: int) -> None:
    parts = Parts.of(canonical_pipe(random_measured_pipe(rng, num_experts), num_experts, True), num_experts)
    if not can_cut(parts):
        return
    origin, *experts = tensors(6, 7, count=num_experts + 1, seed=rng.randrange(2**31))
    names = [draw.expert for draw in draws_for(experts)]
    base = None if parts.from_zero else origin
    deltas = [expert if base is None else expert - base for expert in experts]
    site = lone_site(draws_for(experts), deltas, statistics=statistics_of(names, origin.shape))
    found = torch.empty(42)

    def write(start: int, piece: torch.Tensor) -> None:
        found[start : start + piece.numel()] = piece

    flat, width = [expert.flatten() for expert in experts], row_width(parts, experts[0])
    sources = Sources(flat, origin.flatten(), [None] * num_experts, piece_size=16, width=width)
    known, there = prepared(parts, sources, site, Facts())
    merge_into(known, sources, there, write)
    assert torch.equal(found.view(6, 7), run_pipe(parts, experts, origin, site))


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_equal_information_is_none(power: float) -> None:
    experts = tensors(4, 5)
    pipe = pipe_of({"weigh": "fisher", "weights": [0.5, 1.5], "power": power}, {"reduce": "mean"})
    found = with_statistics(pipe, experts, fisher=torch.rand(4, 5, generator=torch.Generator().manual_seed(1)) + 0.1)
    torch.testing.assert_close(found, (0.5 * experts[0] + 1.5 * experts[1]) / 2)


def test_where_no_expert_has_information_all_count_alike() -> None:
    experts = tensors(4, 5)
    found = with_statistics(
        pipe_of({"weigh": "fisher", "weights": [1, 3]}, {"reduce": "mean"}), experts, fisher=torch.zeros(4, 5)
    )
    torch.testing.assert_close(found, (experts[0] + 3 * experts[1]) / 4)


def test_regmean_of_task_vectors_is_that_of_whole_weights() -> None:
    origin, *experts = tensors(5, 7, count=3)
    reduce = {"reduce": "metric", "shrink": 0.8, "ridge": 0.05}
    on_deltas, on_weights = (pipe_of({"origin": start}, {"weigh": [1, 2]}, reduce) for start in ("base", "zero"))
    torch.testing.assert_close(merged(on_deltas, experts, origin), merged(on_weights, experts, origin))


def test_equal_gram_matrices_give_the_mean() -> None:
    experts = tensors(5, 4)
    read = torch.randn(20, 4, generator=torch.Generator().manual_seed(2))
    found = with_statistics(pipe_of({"weigh": [1, 3]}, {"reduce": "metric"}), experts, gram=read.T @ read)
    torch.testing.assert_close(found, (experts[0] + 3 * experts[1]) / 4)


def test_without_entries_off_the_diagonal_columns_are_averaged_by_their_squares() -> None:
    experts = tensors(5, 4)
    squares = {f"expert {k}": statistics_of([f"expert {k}"], experts[0].shape)("gram", 0) for k in (0, 1)}
    one, other = (reading.values.diagonal() for reading in squares.values() if reading)
    found = merged(pipe_of({"reduce": "metric", "shrink": 0.0, "ridge": 0.0}), experts, None)
    torch.testing.assert_close(found, (one * experts[0] + other * experts[1]) / (one + other))


def test_steps_converge_to_the_exact_solution() -> None:
    experts = tensors(5, 6)
    exact = merged(pipe_of({"reduce": "metric"}), experts, None)
    distances = [
        float((merged(pipe_of({"reduce": "metric", "steps": steps}), experts, None) - exact).norm())
        for steps in (0, 3, 60)
    ]
    assert distances[0] > distances[1] > distances[2]
    assert distances[2] < 1e-5


def test_metrics_that_cancel_fail_the_candidate() -> None:
    read = torch.randn(20, 4, generator=torch.Generator().manual_seed(2))
    with pytest.raises(CandidateFailed, match="Raise the ridge"):
        with_statistics(pipe_of({"weigh": [1, -1]}, {"reduce": "metric"}), tensors(5, 4), gram=read.T @ read)


@pytest.mark.parametrize(
    "stages",
    [
        [{"reduce": "metric"}],
        [{"reduce": "metric", "of": "kfac", "steps": 4}],
        [{"gate": "salient", "density": 0.4, "of": "act_sq"}, {"reduce": "first"}],
        [{"reduce": "sum"}, {"post": "channel", "floor": 0.2}],
    ],
)
def test_weights_stored_as_inputs_by_outputs_are_turned(stages: list[dict[str, Any]]) -> None:
    experts, pipe = tensors(5, 7), pipe_of(*stages)
    site = lone_site(draws_for(experts), experts, statistics=statistics_of(["a", "b"], experts[0].shape))
    turned = dataclasses.replace(site, position=Position(0, "mlp", transposed=True))
    straight = run_pipe(Parts.of(pipe, 2), experts, None, site)
    found = run_pipe(Parts.of(pipe, 2), [expert.T.contiguous() for expert in experts], None, turned)
    torch.testing.assert_close(found, straight.T)


@given(st.floats(0.05, 1), st.floats(0.05, 1), st.sampled_from(["fisher", "act_sq"]))
def test_salient_masks_are_nested(one: float, other: float, of: str) -> None:
    experts = tensors(6, 7, count=1)
    small, large = (
        merged(pipe_of({"gate": "salient", "density": density, "of": of}), experts, None)
        for density in sorted((one, other))
    )
    assert torch.equal(small, large * (small != 0))


def test_saliency_of_the_model_compares_tensors() -> None:
    strong, weak = torch.full((10,), 3.0), torch.full((10,), 1.0)
    pipe = pipe_of({"gate": "salient", "density": 0.5, "scope": "model"})
    information = {"strong": torch.ones(10), "weak": torch.full((10,), 100.0)}

    def statistics(tensor: str) -> Any:
        return lambda kind, place: Reading(information[tensor], 1.0, 1.0)

    sites: dict[str, Site] = {}
    deltas = {"strong": [strong], "weak": [weak]}

    def scope() -> Any:
        return ((sites[name], deltas[name]) for name in deltas)

    for name, each in deltas.items():
        lone = lone_site(draws_for(each), each, name, statistics(name))
        sites[name] = dataclasses.replace(lone, scope=dataclasses.replace(lone.scope, deltas=scope))
    found = {name: run_pipe(Parts.of(pipe, 1), deltas[name], None, sites[name]) for name in deltas}
    assert torch.equal(found["strong"], torch.zeros(10))
    assert torch.equal(found["weak"], weak)


def test_what_was_not_measured_falls_back() -> None:
    experts = tensors(5, 4)
    mean, total = (experts[0] + experts[1]) / 2, experts[0] + experts[1]
    for stages, expected in [
        ([{"reduce": "metric"}], mean),
        ([{"weigh": "fisher", "weights": [1, 1]}, {"reduce": "mean"}], mean),
        ([{"weigh": "sensitivity", "transfer": [1, 5]}], total),
        ([{"gate": "prior"}], total),
        ([{"post": "channel"}], total),
    ]:
        torch.testing.assert_close(with_statistics(pipe_of(*stages), experts), expected)
    by_size = with_statistics(pipe_of({"gate": "salient", "density": 0.5, "of": "act_sq"}), experts)
    torch.testing.assert_close(by_size, merged(pipe_of({"gate": "top", "density": 0.5}), experts, None))


def test_only_ratios_of_weights_reach_a_metric() -> None:
    forms = {canonical_pipe(pipe_of({"weigh": w}, {"reduce": "metric"}), 2, True) for w in ([1, 2], [2, 4], [5, 10])}
    assert len(forms) == 1
    assert len(canonical_pipe(pipe_of({"weigh": [3, 3]}, {"reduce": "metric"}), 2, True)) == 1


def test_a_channel_post_that_spares_nothing_is_dropped() -> None:
    assert canonical_pipe(pipe_of({"post": "channel", "floor": 1}), 2, True) == canonical_pipe((), 2, True)
