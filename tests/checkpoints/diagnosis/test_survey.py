"""One pass over models, and sums by layer and role."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from evomerge.checkpoints import Checkpoint, Position
from evomerge.checkpoints.diagnosis.survey import survey
from evomerge.errors import ConfigError

Save = Callable[..., dict[str, Checkpoint]]


def vector(models: dict[str, Any], name: str, belongs: Callable[[str], bool]) -> np.ndarray:
    """Chosen tensors of a model as one vector."""
    return np.concatenate([tensor.double().numpy().ravel() for key, tensor in models[name].items() if belongs(key)])


@pytest.mark.parametrize(
    "belongs",
    [
        lambda name: True,
        lambda name: "layers.1.mlp" in name,
        lambda name: "self_attn" in name,
        lambda name: "layers.2." in name,
    ],
    ids=["whole", "part", "role", "layer"],
)
def test_unions_say_what_the_joined_vectors_say(save: Save, toy: Any, belongs: Callable[[str], bool]) -> None:
    models = {"base": toy.model(0)}
    models |= {"math": toy.tuned(models["base"], 1), "ja": toy.tuned(models["base"], 2, by=0.2)}
    found = survey(save(**models)).grouped(belongs)[True]
    base, math, ja = (vector(models, name, belongs) for name in models)
    assert found.num_entries == base.size
    assert found.base_norm == pytest.approx(np.linalg.norm(base))
    assert found.change(0).norm == pytest.approx(np.linalg.norm(math - base))
    assert found.change(1).relative_norm == pytest.approx(np.linalg.norm(ja - base) / np.linalg.norm(base))
    kinship = found.kinship(0, 1)
    assert kinship.pearson == pytest.approx(np.corrcoef(math - base, ja - base)[0, 1])
    assert kinship.conflict == pytest.approx(np.mean(np.sign(math - base) != np.sign(ja - base)))


def test_parts_are_layers_and_roles(save: Save, toy: Any) -> None:
    base = toy.model(0)
    seen = survey(save(base=base, math=base, ja=base, code=base))
    assert seen.base == "base"
    assert seen.experts == ("math", "ja", "code")
    assert seen.pairs == [(0, 1), (0, 2), (1, 2)]
    assert set(seen.parts) == {
        *(Position(layer, role) for layer in range(3) for role in ("attention", "mlp", "norm")),
        Position(None, "embedding"),
        Position(None, "norm"),
    }
    assert sum(part.num_entries for part in seen.parts.values()) == seen.whole.num_entries


def test_tensors_longer_than_a_chunk(save: Save, monkeypatch: pytest.MonkeyPatch, toy: Any) -> None:
    base = toy.model(0)
    models = save(base=base, math=toy.tuned(base, 1))
    whole = survey(models).whole
    monkeypatch.setattr("evomerge.checkpoints.diagnosis.survey._CHUNK", 37)
    assert survey(models).whole.change(0).model_dump() == pytest.approx(whole.change(0).model_dump())


def test_progress_counts_entries(save: Save, toy: Any) -> None:
    base, told = toy.model(0), list[tuple[str, int, int]]()
    survey(save(base=base, math=base), lambda *progress: told.append(progress))
    total = sum(tensor.numel() for tensor in base.values())
    assert told[-1] == ("reading", total, total)
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})


def test_counters_are_left_out(save: Save) -> None:
    models = {name: {"w.weight": torch.ones(2), "steps": torch.tensor([seed])} for seed, name in enumerate("ab")}
    assert set(survey(save(**models)).tensors) == {"w.weight"}


def test_every_broken_tensor_is_named(save: Save, toy: Any) -> None:
    base = toy.model(0)
    math = {**base, "model.norm.weight": torch.full((32,), float("nan"))}
    ja = {**base, "model.embed_tokens.weight": base["model.embed_tokens.weight"].clone()}
    ja["model.embed_tokens.weight"][3, 4] = float("inf")
    with pytest.raises(ConfigError) as caught:
        survey(save(base=base, math=math, ja=ja))
    what = "are NaN or infinite. Get the model from its source."
    assert {str(problem) for problem in caught.value.problems} == {
        f"inspect: models.math: 32 entries of model.norm.weight {what}",
        f"inspect: models.ja: 1 entries of model.embed_tokens.weight {what}",
    }


def test_models_of_other_shapes_are_refused(save: Save, toy: Any) -> None:
    base = toy.model(0)
    with pytest.raises(ConfigError, match=r"inspect: models\.math: 1 tensors have other shapes than in base"):
        survey(save(base=base, math={**base, "model.norm.weight": torch.ones(3)}))
