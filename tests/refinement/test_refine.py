"""The plane is the merge, its gradient that of the merge's loss, and a refined recipe merges to what had the loss."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evomerge.cli import main
from evomerge.errors import ConfigError, EvomergeError
from evomerge.merging import Library, ResidentModel
from evomerge.recipe import Recipe, load_recipe
from evomerge.recipe.files import dump_recipe
from evomerge.refinement import METHODS, Coefficients, Plan, coefficients_of, refine
from evomerge.refinement.plane import Plane, heard
from evomerge.refinement.refine import slope
from evomerge.refinement.samples import Sample, in_turn, read_samples, stretch

MakeRecipe = Callable[..., Recipe]
SUM = {"reduce": "sum"}
GATED = {"gate": "top", "density": 0.5}
DROPPED = [{"gate": "bernoulli", "density": 0.5}, {"restore": "inverse"}]

RULES: dict[str, list[dict[str, Any]]] = {
    "span": [{"where": {"span": [100, 2000]}, "use": "task_arithmetic"}, {"pipe": [{"weigh": [0.6, 0.1]}, SUM]}],
    "task arithmetic": [{"use": "task_arithmetic", "weights": [0.4, 0.7], "scale": 0.8}],
    "mean": [{"use": "linear", "weights": [1.0, 3.0]}],
    "dare": [{"pipe": [*DROPPED, {"weigh": [0.3, 0.5]}, {"reduce": "mean"}]}],
    "plain vote": [{"pipe": [GATED, {"vote": "sign", "tally": "plain"}, {"weigh": [0.9, 0.5]}, SUM]}],
    "rules": [
        {"where": {"layers": [0, 0]}, "pipe": [{"weigh": [0.2, 0.9]}, SUM]},
        {"where": {"roles": ["mlp"]}, "use": "linear"},
        {
            "where": {"layers": [1, 1]},
            "pipe": [GATED, {"weigh": [0.6, 0.1]}, SUM, {"post": "stock", "cosine": "measured"}],
        },
        {"pipe": [{"weigh": [0.5, 0.5]}, SUM, {"post": "ramp", "alpha": 0.5, "beta": 0.5}]},
    ],
}


def bench(recipe: Recipe) -> tuple[Coefficients, ResidentModel]:
    coefficients = coefficients_of(recipe.model_copy(update={"dtype": "float32"}), "recipe")
    return coefficients, ResidentModel(coefficients.recipe, Library())


def samples_of(
    coefficients: Coefficients, resident: ResidentModel, texts: Path, method: str, limit: int = 2
) -> list[Sample]:
    if not METHODS[method].asks_experts:
        return read_samples(texts / "labelled.jsonl", resident.tokenizer, limit, 16)
    files = []
    for name in coefficients.experts:
        resident.hold(coefficients.expert(name))
        found = read_samples(texts / f"{name}.txt", resident.tokenizer, limit, 16)
        files.append([dataclasses.replace(one, teacher=heard(resident.model, one.tokens)) for one in found])
    return in_turn(files)


def plan(method: str, texts: Path, **change: Any) -> Plan:
    chosen = METHODS[method]
    own = [(name, texts / f"{name}.txt") for name in ("math", "ja")]
    data: list[tuple[str | None, Path]] = [*own] if chosen.asks_experts else [(None, texts / "labelled.jsonl")]
    rate = 0.2 if method == "fw_merging" else 0.02
    return Plan(**{"method": chosen, "data": data, "rate": rate, "steps": 8, "batch": None} | change)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("kind", ["family", "tied_family"])
def test_the_plane_is_the_merge(name: str, kind: str, recipe_of: MakeRecipe, request: pytest.FixtureRequest) -> None:
    coefficients, resident = bench(recipe_of(RULES[name], request.getfixturevalue(kind)))
    plane = Plane(coefficients, resident)
    weights_RE = np.random.default_rng(0).uniform(0.1, 1.2, coefficients.start_RE.shape).round(5)
    merged = plane.at(torch.from_numpy(weights_RE))
    resident.hold(coefficients.with_weights(weights_RE))
    held = dict(resident.model.named_parameters())
    assert set(held) == set(merged)
    for key, tensor in merged.items():
        torch.testing.assert_close(tensor, held[key].detach(), rtol=0, atol=2e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["rules", "plain vote"])
def test_gradients_are_those_of_the_real_merge(method: str, name: str, recipe_of: MakeRecipe, texts: Path) -> None:
    coefficients, resident = bench(recipe_of(RULES[name]))
    samples, chosen = samples_of(coefficients, resident, texts, method), METHODS[method]
    plane, start_RE = Plane(coefficients, resident), coefficients.start_RE
    weights_RE = (start_RE + np.linspace(0.02, 0.1, start_RE.size).reshape(start_RE.shape)).round(5)

    def real(weights_RE: np.ndarray[Any, Any]) -> float:
        resident.hold(coefficients.with_weights(weights_RE))
        losses = [float(chosen.loss(heard(resident.model, one.tokens), one)) for one in samples]
        penalty = chosen.penalty(torch.from_numpy(weights_RE), torch.from_numpy(start_RE))
        return sum(losses) / len(losses) + float(penalty)

    loss, gradient_RE = slope(plane, chosen, weights_RE, start_RE, samples)
    assert loss == pytest.approx(real(weights_RE), rel=1e-5)
    for place in np.ndindex(weights_RE.shape):
        step_RE = np.zeros_like(weights_RE)
        step_RE[place] = 0.01
        expected = (real(weights_RE + step_RE) - real(weights_RE - step_RE)) / 0.02
        assert gradient_RE[place] == pytest.approx(expected, rel=0.02, abs=5e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_refined_recipe_lowers_its_loss_and_merges_to_what_has_it(
    method: str, recipe_of: MakeRecipe, texts: Path, tmp_path: Path
) -> None:
    rule = {"use": "task_arithmetic", "weights": [0.1, 1.1]}
    recipe = recipe_of([{"where": {"layers": [0, 0]}} | rule, rule])
    wanted = plan(method, texts)
    refined = refine(coefficients_of(recipe, "recipe"), Library(), wanted)
    assert refined.after < refined.before
    assert refined.recipe.dtype is None
    path = tmp_path / "refined.yaml"
    path.write_text(dump_recipe(refined.recipe))
    assert load_recipe(path) == refined.recipe

    coefficients, resident = bench(load_recipe(path))
    samples = samples_of(coefficients, resident, texts, method, limit=4)
    resident.hold(coefficients.recipe)
    losses = [float(wanted.method.loss(heard(resident.model, one.tokens), one)) for one in samples]
    start = coefficients_of(recipe, "recipe").start_RE
    penalty = wanted.method.penalty(torch.from_numpy(coefficients.start_RE), torch.from_numpy(start))
    assert sum(losses) / len(losses) + float(penalty) == pytest.approx(refined.after, abs=1e-5)


def test_data_must_suit_the_method(recipe_of: MakeRecipe, texts: Path) -> None:
    coefficients = coefficients_of(recipe_of(RULES["mean"]), "recipe")
    nameless = plan("dam", texts, data=[(None, texts / "ja.txt"), ("str", texts / "ja.txt")])
    with pytest.raises(
        ConfigError, match=r"Say whose they are: NAME=\S+, of math, ja\.\n.*\"str\" is none of the experts"
    ):
        refine(coefficients, Library(), nameless)
    with pytest.raises(ConfigError, match="--method: Frank-Wolfe adds experts up, and a rule takes a mean"):
        refine(coefficients, Library(), plan("fw_merging", texts))


def test_where_nothing_is_gained_nothing_is_returned(recipe_of: MakeRecipe, texts: Path) -> None:
    coefficients = coefficients_of(recipe_of(RULES["task arithmetic"]), "recipe")
    for steps in (0, 1):
        with pytest.raises(EvomergeError, match="nothing is gained"):
            refine(coefficients, Library(), plan("expert_merging", texts, rate=5.0, steps=steps))


def test_texts_take_turns_and_begin_again() -> None:
    first, second, third = (Sample(torch.full((1, 2), index)) for index in range(3))
    assert in_turn([[first, second], [third]]) == [first, third, second]
    assert stretch([first, second, third], 1, 2) == [third, first]
    assert stretch([first, second], 0, 9) == [first, second]


def test_a_line_that_is_no_text(family: Path, recipe_of: MakeRecipe, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "w3 w4"}\n{"prompt": "w3"}\n')
    _, resident = bench(recipe_of(RULES["mean"]))
    with pytest.raises(ConfigError, match=r'bad\.jsonl: line 2: is no text\. Write a line such as \{"text"'):
        read_samples(tmp_path / "bad.jsonl", resident.tokenizer, 9, 9)


def test_a_text_may_hold_a_line_end_of_unicode(family: Path, recipe_of: MakeRecipe, tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "w3 \u2028 w4"}\n', encoding="utf-8")
    _, resident = bench(recipe_of(RULES["mean"]))
    (sample,) = read_samples(tmp_path / "texts.jsonl", resident.tokenizer, 9, 9)
    assert sample.tokens.tolist() == resident.tokenizer("w3 \u2028 w4", return_tensors="pt")["input_ids"].tolist()


def test_the_command_writes_a_recipe_that_the_others_take(
    recipe_of: MakeRecipe, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "average.yaml", tmp_path / "refined.yaml"
    source.write_text(dump_recipe(recipe_of(RULES["mean"])))
    data = [f"math={texts / 'math.txt'}", f"ja={texts / 'ja.txt'}"]
    words = [
        "refine",
        str(source),
        "--method",
        "dam",
        "--data",
        *data,
        "--out",
        str(out),
        "--steps",
        "4",
        "--rate",
        "0.1",
    ]
    assert main(words) == 0
    assert "2 weights of math, ja were free" in capsys.readouterr().out
    assert main(["merge", str(out), str(tmp_path / "merged")]) == 0
    assert main(words) == 2
    assert "--out" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "merged")
