"""Recipes applied to checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from evomerge.checkpoints import Checkpoint
from evomerge.documents import parse
from evomerge.errors import CandidateFailed
from evomerge.merging import Library, Merge
from evomerge.merging.draws import Draw
from evomerge.recipe import Recipe

MakeRecipe = Callable[..., Recipe]
DARE = {"use": "dare_linear", "density": 0.5, "weights": [0.6, 0.6]}


def tensors(recipe: Recipe) -> dict[str, torch.Tensor]:
    merge = Merge(recipe, Library())
    return {name: merge.tensor(name).to(merge.dtype(name)) for name in merge.names}


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


class TestRules:
    """Which pipe a tensor goes through."""

    def test_the_first_rule_that_matches_decides(self, recipe_of: MakeRecipe, zoo: Path) -> None:
        rules = [
            {"where": {"layers": [0, 0], "roles": ["mlp"]}, "pipe": [{"weigh": [1, 0]}]},
            {"where": {"layers": [0, 0]}, "pipe": [{"weigh": [0, 1]}]},
            {"where": {"names": ["*embed_tokens*"]}, "pipe": [{"weigh": [1, 0]}]},
        ]
        blends = {"mix": {"origin": "base", "experts": ["math", "ja"], "rules": rules}}
        merged = tensors(recipe_of(blends=blends))
        models = {name: Checkpoint(zoo / name) for name in ("base", "math", "ja")}
        for name, owner in {
            "model.layers.0.mlp.up_proj.weight": "math",
            "model.layers.0.self_attn.q_proj.weight": "ja",
            "model.layers.1.mlp.up_proj.weight": "base",
            "model.embed_tokens.weight": "math",
            "lm_head.weight": "base",
        }.items():
            torch.testing.assert_close(merged[name], models[owner].tensor(name))

    def test_what_no_rule_matches_is_the_origins_bit_by_bit(self, recipe_of: MakeRecipe, zoo: Path) -> None:
        merged = tensors(recipe_of({"where": {"layers": [0, 0]}, "use": "ties"}))
        assert torch.equal(merged["model.norm.weight"], Checkpoint(zoo / "base").tensor("model.norm.weight"))

    def test_without_an_origin_it_is_the_first_experts(self, recipe_of: MakeRecipe, zoo: Path) -> None:
        rules = [{"where": {"layers": [0, 0]}, "use": "linear"}]
        merged = tensors(recipe_of(blends={"mix": {"experts": ["ja", "math"], "rules": rules}}))
        assert torch.equal(merged["model.norm.weight"], Checkpoint(zoo / "ja").tensor("model.norm.weight"))


class TestLaws:
    """What holds for whole models."""

    @pytest.mark.parametrize("rule", [{"use": "linear"}, {"use": "task_arithmetic", "weights": [1]}])
    def test_one_expert_comes_out_bit_by_bit(self, recipe_of: MakeRecipe, zoo: Path, rule: dict[str, Any]) -> None:
        blend = {"origin": "base", "experts": ["math"], "rules": [rule]}
        assert_equal(tensors(recipe_of(blends={"mix": blend})), load_file(zoo / "math" / "model.safetensors"))

    @pytest.mark.parametrize("use", ["linear", "task_arithmetic", "ties", "dare_linear", "dare_ties", "slerp"])
    def test_without_task_vectors_the_base_comes_out(self, recipe_of: MakeRecipe, tied_zoo: Path, use: str) -> None:
        """In bfloat16 to the bit: the one rounding hides what float32 adds."""
        blend = {"origin": "base", "experts": ["base", "base"], "rules": [{"use": use}]}
        merged = tensors(recipe_of(blends={"mix": blend}, zoo=tied_zoo))
        assert_equal(merged, load_file(tied_zoo / "base" / "model.safetensors"))

    def test_equal_digests_give_equal_bytes(self, recipe_of: MakeRecipe) -> None:
        one = recipe_of({"pipe": [{"vote": "sign"}, {"weigh": [0.4, 0.8]}, {"reduce": "mean"}]})
        other = recipe_of({"use": "ties", "density": 1, "weights": [0.1, 0.2]})
        assert one.digest == other.digest
        assert_equal(tensors(one), tensors(other))

    def test_blends_of_blends_are_merges_step_by_step(self, recipe_of: MakeRecipe, zoo: Path, tmp_path: Path) -> None:
        first = {"origin": "base", "experts": ["math", "ja"], "rules": [{"use": "ties", "density": 0.5}]}
        second = {"origin": "base", "experts": ["first", "str"], "rules": [{"use": "task_arithmetic"}]}
        nested = tensors(recipe_of(blends={"first": first, "second": second}))
        step = tmp_path / "step"
        step.mkdir()
        (step / "config.json").write_bytes((zoo / "base" / "config.json").read_bytes())
        save_file(tensors(recipe_of(blends={"first": first})), step / "model.safetensors")
        models = {name: {"path": str(zoo / name)} for name in ("base", "str")} | {"first": {"path": str(step)}}
        assert_equal(nested, tensors(parse(Recipe, {"models": models, "blends": {"second": second}}, "r")))

    def test_a_blend_may_be_the_origin(self, recipe_of: MakeRecipe) -> None:
        first = {"experts": ["math", "ja"], "rules": [{"use": "linear"}]}
        second = {"origin": "first", "experts": ["str"], "rules": [{"use": "task_arithmetic", "weights": [0.5]}]}
        third = {"experts": ["math", "ja", "str"], "rules": [{"use": "linear", "weights": [1, 1, 2]}]}
        nested = tensors(recipe_of(blends={"first": first, "second": second}))
        flat = tensors(recipe_of(blends={"third": third}))
        for name, tensor in flat.items():
            torch.testing.assert_close(nested[name], tensor)


class TestDraws:
    """What random gates depend on."""

    def test_on_seed_expert_and_tensor_alone(self, recipe_of: MakeRecipe, zoo: Path) -> None:
        recipe = recipe_of(DARE)
        name = "model.layers.1.mlp.up_proj.weight"
        base, math, ja = (Checkpoint(zoo / model).tensor(name) for model in ("base", "math", "ja"))
        expected = base.clone()
        for expert, tensor in (("math", math), ("ja", ja)):
            drawn = Draw(0, recipe.models[expert].identity, name).uniform(base.shape)
            expected += 0.6 * (tensor - base) * (drawn < 0.5) / 0.5
        torch.testing.assert_close(Merge(recipe, Library()).tensor(name), expected)

    def test_not_on_the_order_of_tensors(self, recipe_of: MakeRecipe) -> None:
        merge = Merge(recipe_of(DARE), Library())
        forwards = {name: merge.tensor(name) for name in merge.names}
        assert_equal({name: merge.tensor(name) for name in reversed(merge.names)}, forwards)

    def test_not_on_names(self, recipe_of: MakeRecipe) -> None:
        recipe = recipe_of(DARE)
        turned = {"base": "a", "math": "b", "ja": "c"}
        models = {turned[name]: recipe.models[name] for name in turned}
        blend = {"origin": "a", "experts": ["b", "c"], "rules": [DARE]}
        renamed = parse(Recipe, {"models": models, "blends": {"other": blend}}, "r")
        assert renamed.digest == recipe.digest
        assert_equal(tensors(renamed), tensors(recipe))

    def test_another_seed_draws_other_numbers(self, recipe_of: MakeRecipe) -> None:
        blend = {"origin": "base", "experts": ["math", "ja"], "rules": [DARE]}
        one, other = (tensors(recipe_of(blends={"mix": blend | {"seed": seed}})) for seed in (1, 2))
        assert all(not torch.equal(one[name], other[name]) for name in one)


class TestDtypes:
    """Float32 inside, one rounding at the end."""

    def test_half_precision_is_merged_in_float32_and_rounded_once(self, recipe_of: MakeRecipe, tied_zoo: Path) -> None:
        rule = {"use": "task_arithmetic", "weights": [0.3, 0.4]}
        merge = Merge(recipe_of(rule, zoo=tied_zoo), Library())
        models = {name: load_file(tied_zoo / name / "model.safetensors") for name in ("base", "math", "ja")}
        for name in merge.names:
            base, math, ja = (models[model][name].double() for model in ("base", "math", "ja"))
            exact = base + 0.3 * (math - base) + 0.4 * (ja - base)
            assert merge.tensor(name).dtype == torch.float32
            assert merge.dtype(name) == torch.bfloat16
            torch.testing.assert_close(merge.tensor(name).double(), exact, rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
    def test_a_recipe_may_ask_for_another(self, recipe_of: MakeRecipe, dtype: str) -> None:
        merged = tensors(recipe_of({"use": "linear"}, dtype=dtype))
        assert {tensor.dtype for tensor in merged.values()} == {getattr(torch, dtype)}

    def test_whole_numbers_are_the_donors(self, tmp_path: Path) -> None:
        for index, name in enumerate(("a", "b")):
            (tmp_path / name).mkdir()
            (tmp_path / name / "config.json").write_text("{}", encoding="utf-8")
            stored = {"steps": torch.tensor([index]), "w": torch.full((2,), float(index))}
            save_file(stored, tmp_path / name / "model.safetensors")
        models = {name: {"path": str(tmp_path / name)} for name in ("a", "b")}
        blend = {"experts": ["a", "b"], "rules": [{"use": "linear"}]}
        recipe = parse(Recipe, {"models": models, "blends": {"mix": blend}, "dtype": "bfloat16"}, "r")
        merged = tensors(recipe)
        assert torch.equal(merged["steps"], torch.tensor([0]))
        assert torch.equal(merged["w"], torch.full((2,), 0.5, dtype=torch.bfloat16))


class TestMisfits:
    """Models that were not checked beforehand fail as candidates do."""

    @pytest.fixture
    def odd(self, zoo: Path, tmp_path: Path) -> Callable[[dict[str, torch.Tensor]], Recipe]:
        def make(stored: dict[str, torch.Tensor]) -> Recipe:
            (tmp_path / "odd").mkdir()
            (tmp_path / "odd" / "config.json").write_text("{}", encoding="utf-8")
            save_file(stored, tmp_path / "odd" / "model.safetensors")
            models = {"base": {"path": str(zoo / "base")}, "odd": {"path": str(tmp_path / "odd")}}
            blend = {"origin": "base", "experts": ["odd"], "rules": [{"use": "task_arithmetic"}]}
            return parse(Recipe, {"models": models, "blends": {"mix": blend}}, "r")

        return make

    def test_a_missing_tensor(self, odd: Callable[[dict[str, torch.Tensor]], Recipe]) -> None:
        merge = Merge(odd({"x": torch.ones(1)}), Library())
        with pytest.raises(CandidateFailed, match=r"^model odd has no tensor model\.norm\.weight\.$"):
            merge.tensor("model.norm.weight")

    def test_another_shape(self, odd: Callable[[dict[str, torch.Tensor]], Recipe]) -> None:
        merge = Merge(odd({"model.norm.weight": torch.ones(3)}), Library())
        with pytest.raises(CandidateFailed) as caught:
            merge.tensor("model.norm.weight")
        assert str(caught.value) == "tensor model.norm.weight has the shapes [16] and [3] in the models of blend mix."


@pytest.mark.parametrize("first", [0, 1])
def test_what_is_remembered_of_task_vectors_is_not_used_for_whole_weights(recipe_of: MakeRecipe, first: int) -> None:
    gated = [{"gate": "top", "density": 0.3}, {"weigh": [1, 1]}, {"reduce": "sum"}]
    recipes = [recipe_of({"pipe": gated}), recipe_of({"pipe": [{"origin": "zero"}, *gated]})]
    library, name = Library(), "lm_head.weight"
    for _ in range(2):  # who asks a second time is remembered
        Merge(recipes[first], library).rounded(name)
    other = recipes[1 - first]
    for _ in range(2):
        assert torch.equal(Merge(other, library).rounded(name), Merge(other, Library()).rounded(name))
