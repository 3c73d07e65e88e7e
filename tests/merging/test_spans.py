"""Spans in a merge: tensors cut where the rules say, entry by entry what other spellings give."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evomerge.checkpoints import Checkpoint, stretches_of
from evomerge.checkpoints.layout import layout_of
from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.merging import Library, Merge, ResidentModel
from evomerge.merging.adapters.export import export_adapter
from evomerge.merging.chunks import Sources
from evomerge.merging.export import Provenance, export_model
from evomerge.recipe import Recipe
from evomerge.recipe.mergekit import write_mergekit
from tests.merging.conftest import MakeRecipe, save_model


def flat(checkpoint: Checkpoint) -> torch.Tensor:
    return torch.cat([checkpoint.tensor(stretch.name).flatten() for stretch in stretches_of(checkpoint)])


def merged(recipe: Any, library: Library) -> torch.Tensor:
    merge = Merge(recipe, library)
    return torch.cat([merge.tensor(stretch.name).flatten() for stretch in stretches_of(merge.donor)])


def test_the_flattened_model_is_in_the_architecture_s_order(zoo: Path, tied_zoo: Path) -> None:
    stretches = stretches_of(Checkpoint(zoo / "base"))
    assert [stretches[0].role, stretches[-2].name, stretches[-1].role] == ["embedding", "model.norm.weight", "head"]
    layers = [stretch.layer for stretch in stretches[1:-2]]
    assert layers == sorted(layers, key=lambda layer: layer or 0)
    assert [s.start for s in stretches] == [0, *(s.stop for s in stretches[:-1])]
    assert sum("embed" in s.name or "head" in s.name for s in stretches_of(Checkpoint(tied_zoo / "base"))) == 1


def test_the_order_of_the_files_does_not_matter(tmp_path: Path, zoo: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_model(tmp_path / "same", 0)
    tensors = load_file(tmp_path / "same" / "model.safetensors")
    save_file({f"{name}": tensors[name] for name in reversed(tensors)}, tmp_path / "same" / "model.safetensors")
    assert stretches_of(Checkpoint(tmp_path / "same")) == stretches_of(Checkpoint(zoo / "base"))


@pytest.mark.parametrize("seed", range(4))
def test_each_entry_is_what_its_own_rule_makes_of_it(recipe_of: MakeRecipe, zoo: Path, seed: int) -> None:
    rng, library = np.random.default_rng(seed), Library()
    models = {name: Checkpoint(zoo / name) for name in ("math", "ja")}
    ends = [int(end) for end in np.sort(rng.choice(np.arange(1, flat(models["math"]).numel()), 5, replace=False))]
    weights = rng.uniform(-1, 1.5, (6, 2)).round(3).tolist()
    spans = [[start, stop] for start, stop in zip([0, *ends[:-1]], ends, strict=True)]
    rules: list[Any] = [{"where": {"span": s}, "pipe": [{"weigh": w}]} for s, w in zip(spans, weights[:5], strict=True)]
    blend = {"experts": ["math", "ja"], "rules": [*rules, {"pipe": [{"weigh": weights[5]}]}]}
    found = merged(recipe_of(blends={"mix": blend}), library)
    each = np.repeat(weights, np.diff([0, *ends, found.numel()]), axis=0).T.astype(np.float32)
    wanted = sum(torch.from_numpy(w) * flat(model) for w, model in zip(each, models.values(), strict=True))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_a_span_and_a_role_must_both_hold(recipe_of: MakeRecipe, zoo: Path) -> None:
    half = {"where": {"span": [0, 3000], "roles": ["mlp"]}, "pipe": [{"weigh": [0.0, 1.0]}]}
    blend = {"experts": ["math", "ja"], "rules": [half, {"pipe": [{"weigh": [1.0, 0.0]}]}]}
    found = merged(recipe_of(blends={"mix": blend}), Library())
    for stretch in stretches_of(Checkpoint(zoo / "base")):
        number = max(0, min(3000, stretch.stop) - stretch.start) if stretch.role == "mlp" else 0
        ja, math = (flat(Checkpoint(zoo / name))[stretch.start : stretch.stop] for name in ("ja", "math"))
        assert torch.equal(found[stretch.start : stretch.stop], torch.cat([ja[:number], math[number:]]))


@pytest.mark.parametrize("rule", ["linear", "votes", "bernoulli"])
def test_models_in_memory_and_on_disk_are_those_tensors_to_the_bit(
    recipe_of: MakeRecipe, tied_zoo: Path, tmp_path: Path, rule: str
) -> None:
    stages: list[Any] = {
        "linear": [{"weigh": [0.3, 0.9]}],
        "votes": [{"vote": "sign"}, {"weigh": [0.3, 0.9]}, {"reduce": "mean"}],
        "bernoulli": [{"gate": "bernoulli", "density": 0.4}, {"weigh": [0.3, 0.9]}],
    }[rule]
    rules = [{"where": {"span": [100, 2021]}, "pipe": stages}, {"where": {"span": [2021, 3333]}, "pipe": stages[-1:]}]
    mix = {"origin": "base", "experts": ["math", "ja"], "rules": [*rules, {"pipe": [{"weigh": [1.0, 0.0]}]}]}
    recipe, library = recipe_of(zoo=tied_zoo, blends={"mix": mix}), Library()
    resident = ResidentModel(recipe, library)
    resident.hold(recipe)
    exported = Checkpoint(export_model(recipe, library, tmp_path / "out", Provenance("a test")))
    held, merge = resident.model.state_dict(), Merge(recipe, library)
    for name in exported.names:
        assert torch.equal(exported.tensor(name), held[name])
        assert torch.equal(exported.tensor(name), merge.tensor(name).to(torch.bfloat16))


def test_a_tensor_that_no_span_meets_is_the_origin_s(recipe_of: MakeRecipe, zoo: Path) -> None:
    mix = {"origin": "base", "experts": ["ja"], "rules": [{"where": {"span": [10, 700]}, "pipe": [{"weigh": [1.0]}]}]}
    found = merged(recipe_of(blends={"mix": mix}), Library())
    base, ja = (flat(Checkpoint(zoo / name)) for name in ("base", "ja"))
    assert torch.equal(found, torch.cat([base[:10], ja[10:700], base[700:]]))


def test_mergekit_knows_no_parts_of_tensors(recipe_of: MakeRecipe, zoo: Path) -> None:
    half = {"where": {"span": [0, 3000]}, "pipe": [{"weigh": [0.0, 1.0]}]}
    blend = {"experts": ["math", "ja"], "rules": [half, {"pipe": [{"weigh": [1.0, 0.0]}]}]}
    with pytest.raises(ConfigError, match="a span may cut"):
        write_mergekit(recipe_of(blends={"mix": blend}), layout_of(Checkpoint(zoo / "base")), "recipe.yaml")


def test_entries_keep_their_draws_where_a_tensor_is_cut(recipe_of: MakeRecipe, zoo: Path) -> None:
    stages: list[Any] = [{"gate": "bernoulli", "density": 0.4}, {"weigh": [0.3, 0.9]}]
    cut = [{"where": {"span": [100, 2021]}, "pipe": [{"weigh": [1.0, 0.0]}]}, {"pipe": stages}]
    found, uncut = (
        merged(recipe_of(blends={"mix": {"origin": "base", "experts": ["math", "ja"], "rules": rules}}), Library())
        for rules in (cut, [{"pipe": stages}])
    )
    outside = torch.ones(len(found), dtype=torch.bool)
    outside[100:2021] = False
    assert torch.equal(found[outside], uncut[outside])
    assert torch.equal(found[100:2021], flat(Checkpoint(zoo / "math"))[100:2021])


@pytest.mark.parametrize("span", [None, (0, 20), (3, 17), (5, 6)])
def test_pieces_are_made_of_the_span_alone(span: tuple[int, int] | None) -> None:
    sources = Sources([torch.arange(20.0)], None, [None], piece_size=6, span=span)
    pieces = list(sources.pieces())
    first, end = span or (0, 20)
    assert torch.equal(torch.cat([experts[0] for _, experts, _ in pieces]), torch.arange(float(first), float(end)))
    assert [start for start, _, _ in pieces] == list(range(first, end, 6))
    assert sources.is_whole == (end - first == 20)


def test_adapters_are_cut_as_what_they_make_of_their_base(
    zoo: Path, tmp_path: Path, save_adapter: Callable[..., Path]
) -> None:
    generator = torch.Generator().manual_seed(0)
    for name in ("one", "two"):
        b, a = torch.randn(24, 2, generator=generator), torch.randn(2, 16, generator=generator)
        save_adapter(tmp_path / name, {"model.layers.0.mlp.up_proj": (b, a)})
    models = {"base": {"path": str(zoo / "base")}}
    models |= {name: {"path": str(tmp_path / name), "adapts": "base"} for name in ("one", "two")}
    start = next(
        s.start for s in stretches_of(Checkpoint(zoo / "base")) if s.name == "model.layers.0.mlp.up_proj.weight"
    )
    rules = [{"where": {"span": [0, start + 100]}, "pipe": [{"weigh": [1.0, 0.0]}]}, {"pipe": [{"weigh": [0.0, 1.0]}]}]
    blends = {"mix": {"origin": "base", "experts": ["one", "two"], "rules": rules}}
    recipe, library = parse(Recipe, {"models": models, "blends": blends}, "recipe"), Library()
    one, two = (library.open(recipe.models[name], recipe.models) for name in ("one", "two"))
    found = Merge(recipe, library).rounded("model.layers.0.mlp.up_proj.weight").flatten()
    each = [model.tensor("model.layers.0.mlp.up_proj.weight").flatten() for model in (one, two)]
    torch.testing.assert_close(found, torch.cat([each[0][:100], each[1][100:]]), rtol=0, atol=1e-6)
    with pytest.raises(ConfigError, match="parts of a matrix have no factors"):
        export_adapter(recipe, library, tmp_path / "out", Provenance("a test"))
