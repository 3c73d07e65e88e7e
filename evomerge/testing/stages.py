"""The laws of merge presets, for the tests of anyone who writes one, and random recipes to try them on."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch

from evomerge.documents import parse
from evomerge.merging.draws import Draw
from evomerge.merging.pipe import run_pipe, task_vectors
from evomerge.merging.site import lone_site
from evomerge.recipe import Recipe
from evomerge.recipe.canonical import canonical_pipe
from evomerge.recipe.parts import Parts
from evomerge.recipe.recipe import Blend
from evomerge.recipe.stages import StageValue, parse_stage
from evomerge.testing.formulas import Tensors
from evomerge.testing.statistics import statistics_of

_SHAPES = ((5, 7), (33,), (1,), (), (2, 3, 4))
_ROLES = ("attention", "mlp", "norm", "embedding", "head", "router", "other")


class FormulaContract(ABC):
    """Inherit this in a test class, say what the preset is and what its paper computes, and pytest checks the laws.

    Most presets keep two laws more, those of `PresetContract`. Where they apply, inherit `MeanContract`,
    `SymmetricContract` and `LoneContract` as well.

    Example:
        ```python
        class TestTaskArithmetic(PresetContract):
            rule = {"use": "task_arithmetic", "weights": [0.5, 0.7]}

            def formula(self, experts, origin, draws):
                return origin + 0.5 * (experts[0] - origin) + 0.7 * (experts[1] - origin)
        ```

    Attributes:
        rule: The preset with its parameters, as it would stand in a recipe.
        num_experts: How many experts the rule is for.
    """

    rule: dict[str, Any]
    num_experts: int = 2

    @abstractmethod
    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        """The published formula under `rule`, written plainly and without evomerge's stages.

        Args:
            experts: One float64 tensor per expert.
            origin: The base, float64.
            draws: Where the random numbers of each expert come from.
        """

    def test_it_computes_its_formula(self) -> None:
        for experts, origin in self._examples():
            expected = self.formula([expert.double() for expert in experts], origin.double(), draws_for(experts))
            torch.testing.assert_close(self._merge(experts, origin), expected.float(), rtol=1e-5, atol=1e-5)

    def test_its_canonical_form_gives_the_same_tensors(self) -> None:
        pipe = self._pipe(self.rule, self.num_experts)
        canonical = canonical_pipe(pipe, self.num_experts, has_origin=True)
        assert canonical_pipe(canonical, self.num_experts, has_origin=True) == canonical
        for experts, origin in self._examples():
            torch.testing.assert_close(merged(canonical, experts, origin), merged(pipe, experts, origin))

    def test_half_precision_is_read_as_the_numbers_it_stands_for(self) -> None:
        for experts, origin in self._examples():
            halves, half = [expert.bfloat16() for expert in experts], origin.bfloat16()
            result = self._merge(halves, half)
            assert result.dtype == torch.float32
            assert torch.equal(result, self._merge([each.float() for each in halves], half.float()))

    def test_models_are_left_as_they_were(self) -> None:
        for experts, origin in self._examples():
            before = [tensor.clone() for tensor in (*experts, origin)]
            self._merge(experts, origin)
            assert all(map(torch.equal, (*experts, origin), before))

    def _merge(self, experts: Tensors, origin: torch.Tensor) -> torch.Tensor:
        return self._run(self._pipe(self.rule, len(experts)), experts, origin)

    def _run(self, pipe: Sequence[StageValue], experts: Tensors, origin: torch.Tensor) -> torch.Tensor:
        return merged(pipe, experts, origin)

    def _pipe(self, rule: dict[str, Any], num_experts: int) -> tuple[StageValue, ...]:
        blend = parse(Blend, {"origin": "o", "experts": ["e"] * num_experts, "rules": [rule]}, "rule")
        preset = blend.rules[0]
        return preset.pipe if isinstance(preset.pipe, tuple) else preset.pipe(num_experts)

    def _examples(self) -> list[tuple[list[torch.Tensor], torch.Tensor]]:
        """Experts and their base, in several shapes."""
        generator = torch.Generator().manual_seed(7)
        return [
            (
                [torch.randn(shape, generator=generator) for _ in range(self.num_experts)],
                torch.randn(shape, generator=generator),
            )
            for shape in _SHAPES
        ]


class StillContract(FormulaContract):
    """For presets that leave the base alone where nobody moves."""

    def test_without_task_vectors_the_base_comes_out(self) -> None:
        for _, origin in self._examples():
            torch.testing.assert_close(self._merge([origin] * self.num_experts, origin), origin)


class HomogeneousContract(FormulaContract):
    """For presets without absolute thresholds, seen from a base of zeros."""

    def test_twice_as_far_from_zero_goes_twice_as_far(self) -> None:
        for experts, origin in self._examples():
            zero = torch.zeros_like(origin)
            doubled = self._merge([2 * expert for expert in experts], zero)
            torch.testing.assert_close(doubled, 2 * self._merge(experts, zero))


class PresetContract(StillContract, HomogeneousContract):
    """For presets that keep both laws, as most do."""


class MeanContract(FormulaContract):
    """For presets that are means of their experts."""

    def test_identical_experts_give_that_expert(self) -> None:
        for experts, origin in self._examples():
            torch.testing.assert_close(self._merge([experts[0]] * self.num_experts, origin), experts[0])


class SymmetricContract(FormulaContract):
    """For presets, and rules, that treat all experts alike."""

    def test_the_order_of_the_experts_is_irrelevant(self) -> None:
        for experts, origin in self._examples():
            pipe, draws = self._pipe(self.rule, self.num_experts), draws_for(experts)
            turned = merged(pipe, experts[::-1], origin, draws[::-1])
            torch.testing.assert_close(turned, merged(pipe, experts, origin, draws))


class LoneContract(FormulaContract):
    """For presets that work with one expert.

    Attributes:
        lone: The rule under which one expert alone comes out as it is.
    """

    lone: dict[str, Any]

    def test_one_expert_alone_comes_out_bit_by_bit(self) -> None:
        canonical = canonical_pipe(self._pipe(self.lone, 1), 1, has_origin=True)
        for (expert, *_), origin in self._examples():
            assert torch.equal(merged(canonical, [expert], origin), expert)


def draws_for(experts: Tensors, seed: int = 0) -> list[Draw]:
    """One address of random numbers per expert."""
    return [Draw(seed, f"expert {index}", "tensor") for index in range(len(experts))]


def merged(
    pipe: Sequence[StageValue], experts: Tensors, origin: torch.Tensor | None, draws: Sequence[Draw] | None = None
) -> torch.Tensor:
    """What a pipe, canonical or not, makes of one tensor of every expert."""
    parts = Parts.of(pipe, len(experts))
    deltas = task_vectors(experts, None if parts.from_zero else origin)
    draws = draws or draws_for(experts)
    models = [draw.expert for draw in draws]
    return run_pipe(parts, experts, origin, lone_site(draws, deltas, statistics=statistics_of(models, deltas[0].shape)))


def random_pipe(rng: random.Random, num_experts: int) -> tuple[StageValue, ...]:
    """Any valid pipe, with a liking for the numbers at which stages become neutral."""
    stages: list[dict[str, Any]] = []
    if rng.random() < 0.3:
        stages.append({"origin": rng.choice(["base", "zero"])})
    lens = [{"lens": "joint_svd"}] if rng.random() < 0.1 else []
    gates = [_random_gate(rng, num_experts) for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))]
    if any(gate.get("scope") == "model" for gate in gates):  # inside a lens each tensor has its own coordinates
        lens = []
    stages += [*lens, *gates]
    if rng.random() < 0.5:
        stages.append({"restore": rng.choice(["none", "inverse", "l1", "std", "nuclear"])})
    if rng.random() < 0.5:
        stages.append(_random_vote(rng, num_experts))
    if rng.random() < 0.8:
        stages.append(_random_weigher(rng, num_experts))
    if rng.random() < 0.9:
        stages.append(_random_reducer(rng, num_experts))
    for _ in range(rng.choice([0, 0, 1, 2])):
        stages.append(_random_post(rng, num_experts))
    return tuple(map(parse_stage, stages))


def random_measured_pipe(rng: random.Random, num_experts: int) -> tuple[StageValue, ...]:
    """A random pipe in which some stages give way to ones that read statistics."""
    stages = list(random_pipe(rng, num_experts))
    has_lens = any(stage.slot == "lens" for stage in stages)
    for place, stage in enumerate(stages):
        kinds = [parse_stage(kind) for kind in _measured(rng, num_experts, stage.slot)]
        if kinds and not has_lens:  # whose coordinates no statistics know
            stages[place] = rng.choice(kinds)
    return tuple(stages)


def _measured(rng: random.Random, num_experts: int, slot: str) -> list[dict[str, Any]]:
    """Stages for a slot that read statistics; none half of the time."""
    density = rng.choice([1.0, 0.5, round(rng.uniform(0.05, 1.0), 3)])
    factors = [_random_factor(rng) for _ in range(num_experts)]
    kinds: dict[str, list[dict[str, Any]]] = {
        "gate": [
            {"gate": "salient", "density": density, "of": rng.choice(["fisher", "act_sq"])},
            {"gate": "salient", "density": density, "scope": "model"},
            {"gate": "prior", "penalty": rng.choice([0.0, 0.5])},
        ],
        "weigh": [
            {"weigh": "fisher", "weights": factors, "power": rng.choice([0.0, 0.5, 1.0])},
            {"weigh": "fisher", "weights": factors, "normalise": "model", "unit": "one"},
            {"weigh": "sensitivity", "transfer": factors, "temperature": rng.choice([0.5, 1.0])},
        ],
        "reduce": [{"reduce": "metric", "shrink": rng.choice([0.0, 0.9, 1.0])}, {"reduce": "first"}],
        "post": [{"post": "channel", "floor": rng.choice([1.0, 0.4])}],
    }
    return kinds.get(slot, []) if rng.random() < 0.5 else []


def random_recipe(rng: random.Random) -> Recipe:
    """Any valid recipe of a few models and blends."""
    models = {f"model {index}": {"path": f"zoo/{index}"} for index in range(rng.randint(1, 4))}
    known, blends = list(models), dict[str, dict[str, Any]]()
    for index in range(rng.randint(1, 3)):
        blends[f"blend {index}"] = _random_blend(rng, known)
        known.append(f"blend {index}")
    calibration = {name: {"data": f"{name}.txt"} for name in models}
    tree: dict[str, Any] = {"models": models, "blends": blends, "calibration": calibration}
    if rng.random() < 0.5:
        tree["dtype"] = rng.choice(["float32", "bfloat16", "float16"])
    if rng.random() < 0.3:
        tree["tokenizer"] = {"from": rng.choice(list(models))}
    return parse(Recipe, tree, "random")


def _random_blend(rng: random.Random, known: Sequence[str]) -> dict[str, Any]:
    experts = [rng.choice(known) for _ in range(rng.randint(1, 3))]
    blend: dict[str, Any] = {"experts": experts, "seed": rng.choice([0, 1, 7])}
    if rng.random() < 0.7:
        blend["origin"] = rng.choice(known)
    if rng.random() < 0.4:
        can_measure = "origin" in blend and not any("blend" in name for name in (*experts, blend["origin"]))
        return blend | {"pipe": (random_measured_pipe if can_measure else random_pipe)(rng, len(experts))}
    rules = [_random_rule(rng, len(experts)) for _ in range(rng.randint(1, 3))]
    for rule in rules[:-1]:
        rule["where"] = _random_where(rng)
    return blend | {"rules": rules}


def _random_rule(rng: random.Random, num_experts: int) -> dict[str, Any]:
    where = {"where": _random_where(rng)} if rng.random() < 0.5 else {}
    weights = {"weights": [_random_factor(rng) for _ in range(num_experts)]} if rng.random() < 0.7 else {}
    density = {"density": rng.choice([1.0, round(rng.uniform(0.05, 1.0), 3)])}
    rules: list[dict[str, Any]] = [
        {"pipe": random_pipe(rng, num_experts)},
        {"use": "linear", **weights},
        {"use": "task_arithmetic", "scale": _random_factor(rng), **weights},
        {"use": "ties", "scale": _random_factor(rng), **density, **weights},
        {"use": "dare_linear", "restore": rng.choice(["inverse", "l1"]), **density, **weights},
        {"use": "dare_ties", **density, **weights},
    ]
    if num_experts == 2:
        rules.append({"use": "slerp", "t": round(rng.random(), 3)})
    return rng.choice(rules) | where


def _random_where(rng: random.Random) -> dict[str, Any]:
    first = rng.randint(0, 5)
    where: dict[str, Any] = {"layers": [first, first + rng.randint(0, 3)]}
    if rng.random() < 0.5:
        where["roles"] = rng.sample(_ROLES, rng.randint(1, 3))
    if rng.random() < 0.2:
        where["names"] = rng.sample(["*.weight", "model.*", "*q_proj*"], rng.randint(1, 2))
    return where


def _random_gate(rng: random.Random, num_experts: int) -> dict[str, Any]:
    one = [1.0, 0.5, 0.1, round(rng.uniform(0.05, 1.0), 3)]
    each = [rng.choice(one) for _ in range(num_experts)]
    density = {"density": rng.choice([each[0], each])}
    if rng.random() < 0.7:
        kind = rng.choice(["none", "top", "top", "bernoulli", "bernoulli", "low_rank", "spectral_top"])
        gate: dict[str, Any] = {"gate": kind} | density
        if gate["gate"] == "top" and rng.random() < 0.3:
            gate |= rng.choice([{"scope": "model"}, {"ties": "first"}])
        return gate
    scope = {"scope": rng.choice(["tensor", "row"])}
    others: list[dict[str, Any]] = [
        {"gate": "rank_bernoulli", "epsilon": rng.choice([0.0, 0.1, 0.4])} | density,
        {"gate": "band", "gamma": rng.choice([0.0, 0.05, 0.3])} | density | scope,
        {"gate": "block", "n": rng.randint(1, 3), "m": rng.randint(3, 5), "owner": rng.choice(["each", "exclusive"])},
        {"gate": "variance", "density": each[0]},
        {"gate": "clip", "at": 0.7, "unit": rng.choice(["rms", "one"])},
        {"gate": "fusion"},
        {"gate": "clamp", "low": 0.1, "high": 0.2, "scope": rng.choice(["tensor", "model"])},
        {"gate": "sign"},
    ]
    return rng.choice(others)


def _random_vote(rng: random.Random, num_experts: int) -> dict[str, Any]:
    tally = {"tally": rng.choice(["weighted", "plain", "count"])}
    votes: list[dict[str, Any]] = [
        {"vote": "none"} | tally,
        {"vote": "sign"} | tally,
        {"vote": "sign", "zero": "majority"} | tally,
        {"vote": "nonzero", "epsilon": rng.choice([0.0, 0.5]), "unit": rng.choice(["rms", "one"])},
        {"vote": "tall", "threshold": rng.choice([0.4, [0.4] * num_experts]), "at_least": rng.randint(1, 2)},
    ]
    return rng.choice(votes)


def _random_weigher(rng: random.Random, num_experts: int) -> dict[str, Any]:
    factors = [_random_factor(rng) for _ in range(num_experts)]
    weights = rng.choice([{}, {"weights": factors}])
    scope = {"scope": rng.choice(["tensor", "model"])}
    if rng.random() < 0.7:
        return {"weigh": factors}
    weighers: list[dict[str, Any]] = [
        {"weigh": "energy"} | weights,
        {"weigh": "norm", "exponent": rng.choice([2.0, 0.0, -1.0])} | scope | weights,
        {"weigh": "overlap", "epsilon": 0.5} | scope | weights,
        {"weigh": "balance", "ratio": rng.choice([0.1, 1.0])} | scope,
        {"weigh": "divergence"} | weights,
    ]
    return rng.choice(weighers)


def _random_reducer(rng: random.Random, num_experts: int) -> dict[str, Any]:
    if rng.random() < 0.5:
        return {"reduce": rng.choice(["sum", "mean"])}
    if rng.random() < 0.3:
        return _random_subspaces(rng)
    of_any: list[dict[str, Any]] = [
        {"reduce": "absmax"},
        {"reduce": "karcher", "iterations": rng.choice([0, 1, 10])},
        {"reduce": "pick", "expert": rng.randrange(num_experts)},
    ]
    t = rng.choice([0.0, 1.0, 0.5, round(rng.random(), 3)])
    of_two: list[dict[str, Any]] = [
        {"reduce": "sphere", "t": t, "scope": rng.choice(["tensor", "tensor", "row", "column"])},
        {"reduce": "swap", "bottom": rng.randint(0, 1), "top": 0},
    ]
    return rng.choice([*of_any, *of_two] if num_experts == 2 else of_any)


def _random_post(rng: random.Random, num_experts: int) -> dict[str, Any]:
    scale: dict[str, Any] = {"post": "scale", "by": _random_factor(rng)}
    others: list[dict[str, Any]] = [
        {"post": "ramp", "alpha": _random_factor(rng), "beta": rng.choice([0.0, 0.5])},
        {"post": "norm_ramp", "beta": 0.5},
        {"post": "flatten", "strength": rng.choice([0.0, 0.5, 1.0])},
        {"post": "calibrate"},
        {"post": "norm_match", "scope": rng.choice(["tensor", "model"])},
    ]
    if num_experts > 1:
        scope, cosine = rng.choice(["tensor", "row"]), rng.choice(["clipped", "measured"])
        others.append({"post": "stock", "scope": scope, "cosine": cosine})
    return scale if rng.random() < 0.6 else rng.choice(others)


def _random_subspaces(rng: random.Random) -> dict[str, Any]:
    kinds: list[dict[str, Any]] = [
        {"reduce": "matrix_sum"},
        {"reduce": "procrustes", "rank": rng.choice([1.0, 0.5, 0.2])},
        {"reduce": "common_space", "common": rng.choice([1.0, 0.5, 0.0])},
        {"reduce": "spectral_flow", "t": rng.choice([None, 0.0, 2.0, 300.0]), "start": rng.choice(["sum", "mean"])},
        {"reduce": "consensus", "combine": "mean", "steps": 3, "gain": 1.5},
        {"reduce": "fold", "alpha": rng.choice([0.0, 0.5, 1.0])},
    ]
    return rng.choice(kinds)


def _random_factor(rng: random.Random) -> float:
    return rng.choice([0.0, 1.0, 0.5, -1.0, -0.5, 1 / 3, 2.0, round(rng.uniform(-1.5, 1.5), 3), rng.uniform(0.1, 1.5)])
