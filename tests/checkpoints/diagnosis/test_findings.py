"""Findings: each kind where it belongs, and none for sound fine-tunes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from evomerge.checkpoints import Checkpoint
from evomerge.checkpoints.diagnosis import Finding, diagnose

Save = Callable[..., dict[str, Checkpoint]]


def found(models: dict[str, Checkpoint]) -> dict[tuple[str, tuple[str, ...]], Finding]:
    return {(finding.kind, finding.models): finding for finding in diagnose(models).findings}


def related(toy: Any, base: dict[str, torch.Tensor], *seeds: int) -> list[dict[str, torch.Tensor]]:
    """Fine-tunes that have learnt something in common."""
    return [toy.tuned(toy.tuned(base, 99), seed) for seed in seeds]


def test_sound_fine_tunes_are_clean(save: Save, toy: Any) -> None:
    base = toy.model(0)
    math, ja = related(toy, base, 1, 2)
    assert found(save(base=base, math=math, ja=ja)) == {}


def test_a_random_model_is_foreign(save: Save, toy: Any) -> None:
    base = toy.model(0)
    math, ja = related(toy, base, 1, 2)
    problems = found(save(base=base, math=math, ja=ja, odd=toy.model(5)))
    assert problems["foreign", ("odd",)].severity == "stop"
    assert "odd is foreign: in 6 of 6 parts" in problems["foreign", ("odd",)].sentence
    assert set(problems) == {("foreign", ("odd",))}, "nothing else is worth saying of it, and the others are sound"


def test_the_gravest_comes_first_and_groups_are_for_sound_experts(save: Save, toy: Any) -> None:
    base = toy.model(0)
    math, ja = related(toy, base, 1, 2)
    models = save(base=base, math=math, ja=ja, loud=toy.tuned(base, 3, by=0.4), odd=toy.model(5))
    found = diagnose(models)
    assert [finding.severity for finding in found.findings] == ["stop", "care", "note"]
    assert found.sound.experts == ("math", "ja", "loud")
    assert found.grouping == diagnose({name: models[name] for name in ("base", *found.sound.experts)}).grouping


def test_biases_that_are_alike_do_not_hide_a_foreign_model(save: Save, toy: Any) -> None:
    alike = {f"model.layers.{layer}.mlp.up_proj.bias": torch.full((48,), 50.0) for layer in range(3)}
    problems = found(save(base=toy.model(0) | alike, odd=toy.model(5) | alike))
    assert "odd is foreign: in 6 of 6 parts" in problems["foreign", ("odd",)].sentence


def test_a_model_with_one_foreign_layer_has_foreign_parts(save: Save, toy: Any) -> None:
    base, odd = toy.model(0), toy.model(5)
    math = toy.tuned(base, 1) | {name: tensor for name, tensor in odd.items() if ".1.mlp." in name}
    finding = found(save(base=base, math=math))["foreign", ("math",)]
    assert finding.severity == "care"
    assert "math has foreign parts: mlp in layer 1 (relative norm 1.4" in finding.sentence


def test_a_model_of_which_half_is_foreign_has_foreign_parts(save: Save, toy: Any) -> None:
    base, odd = toy.model(0), toy.model(5)
    math = toy.tuned(base, 1) | {name: tensor for name, tensor in odd.items() if ".mlp." in name}
    finding = found(save(base=base, math=math))["foreign", ("math",)]
    assert (finding.severity, "mlp in layers 0–2" in finding.sentence) == ("care", True)


def test_gauged_parts_are_not_foreign(save: Save, toy: Any) -> None:
    base = toy.model(0)
    math, ja = related(toy, base, 1, 2)
    wild = toy.scrambled(toy.scrambled(toy.scrambled(math, 0), 1), 2)
    problems = found(save(base=base, wild=wild, mixed=toy.shuffled(ja, 1)))
    assert {key for key in problems if key[0] in ("foreign", "re-gauged")} == {
        ("re-gauged", ("wild",)),
        ("re-gauged", ("mixed",)),
    }
    sentence = problems["re-gauged", ("wild",)].sentence
    assert (
        "wild is re-gauged in layers 0–2: its value and output projections are the base's in another basis" in sentence
    )
    assert "mixed is re-gauged in layer 1: its hidden units" in problems["re-gauged", ("mixed",)].sentence


def test_models_that_add_nothing(save: Save, toy: Any) -> None:
    base = toy.model(0)
    math, ja = related(toy, base, 1, 2)
    problems = found(save(base=base, copy=base, math=math, ja=ja, again=math))
    assert set(problems) == {("identical", ("copy",)), ("twins", ("math", "again"))}


def test_the_loudest_and_the_loners_are_named(save: Save, toy: Any) -> None:
    base = toy.model(0)
    math, ja = related(toy, base, 1, 2)
    loud = toy.tuned(base, 3, by=0.4)
    problems = found(save(base=base, math=math, ja=ja, loud=loud))
    assert set(problems) == {("dwarfs", ("loud",)), ("unrelated", ("loud",))}
    assert "5.7 times as long" in problems["dwarfs", ("loud",)].sentence


@pytest.mark.parametrize(("times", "is_told"), [(2.9, False), (3.1, True)])
def test_three_times_the_length_of_the_others_is_told(save: Save, times: float, is_told: bool) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    base, step = torch.ones(4, 8) * 3, torch.eye(4, 8)
    experts = {"a": step, "b": step.roll(1, 1), "loud": times * step.roll(2, 1)}
    models = save(base={name: base}, **{key: {name: base + change} for key, change in experts.items()})
    assert (("dwarfs", ("loud",)) in found(models)) is is_told


def test_experts_without_anything_in_common_are_named_together(save: Save, toy: Any) -> None:
    base = {"model.layers.0.mlp.up_proj.weight": torch.zeros(2, 8)}
    one, other = ({name: torch.eye(2, 8).roll(shift, 1) for name in base} for shift in (0, 4))
    base = {name: torch.ones(2, 8) * 3 for name in base}
    models = save(base=base, a={n: base[n] + one[n] for n in base}, b={n: base[n] + other[n] for n in base})
    finding = found(models)["unrelated", ("a", "b")]
    assert "The changes of a and b are unrelated to all others (cosine at most 0.000)" in finding.sentence


def test_rounding_is_told_from_what_stood_still(save: Save, toy: Any) -> None:
    base = {name: tensor.bfloat16() for name, tensor in toy.model(0).items()}
    math = {name: tensor.bfloat16() for name, tensor in toy.tuned(base, 1, by=2e-3).items()}
    math |= {name: base[name] for name in base if "embed" in name or "norm" in name}
    problems = found(save(base=base, math=math))
    assert set(problems) == {("zeros", ("math",)), ("frozen", ("math",))}
    moved = [name for name in base if "proj" in name]
    zeros = sum(int((math[name] == base[name]).sum()) for name in moved) / sum(base[name].numel() for name in moved)
    assert f"{zeros:.0%} of math's changes are exactly zero" in problems["zeros", ("math",)].sentence
    assert "math left embedding and norm as in base" in problems["frozen", ("math",)].sentence
