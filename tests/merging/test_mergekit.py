"""Presets against mergekit's own output on the same models, as scripts/golden_mergekit recorded it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file, save_file

from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.merging import Library, Merge
from evomerge.merging.draws import LEVELS, Draw
from evomerge.recipe import Recipe
from evomerge.recipe.presets import PRESETS, PresetValue
from evomerge.recipe.recipe import Blend
from evomerge.recipe.stages import StageValue
from evomerge.testing.stages import merged as run

GOLDEN = Path(__file__).parent / "golden"
TOLD: dict[str, Any] = json.loads((GOLDEN / "mergekit.json").read_text())
CASES: dict[str, dict[str, Any]] = TOLD["cases"]
SHAPES = {name: torch.Size(shape) for name, shape in TOLD["shapes"].items()}
Tensors = dict[str, torch.Tensor]
Rule = dict[str, Any]

PENDING: dict[str, str] = {}
"""Methods that no preset computes yet, and why."""
COMPUTED = [case for case, told in CASES.items() if told["method"] not in PENDING]

MODES = ("float32", "mixed")
DIFFERENCES: dict[str, set[tuple[str, str, str]]] = {
    "ties": {
        ("ties-each", "mixed", "stack"),
        ("ties-sum", "mixed", "fine"),
        ("ties-rescale", "mixed", "fine"),
        ("breadcrumbs", "mixed", "fine"),
        ("breadcrumbs-rescale", "mixed", "matrix"),
        ("breadcrumbs-rescale", "mixed", "fine"),
        ("breadcrumbs_ties", "mixed", "fine"),
        ("breadcrumbs_ties-mean", "mixed", "fine"),
    },
    "sce": {(case, mode, "fine") for case in ("sce", "sce-topk") for mode in MODES},
    "model_stock": {("model_stock-filter-wise", mode, "fine") for mode in MODES},
    "arcee_fusion": {("arcee_fusion", mode, "fine") for mode in MODES},
    "rounding": {
        ("nuslerp-last-axis", "float32", "opposite"),
        ("model_stock-filter-wise", "float32", "opposite"),
        ("model_stock-filter-wise", "float32", "stack"),
    },
}
"""Case, mode and tensor that differ on purpose, by the anchor in docs/mergekit-differences.md."""
DIFFERENT = set().union(*DIFFERENCES.values())


W = {"weights": [0.5, 1.0, 0.7]}
NAMES: list[tuple[str, Rule, Rule | None]] = [
    # case, the preset without mergekit's name, and what makes it mergekit's after all
    ("multislerp", {"use": "multislerp", **W}, None),
    ("ties", {"use": "ties@paper", **W, "density": 0.5}, None),
    ("dare_linear", {"use": "dare_linear", **W, "density": 0.5}, {"restore": "l1"}),
    ("dare_ties", {"use": "dare_ties", **W, "density": 0.5}, {"restore": "l1"}),
    ("della", {"use": "della", **W, "density": 0.5, "epsilon": 0.2, "scale": 1.0}, {"restore": "l1"}),
    ("della_linear", {"use": "della_linear", **W, "density": 0.5, "epsilon": 0.2}, {"restore": "l1"}),
    ("breadcrumbs_ties", {"use": "breadcrumbs_ties", **W, "density": 0.6, "gamma": 0.1}, None),
    ("model_stock", {"use": "model_stock"}, {"cosine": "measured"}),
    ("nearswap", {"use": "nearswap", "t": 0.05}, {"unit": "one"}),
    ("ram-epsilon", {"use": "ram", "epsilon": 0.05}, {"unit": "one"}),
    (
        "ramplus_tl-strong",
        {"use": "ram_plus", "epsilon": 0.05, "strength": 0.5, "limit": 0.4},
        {"unit": "one", "scope": "tensor"},
    ),
]


@dataclass(frozen=True, slots=True)
class Given(Draw):
    """Draws that are given, one whole number per entry."""

    levels: torch.Tensor

    def numbers(self, start: int, stop: int) -> npt.NDArray[np.uint16]:
        return self.levels.flatten()[start:stop].numpy().astype(np.uint16)


def levels_of(mask: torch.Tensor) -> torch.Tensor:
    """Draws that keep and drop what a mask does, at any probability but 0 and 1."""
    return torch.where(mask, 0, LEVELS - 1)


@cache
def golden() -> Tensors:
    """The golden file."""
    return load_file(GOLDEN / "mergekit.safetensors")


def tensors(flat: torch.Tensor) -> Tensors:
    """The tensors of a model, or one per expert, that lie one after the other in the last axis."""
    parts = flat.split([shape.numel() for shape in SHAPES.values()], dim=-1)
    return {
        name: part.reshape(*flat.shape[:-1], *shape) for (name, shape), part in zip(SHAPES.items(), parts, strict=True)
    }


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of the golden file as checkpoints, in the folders `float32` and `bfloat16`."""
    folder = tmp_path_factory.mktemp("models")
    for dtype in ("float32", "bfloat16"):
        for model in ("0", "a", "b", "c"):
            home = folder / dtype / model
            home.mkdir(parents=True)
            (home / "config.json").write_text("{}")
            numbers = golden()[f"models/{model}"].to(getattr(torch, dtype))
            save_file({name: part.clone() for name, part in tensors(numbers).items()}, home / "model.safetensors")
    return folder


def rule_of(case: str) -> Rule:
    """The preset that computes a case: mergekit's words are evomerge's but for two."""
    told, names = CASES[case], {"weight": "weights", "lambda": "scale"}
    parameters = {names.get(name, name): value for name, value in told["parameters"].items()}
    return {"use": f"{told['method']}@mergekit", **parameters}


def blend_of(case: str, rule: Rule | None = None) -> dict[str, Any]:
    """The blend that computes a case, or another rule on its models."""
    told = CASES[case]
    origin = told["base"] if told["method"] != "slerp" else None  # for which the base is the first of two models
    experts = [each for each in told["models"] if each != origin]
    return {"origin": origin, "experts": experts, "rules": [rule or rule_of(case)]}


def computed(case: str, mode: str, models: Path, rule: Rule | None = None) -> Tensors:
    """What evomerge makes of a case, as it would be exported, with mergekit's masks where the case is stochastic."""
    dtype, blend = "float32" if mode == "float32" else "bfloat16", blend_of(case, rule)
    if f"{case}/{mode}/masks" in golden():
        masks = tensors(golden()[f"{case}/{mode}/masks"])
        return {name: under(case, name, levels_of(masks[name]), getattr(torch, dtype), blend) for name in SHAPES}
    places = {model: {"path": str(models / dtype / model)} for model in CASES[case]["models"]}
    merge = Merge(parse(Recipe, {"models": places, "blends": {"mix": blend}}, case), Library())
    return {name: merge.rounded(name) for name in SHAPES}


def under(
    case: str, name: str, levels: torch.Tensor, dtype: torch.dtype = torch.float32, blend: dict[str, Any] | None = None
) -> torch.Tensor:
    """One tensor of a stochastic case under given draws, one tensor of them per expert."""
    experts, base = sources(case, name, dtype)
    draws = [Given(0, "expert", name, each) for each in levels]
    return run(pipe_of(blend or blend_of(case)), experts, base, draws).to(dtype)


def pipe_of(blend: dict[str, Any]) -> Sequence[StageValue]:
    """The stages of a blend with one preset."""
    rule = parse(Blend, blend, "blend").rules[0]
    assert isinstance(rule, PresetValue)
    return rule.pipe(len(blend["experts"]))


def sources(case: str, name: str, dtype: torch.dtype) -> tuple[list[torch.Tensor], torch.Tensor]:
    """One tensor of every expert of a case, and the base's."""
    told = {model: tensors(golden()[f"models/{model}"].to(dtype))[name] for model in ("0", "a", "b", "c")}
    return [told[each] for each in CASES[case]["models"] if each != CASES[case]["base"]], told["0"]


def ulps(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """How many steps of bfloat16 two of its numbers are apart."""
    places = [tensor.view(torch.int16).int() for tensor in (one, other)]
    first, second = (torch.where(place < 0, -(1 << 15) - place, place) for place in places)
    return (first - second).abs()


def compared(case: str, mode: str) -> list[str]:
    """The tensors of a case that must be equal."""
    refused = CASES[case]["refused"]
    return [name for name in SHAPES if name not in refused and (case, mode, name) not in DIFFERENT]


@pytest.mark.parametrize("case", COMPUTED)
def test_in_float32_it_equals_mergekit(case: str, models: Path) -> None:
    ours, theirs = computed(case, "float32", models), tensors(golden()[f"{case}/float32"])
    for name in compared(case, "float32"):
        torch.testing.assert_close(
            ours[name], theirs[name], rtol=1e-6, atol=1e-6, msg=lambda text, n=name: f"{n}: {text}"
        )


@pytest.mark.parametrize("case", COMPUTED)
def test_in_bfloat16_it_is_one_step_from_mergekit_at_most(case: str, models: Path) -> None:
    """From mergekit with `dtype: float32` and `out_dtype: bfloat16`, for evomerge always computes so."""
    ours, theirs = computed(case, "mixed", models), tensors(golden()[f"{case}/mixed"])
    for name in compared(case, "mixed"):
        assert max_ulps(ours[name], theirs[name]) <= 1, name


def max_ulps(one: torch.Tensor, other: torch.Tensor) -> int:
    """Steps of bfloat16 between two tensors, leaving out where base and changes cancel to almost nothing."""
    is_near = (one.float() - other.float()).abs() <= 1e-6
    return int(ulps(one, other)[~is_near].max()) if not is_near.all() else 0


@pytest.mark.parametrize("case", [case for case in COMPUTED if CASES[case]["method"].startswith("della")])
def test_della_keeps_with_the_probabilities_of_mergekit(case: str) -> None:
    chances = tensors(golden()[f"{case}/float32/chances"])
    for name in set(compared(case, "float32")) - {"stack", "frozen"}:  # a stack: see the differences
        levels, base = (chances[name] * LEVELS).round().int(), sources(case, name, torch.float32)[1]
        assert torch.equal(under(case, name, levels + 1), base), "a draw above each probability drops everything"
        kept = levels_of(torch.ones_like(levels, dtype=torch.bool))
        torch.testing.assert_close(under(case, name, levels - 2), under(case, name, kept), rtol=1e-5, atol=1e-5)


def test_only_methods_without_a_preset_are_pending() -> None:
    assert {f"{method}@mergekit" for method in PENDING} & PRESETS.keys() == set()


class TestDifferences:
    """What docs/mergekit-differences.md says, line by line."""

    @pytest.mark.parametrize("case", [case for case in COMPUTED if f"{case}/mixed/masks" not in golden()])
    def test_mergekit_computes_in_bfloat16_unless_told_otherwise(self, case: str, models: Path) -> None:
        ours, theirs = computed(case, "mixed", models), tensors(golden()[f"{case}/bfloat16"])
        worst = max(max_ulps(ours[name], theirs[name]) for name in set(SHAPES) - CASES[case]["refused"].keys())
        assert (worst <= 1) == (CASES[case]["method"] in ("linear", "slerp", "passthrough"))

    @pytest.mark.parametrize(("case", "mode", "name"), sorted(DIFFERENCES["ties"]))
    def test_of_equal_magnitudes_other_ones_stay(self, case: str, mode: str, name: str, models: Path) -> None:
        ours, theirs = computed(case, mode, models)[name], tensors(golden()[f"{case}/{mode}"])[name]
        experts, base = sources(case, name, torch.bfloat16)
        is_on_edge = torch.zeros(SHAPES[name], dtype=torch.bool)
        for index, expert in enumerate(experts):
            magnitude = (expert.float() - base.float()).abs()
            for edge in edges(case, index, magnitude):
                is_on_edge |= magnitude == edge
        differs = ours != theirs
        assert differs.any()
        assert is_on_edge[differs].all()

    @pytest.mark.parametrize(("case", "mode", "name"), sorted(DIFFERENCES["sce"] - {("sce-topk", "mixed", "fine")}))
    def test_sce_weighs_by_energy_however_small_the_changes(
        self, case: str, mode: str, name: str, models: Path
    ) -> None:
        ours, theirs = computed(case, mode, models)[name], tensors(golden()[f"{case}/{mode}"])[name]
        experts, base = sources(case, name, ours.dtype)
        deltas_E = torch.stack([expert.double() - base.double() for expert in experts])
        spread = deltas_E.var(dim=0, unbiased=False)
        share = CASES[case]["parameters"].get("select_topk", 1.0)
        deltas_E = deltas_E * (
            spread >= spread.flatten().sort(descending=True).values[int(share * spread.count_nonzero()) - 1]
        )
        energies_E = deltas_E.square().mean(dim=(1, 2))
        assert energies_E.sum() < 1e-6
        for result, weights_E in ((ours, energies_E), (theirs, torch.ones(len(experts)))):
            agree_E = deltas_E.sign() == torch.where(deltas_E.sum(dim=0) >= 0, 1, -1)
            voice_E = weights_E[:, None, None] * agree_E
            mean = (voice_E * deltas_E).sum(dim=0) / voice_E.sum(dim=0).where(agree_E.any(dim=0), torch.tensor(1.0))
            step = 1e-6 if mode == "float32" else 2**-8
            torch.testing.assert_close(result.double(), base.double() + mean, rtol=step, atol=1e-8)

    @pytest.mark.parametrize(("case", "mode", "name"), sorted(DIFFERENCES["model_stock"]))
    def test_model_stock_measures_angles_however_small_the_changes(
        self, case: str, mode: str, name: str, models: Path
    ) -> None:
        ours, theirs = computed(case, mode, models)[name], tensors(golden()[f"{case}/{mode}"])[name]
        for result, least in ((ours, 0.0), (theirs, 1e-6)):
            step = 2e-6 if mode == "float32" else 2**-8
            torch.testing.assert_close(
                result.double(), stock_by_row(case, name, ours.dtype, least), rtol=step, atol=1e-7
            )

    @pytest.mark.parametrize(("case", "mode", "name"), sorted(DIFFERENCES["arcee_fusion"]))
    def test_arcee_fusion_tells_close_rows_apart(self, case: str, mode: str, name: str, models: Path) -> None:
        ours = computed(case, mode, models)[name]
        (expert,), base = sources(case, name, ours.dtype)
        before, after = base.double(), expert.double()
        one, other = before.softmax(dim=-1) + 1e-8, after.softmax(dim=-1) + 1e-8
        importance = (after - before).abs() * (other * (other / one).log()).sum(dim=-1, keepdim=True)
        order = importance.flatten().sort().values
        first, median, third = (order[int(part * (order.numel() - 1))] for part in (0.25, 0.5, 0.75))
        expected = before.where(importance < median + 1.5 * (third - first), after)
        torch.testing.assert_close(ours.double(), expected, rtol=1e-6, atol=1e-8)
        assert not torch.equal(ours, tensors(golden()[f"{case}/{mode}"])[name])

    @pytest.mark.parametrize(("case", "mode", "name"), sorted(DIFFERENCES["rounding"]))
    def test_near_a_pole_evomerge_is_nearer_to_the_formula(self, case: str, mode: str, name: str, models: Path) -> None:
        exact = (slerp_by_row if case.startswith("nuslerp") else stock_by_row)(case, name, torch.float32)
        ours, theirs = computed(case, mode, models)[name], tensors(golden()[f"{case}/{mode}"])[name]
        error, their_error = ((result.double() - exact).abs().max() for result in (ours, theirs))
        assert error < their_error < 1e-4

    @pytest.mark.parametrize("case", [case for case in COMPUTED if CASES[case]["refused"]])
    def test_what_mergekit_refuses_comes_out(self, case: str, models: Path) -> None:
        for name in CASES[case]["refused"]:
            assert computed(case, "float32", models)[name].isfinite().all()

    def test_slerp_without_mergekits_name_has_no_straight_corner(self) -> None:
        for name in ("norm", "opposite"):
            experts, base = sources("slerp-0.3", name, torch.float32)
            theirs = tensors(golden()["slerp-0.3/float32"])[name]
            first, second = base.flatten().double(), experts[0].flatten().double()
            torch.testing.assert_close(theirs.flatten().double(), 0.7 * first + 0.3 * second, rtol=1e-6, atol=1e-6)
            pipe = pipe_of({"experts": ["x", "y"], "rules": [{"use": "slerp", "t": 0.3}]})
            ours = run(pipe, [base, experts[0]], None).flatten().double()
            torch.testing.assert_close(ours, slerp(first, second, 0.3), rtol=1e-4, atol=1e-4)
            assert (ours - theirs.flatten().double()).abs().max() > 1e-5

    def test_della_ranks_the_rows_of_a_stack(self) -> None:
        """mergekit ranks along the second axis of every tensor, which in a stack of matrices is not the last."""
        chances = tensors(golden()["della/float32/chances"])["stack"]
        experts, base = sources("della", "stack", torch.float32)
        for expert, chance in zip(experts, chances, strict=True):
            magnitude = (expert - base).abs()
            assert torch.equal(chance.argsort(dim=1), magnitude.argsort(dim=1))
        half = torch.full_like(chances, LEVELS // 2, dtype=torch.int32)
        for index, expert in enumerate(experts):
            levels = half.where(torch.arange(3)[:, None, None, None] == index, torch.tensor(LEVELS - 1))
            kept = under("della", "stack", levels) != base
            magnitude = (expert - base).abs()
            upper = magnitude >= magnitude.sort(dim=-1).values[..., 2:3]  # of four in a row, two lie above the middle
            assert torch.equal(kept, upper & (magnitude > 0))

    @pytest.mark.parametrize(("case", "rule", "as_mergekit"), NAMES)
    def test_a_name_without_mergekits_follows_the_paper(
        self, case: str, rule: Rule, as_mergekit: Rule | None, models: Path
    ) -> None:
        theirs = tensors(golden()[f"{case}/float32"])["matrix"]
        assert (computed(case, "float32", models, rule)["matrix"] - theirs).abs().max() > 1e-4
        if as_mergekit is not None:
            ours = computed(case, "float32", models, rule | as_mergekit)["matrix"]
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize(
        "rule",
        [
            {"use": "ties@mergekit", "densty": 0.5},
            {"use": "ties@mergekit", "density": 1.7},
            {"use": "ties@mergekit", "density": -3},
            {"use": "linear@mergekit", "weights": [float("nan"), 1.0]},
            {"use": "slerp@mergekit", "t": 1.4},
            {"use": "nuslerp@mergekit", "weights": [1.0, -0.5]},
            {"use": "multislerp@mergekit", "weights": [1.0, -0.5]},
        ],
    )
    def test_what_mergekit_accepts_silently_is_refused(self, rule: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            parse(Blend, {"origin": "o", "experts": ["x", "y"], "rules": [rule]}, "rule")

    def test_linear_weights_that_cancel_do_not_give_nan(self) -> None:
        pipe = pipe_of({"experts": ["x", "y"], "rules": [{"use": "linear@mergekit", "weights": [1, -1]}]})
        experts = [torch.ones(3), torch.arange(3.0)]
        torch.testing.assert_close(run(pipe, experts, None), experts[0] - experts[1])


def edges(case: str, expert: int, magnitude: torch.Tensor) -> list[torch.Tensor]:
    """The smallest and the largest magnitude that TIES or Breadcrumbs keep of an expert."""
    told = CASES[case]["parameters"]
    density = told["density"][expert] if isinstance(told["density"], list) else told["density"]
    ordered, count = magnitude.flatten().sort().values, magnitude.numel()
    num_kept = int(density * count)
    first = max(0, count - num_kept - int(told.get("gamma", 0) * count))
    return [ordered[first], ordered[first + num_kept - 1]]


def slerp(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    """Shoemake 1985 between the vectors in the last axis, float64."""
    norms = first.norm(dim=-1, keepdim=True) * second.norm(dim=-1, keepdim=True)
    angle = ((first * second).sum(dim=-1, keepdim=True) / norms).acos()
    return ((((1 - t) * angle).sin() * first) + (t * angle).sin() * second) / angle.sin()


def slerp_by_row(case: str, name: str, dtype: torch.dtype) -> torch.Tensor:
    """NuSLERP of whole weights, row by row, float64."""
    experts, _ = sources(case, name, dtype)
    first, second = CASES[case]["parameters"]["weight"]
    return slerp(experts[0].double(), experts[1].double(), second / (first + second))


def stock_by_row(case: str, name: str, dtype: torch.dtype, least: float = 0.0) -> torch.Tensor:
    """Model Stock of two experts, row by row, with products of norms below `least` taken for it, float64."""
    experts, base = sources(case, name, dtype)
    first, second = (expert.double() - base.double() for expert in experts)
    norms = first.norm(dim=-1, keepdim=True) * second.norm(dim=-1, keepdim=True)
    cosine = (first * second).sum(dim=-1, keepdim=True) / norms.clamp(min=least)
    return base.double() + 2 * cosine / (1 + cosine) * (first + second) / 2
