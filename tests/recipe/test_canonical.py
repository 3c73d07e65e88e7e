"""The canonical form: never a wrong identification, and as many right ones as are promised."""

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.documents import Tree, parse
from evomerge.recipe import Recipe, canonical
from evomerge.recipe.canonical import canonical_pipe
from evomerge.recipe.parts import Parts
from evomerge.testing.pipes import pipe_of
from evomerge.testing.stages import merged, random_pipe, random_recipe

MODELS = {name: {"path": f"zoo/{name}", "digest": f"sha256:{name}"} for name in ("base", "math", "ja")}
RNGS = st.randoms(use_true_random=False)


def form(*stages: Tree, num_experts: int = 2, has_origin: bool = True) -> tuple[Any, ...]:
    return canonical_pipe(pipe_of(*stages), num_experts, has_origin)


def recipe_of(blend: dict[str, Tree] | None = None, **rest: Tree) -> Recipe:
    mix = {"origin": "base", "experts": ["math", "ja"], **(blend or {"pipe": []})}
    return parse(Recipe, {"models": MODELS, "blends": {"mix": mix}, **rest}, "r.yaml")


def tensors_of(rng: random.Random, num_experts: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    shape = rng.choice([(6, 7), (40,), (1,), ()])
    each = [torch.randn(shape, generator=generator) for _ in range(num_experts + 1)]
    return each[1:], each[0]


def accuracy(pipe: tuple[Any, ...], num_experts: int) -> float:
    """Singular directions of nearly equal strength turn further than rounding moves entries."""
    return 5e-5 if Parts.of(pipe, num_experts).needs_matrices else 2e-6


# A vote is a step function, and once in some thousand draws rounding takes it over the step: always the same draws.
@settings(derandomize=True, max_examples=200)
@given(RNGS, st.integers(1, 4), st.booleans())
def test_the_canonical_form_gives_the_same_tensors(rng: random.Random, num_experts: int, has_origin: bool) -> None:
    pipe = random_pipe(rng, num_experts)
    experts, origin = tensors_of(rng, num_experts)
    base = origin if has_origin else None
    plain = merged(pipe, experts, base)
    tolerance = accuracy(pipe, num_experts) * max(1.0, float(plain.abs().max()))
    short = canonical_pipe(pipe, num_experts, has_origin)
    torch.testing.assert_close(merged(short, experts, base), plain, rtol=0, atol=tolerance)


@given(RNGS, st.integers(1, 4), st.booleans())
def test_the_canonical_form_of_a_pipe_is_its_own(rng: random.Random, num_experts: int, has_origin: bool) -> None:
    once = canonical_pipe(random_pipe(rng, num_experts), num_experts, has_origin)
    assert canonical_pipe(once, num_experts, has_origin) == once


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=4), st.floats(-1e6, 1e6), st.floats(1e-9, 1))
def test_rounding_is_done_once(weights: list[float], scale: float, density: float) -> None:
    stages = [{"gate": "top", "density": density}, {"vote": "sign"}, {"weigh": weights}, {"post": "scale", "by": scale}]
    for reducer in ("sum", "mean"):
        pipe = pipe_of(*stages[:-1], {"reduce": reducer}, stages[-1])
        once = canonical_pipe(pipe, len(weights), has_origin=True)
        assert canonical_pipe(once, len(weights), has_origin=True) == once


@settings(max_examples=40)
@given(RNGS)
def test_the_canonical_form_of_a_recipe_is_its_own(rng: random.Random) -> None:
    recipe = random_recipe(rng)
    assert canonical(recipe) is recipe.canonical
    assert recipe.canonical.canonical == recipe.canonical
    assert recipe.canonical.digest == recipe.digest


def respelt(rng: random.Random, stages: list[dict[str, Tree]]) -> list[dict[str, Tree]]:
    """The same pipe with neutral stages added and the weights doubled where that can be made up for."""
    doubled = [{"weigh": [2 * weight for weight in stage["weigh"]]} if "weigh" in stage else stage for stage in stages]
    gates = [{"gate": "none"}, {"gate": "top", "density": 1.0}, {"gate": "bernoulli", "density": [1.0, 1.0]}]
    scale = 1.0 if {"reduce": "mean"} in stages else 0.5
    return [
        *rng.sample(gates, rng.randint(0, 3)),
        *doubled,
        {"post": "scale", "by": scale},
        {"post": "scale", "by": 1.0},
    ]


@settings(max_examples=40)
@given(RNGS)
def test_equal_digests_mean_equal_bytes(rng: random.Random) -> None:
    stages: list[dict[str, Tree]] = [
        *rng.choice(
            [[], [{"gate": "top", "density": 0.4}], [{"gate": "bernoulli", "density": 0.4}, {"restore": "l1"}]]
        ),
        *rng.choice([[], [{"vote": "sign"}]]),
        {"weigh": [round(rng.uniform(0.1, 1.5), 3) for _ in range(2)]},
        {"reduce": rng.choice(["sum", "mean"])},
    ]
    one, other = recipe_of({"pipe": stages}), recipe_of({"pipe": respelt(rng, stages)})
    assert one.digest == other.digest
    experts, origin = tensors_of(rng, 2)
    pipes = [recipe.canonical.blends["mix"].rules[0].pipe for recipe in (one, other)]
    assert torch.equal(*(merged(pipe, experts, origin) for pipe in pipes))  # type: ignore[arg-type]


def generic_pipe(rng: random.Random) -> tuple[Any, ...]:
    """A pipe without the numbers at which stages become each other: no ends, zeros, equal or mirrored weights."""
    gate: list[Tree] = [{"gate": rng.choice(["top", "bernoulli"]), "density": rng.choice([0.3, 0.6])}]
    weights = rng.choice([[0.5, 1.0], [1.0, 2.0], [-0.7, 1.0], [0.3, 0.8]])
    scale = {"post": "scale", "by": rng.choice([1, 2, 0.5])}
    return pipe_of(
        *rng.choice([[], gate, [*gate, {"restore": rng.choice(["none", "inverse", "l1"])}]]),
        *rng.choice([[], [{"vote": "sign", "tally": rng.choice(["weighted", "plain"])}]]),
        {"weigh": weights},
        {"reduce": "sphere", "t": 0.3} if rng.random() < 0.3 else {"reduce": rng.choice(["sum", "mean"])},
        scale,
    )


def test_digests_part_pipes_as_tensors_do() -> None:
    """Equal canonical forms and equal tensors, to the bit, go together over all pairs of 400 pipes."""
    rng = random.Random(0)
    *experts, origin = torch.randn(3, 997, generator=torch.Generator().manual_seed(0))
    forms = [canonical_pipe(generic_pipe(rng), 2, has_origin=True) for _ in range(400)]
    tensors = [merged(form, experts, origin).numpy().tobytes() for form in forms]
    assert 30 < len(set(forms)) < 300
    assert len(set(zip(forms, tensors, strict=True))) == len(set(forms)) == len(set(tensors))


class TestIdentified:
    """Spellings of one merge."""

    def test_an_interpolation_at_an_end(self) -> None:
        gates: list[Tree] = [{"gate": "top", "density": [0.3, 0.5]}]
        for t, weights in ((0.0, [0.7, 0]), (1, [0, 2])):
            sphere = {"reduce": "sphere", "t": t}
            assert form(*gates, {"weigh": [0.7, 2]}, sphere) == form(*gates, {"weigh": weights}, {"reduce": "sum"})

    def test_gates_of_an_expert_that_says_nothing(self) -> None:
        weigh: dict[str, Tree] = {"weigh": [0.7, 0]}
        one = form({"gate": "top", "density": [0.3, 0.9]}, {"vote": "sign"}, weigh)
        assert one == form({"gate": "top", "density": 0.3}, weigh)
        assert form({"gate": "top", "density": 0.3}, {"weigh": [0, 0]}) == form({"weigh": [0, 0]})

    def test_tallies_of_equal_weights(self) -> None:
        weigh, vote = {"weigh": [0.5, 0.5]}, {"vote": "sign", "tally": "plain"}
        assert form(vote, weigh, {"reduce": "mean"}) == form({"vote": "sign"}, weigh, {"reduce": "mean"})

    def test_a_gate_that_a_stricter_one_of_its_kind_came_before(self) -> None:
        strict, other, loose = ({"gate": g, "density": d} for g, d in (("top", 0.2), ("bernoulli", 0.5), ("top", 0.4)))
        assert form(strict, other, loose) == form(strict, other)

    def test_restoring_and_weighing_by_the_inverse(self) -> None:
        gate, inverse = {"gate": "bernoulli", "density": 0.25}, {"restore": "inverse"}
        assert form(gate, inverse, {"weigh": [0.5, 0.2]}) == form(gate, {"weigh": [2, 0.8]})

    def test_neutral_stages(self) -> None:
        assert form({"weigh": [0.5, 0.7]}, {"reduce": "sum"}) == form(
            {"origin": "base"},
            {"gate": "none"},
            {"gate": "top", "density": [1, 1]},
            {"gate": "bernoulli", "density": 1},
            {"restore": "inverse"},
            {"vote": "none", "tally": "plain"},
            {"weigh": [0.5, 0.7]},
            {"post": "scale", "by": 1},
        )

    def test_what_is_left_out(self) -> None:
        assert form() == form({"weigh": [1, 1]}, {"reduce": "sum"})

    def test_a_factor_of_a_sum_whether_in_weights_or_scales(self) -> None:
        assert form({"weigh": [1, 3]}) == form(
            {"weigh": [2, 6]}, {"post": "scale", "by": 2}, {"post": "scale", "by": 0.25}
        )
        assert form({"weigh": [-1, -3]}) == form({"weigh": [1, 3]}, {"post": "scale", "by": -1})

    def test_a_factor_of_a_voted_sum(self) -> None:
        vote: dict[str, Tree] = {"vote": "sign"}
        assert form(vote, {"weigh": [1, 3]}) == form(vote, {"weigh": [2, 6]}, {"post": "scale", "by": 0.5})
        plain = vote | {"tally": "plain"}
        assert form(plain, {"weigh": [-1, -3]}) == form(plain, {"weigh": [1, 3]}, {"post": "scale", "by": -1})

    def test_a_factor_of_spherical_interpolation(self) -> None:
        sphere = {"reduce": "sphere", "t": 0.3}
        assert form({"weigh": [2, 2]}, sphere) == form(sphere, {"post": "scale", "by": 2})
        assert form(sphere) == form({"weigh": [1, 1]}, sphere)

    def test_a_factor_of_the_weights_of_a_mean(self) -> None:
        vote, mean = {"vote": "sign"}, {"reduce": "mean"}
        assert form({"weigh": [1, 3]}, mean) == form({"weigh": [0.1, 0.3]}, mean)
        assert form(vote, {"weigh": [1, 3]}, mean) == form(vote, {"weigh": [0.1, 0.3]}, mean)

    def test_a_mean_without_a_vote_is_a_sum(self) -> None:
        assert form({"weigh": [1, 3]}, {"reduce": "mean"}, {"post": "scale", "by": 2}) == form({"weigh": [0.5, 1.5]})

    def test_a_mean_over_weights_that_cancel_is_a_sum(self) -> None:
        assert form({"weigh": [0.3, -0.3]}, {"reduce": "mean"}) == form({"weigh": [0.3, -0.3]})
        assert form({"weigh": [0, 0]}, {"reduce": "mean"}) == form({"weigh": [0, 0]})

    def test_the_origin_when_weights_sum_to_one(self) -> None:
        for weights in ([0.25, 0.75], [1.5, -0.5], [1 / 3, 2 / 3]):
            assert form({"weigh": weights}) == form({"origin": "zero"}, {"weigh": weights})
        thirds = {"weigh": [1, 1, 1]}
        assert form(thirds, {"reduce": "mean"}, num_experts=3) == form(
            {"origin": "zero"}, {"weigh": [1 / 3] * 3}, num_experts=3
        )

    def test_one_expert_needs_no_vote(self) -> None:
        for stages in ([], [{"gate": "top", "density": 0.5}], [{"origin": "zero"}, {"gate": "top", "density": 0.5}]):
            for reducer in ("sum", "mean"):
                weigh, reduce = {"weigh": [-0.5]}, {"reduce": reducer}
                assert form(*stages, {"vote": "sign"}, weigh, reduce, num_experts=1) == form(
                    *stages, weigh, reduce, num_experts=1
                )

    def test_of_two_gates_of_a_kind_the_stricter_decides(self) -> None:
        for gate in ("top", "bernoulli"):
            twice = form({"gate": gate, "density": 0.7}, {"gate": "none"}, {"gate": gate, "density": [0.3, 0.9]})
            assert twice == form({"gate": gate, "density": [0.3, 0.7]})

    def test_a_density_that_rounds_to_one(self) -> None:
        assert form({"gate": "top", "density": 0.9999999999}) == form()

    def test_minus_zero(self) -> None:
        assert repr(form({"weigh": [-0.0, 1]})) == repr(form({"weigh": [0.0, 1]}))


class TestKeptApart:
    """Merges that look alike."""

    def test_a_negative_factor_turns_a_weighted_vote_around(self) -> None:
        vote: dict[str, Tree] = {"vote": "sign"}
        assert form(vote, {"weigh": [-1, -3]}) != form(vote, {"weigh": [1, 3]}, {"post": "scale", "by": -1})

    def test_factors_of_a_voted_mean_whose_weights_have_both_signs(self) -> None:
        vote, mean = {"vote": "sign"}, {"reduce": "mean"}
        assert form(vote, {"weigh": [1, -1, 0.5]}, mean, num_experts=3) != form(
            vote, {"weigh": [2, -2, 1]}, mean, num_experts=3
        )

    def test_the_origin_matters_to_gates_votes_and_spheres(self) -> None:
        for stage in ({"gate": "top", "density": 0.5}, {"vote": "sign"}, {"reduce": "sphere", "t": 0.5}):
            weigh = [] if "reduce" in stage else [{"weigh": [0.5, 0.5]}]
            assert form(stage, *weigh) != form({"origin": "zero"}, stage, *weigh)

    def test_the_order_of_different_gates(self) -> None:
        gates = [{"gate": "top", "density": 0.5}, {"gate": "bernoulli", "density": 0.5}]
        assert form(*gates) != form(*reversed(gates))
        assert len(form(gates[0], gates[1], {"gate": "top", "density": 0.3})) == 5

    def test_a_density_of_one_expert_alone(self) -> None:
        assert form({"gate": "top", "density": [1, 0.5]}) != form({"gate": "top", "density": 0.5})

    def test_an_expert_with_weight_zero_still_votes_in_a_plain_tally(self) -> None:
        vote = {"vote": "sign", "tally": "plain"}
        assert form(vote, {"weigh": [1, 0]}) != form({"weigh": [1, 0]})


class TestDigest:
    """What makes a recipe another one."""

    def test_names_and_paths_do_not(self) -> None:
        tree = {
            "models": {
                "x": {"path": "elsewhere", "digest": "sha256:base"},
                "y": {"path": "b", "digest": "sha256:math"},
                "z": {"path": "c", "digest": "sha256:ja"},
            },
            "blends": {"other": {"origin": "x", "experts": ["y", "z"], "pipe": []}},
        }
        assert parse(Recipe, tree, "r").digest == recipe_of().digest

    def test_models_and_blends_that_nothing_uses_do_not(self) -> None:
        tree = {
            "models": {**MODELS, "more": {"path": "x"}},
            "blends": {
                "unused": {"experts": ["more"], "pipe": []},
                "mix": {"origin": "base", "experts": ["math", "ja"], "pipe": []},
            },
        }
        recipe = parse(Recipe, tree, "r")
        assert recipe.digest == recipe_of().digest
        assert list(recipe.canonical.blends) == ["mix"]

    def test_a_seed_that_nothing_draws_from_does_not(self) -> None:
        gate = {"gate": "bernoulli", "density": 1.0}
        assert recipe_of({"pipe": [gate], "seed": 1}).digest == recipe_of({"pipe": [gate], "seed": 2}).digest

    def test_rules_that_do_what_the_next_one_does_do_not(self) -> None:
        same: list[Tree] = [{"weigh": [0.3, 0.3]}]
        rules = [
            {"where": {"layers": [0, 3]}, "pipe": same},
            {"where": {"roles": ["mlp"]}, "pipe": [{"weigh": [0.6, 0.6]}, {"post": "scale", "by": 0.5}]},
            {"pipe": same},
        ]
        assert recipe_of({"rules": rules}).digest == recipe_of({"pipe": same}).digest

    def test_the_spelling_of_where_does_not(self) -> None:
        one = {"where": {"roles": ["mlp", "norm", "mlp"], "names": ["b", "a"]}, "pipe": []}
        other = {"where": {"roles": ["norm", "mlp"], "names": ["a", "b"]}, "pipe": []}
        assert recipe_of({"rules": [one]}).digest == recipe_of({"rules": [other]}).digest
        everywhere: list[Tree] = [{"where": {}, "pipe": []}]
        assert recipe_of({"rules": everywhere}).digest == recipe_of({"pipe": []}).digest

    def test_the_name_of_a_preset_does_not(self) -> None:
        preset = {"use": "task_arithmetic", "weights": [0.2, 0.4], "scale": 2}
        assert recipe_of({"rules": [preset]}).digest == recipe_of({"pipe": [{"weigh": [0.4, 0.8]}]}).digest

    def test_a_dtype_that_is_spelt_out_does(self) -> None:
        assert len({recipe_of(dtype=dtype).digest for dtype in (None, "float32", "bfloat16", "float16")}) == 4

    @pytest.mark.parametrize(
        "blend",
        [
            {"pipe": [{"weigh": [1, 1.00000001]}]},
            {"pipe": [], "origin": "math"},
            {"pipe": [], "experts": ["ja", "math"]},
            {"pipe": [], "experts": ["math", "math"]},
            {"pipe": [{"origin": "zero"}]},
            {"pipe": [{"gate": "top", "density": 0.5}]},
            {"pipe": [{"gate": "bernoulli", "density": 0.5}]},
            {"pipe": [{"gate": "bernoulli", "density": 0.5}], "seed": 1},
            {"pipe": [{"gate": "bernoulli", "density": 0.5}, {"restore": "l1"}]},
            {"pipe": [{"gate": "bernoulli", "density": 0.5}, {"restore": "inverse"}]},
            {"pipe": [{"vote": "sign"}]},
            {"pipe": [{"vote": "sign", "tally": "plain"}]},
            {"pipe": [{"vote": "sign"}, {"reduce": "mean"}]},
            {"pipe": [{"reduce": "mean"}]},
            {"pipe": [{"reduce": "sphere", "t": 0.5}]},
            {"pipe": [{"reduce": "sphere", "t": 0.6}]},
            {"rules": [{"where": {"layers": [0, 1]}, "pipe": []}]},
            {"rules": [{"where": {"layers": [0, 2]}, "pipe": []}]},
            {"rules": [{"where": {"roles": ["mlp"]}, "pipe": []}]},
            {"rules": [{"where": {"names": ["*"]}, "pipe": []}]},
        ],
    )
    def test_whatever_changes_tensors_does(self, blend: dict[str, Tree]) -> None:
        assert recipe_of(blend).digest != recipe_of().digest
        others = [{"pipe": [{"post": "scale", "by": 3}]}, {"pipe": [{"gate": "top", "density": 0.25}]}]
        assert recipe_of(blend).digest not in {recipe_of(other).digest for other in others}

    def test_another_model_under_the_same_name_does(self) -> None:
        changed = {**MODELS, "ja": {"path": "zoo/ja", "digest": "sha256:other"}}
        assert recipe_of(models=changed).digest != recipe_of().digest
        unknown = {**MODELS, "ja": {"path": "zoo/ja"}}
        moved = {**MODELS, "ja": {"path": "elsewhere/ja"}}
        assert recipe_of(models=unknown).digest != recipe_of(models=moved).digest

    def test_the_tokenizer_does(self) -> None:
        assert recipe_of(tokenizer={"from": "ja"}).digest != recipe_of().digest
        assert recipe_of(tokenizer={"from": "base"}).digest == recipe_of().digest

    def test_the_order_of_rules_does(self) -> None:
        rules = [{"where": {"layers": [0, 3]}, "pipe": []}, {"where": {"roles": ["mlp"]}, "pipe": [{"weigh": [2, 2]}]}]
        assert recipe_of({"rules": rules}).digest != recipe_of({"rules": rules[::-1]}).digest

    def test_each_place_that_one_pipe_acts_on_does(self) -> None:
        first, second = ({"where": {"layers": [layer, layer]}, "pipe": []} for layer in (0, 1))
        assert recipe_of({"rules": [first, second]}).digest != recipe_of({"rules": [second]}).digest

    def test_digests_stay_as_they_are(self) -> None:
        """Logs and model cards name recipes by them, so that an earlier version's must not change."""
        assert recipe_of().digest == "8df9a0dd022e70ae5d1cd702a6ae9b7bc55587f56dd8919df1936739481c228b"


@given(RNGS, st.integers(1, 4))
def test_a_pipe_is_taken_apart_into_what_it_does(rng: random.Random, num_experts: int) -> None:
    """Parts that are put together again are the same pipe."""
    parts = Parts.of(random_pipe(rng, num_experts), num_experts)
    assert Parts.of(tuple(parts.stages), num_experts) == parts
