"""Blends of adapters: their dense models are those of dense experts, and τ is the product, not a difference."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from evomerge import seeds
from evomerge.checkpoints import Checkpoint
from evomerge.checkpoints.factors import Factors
from evomerge.documents import parse
from evomerge.errors import CandidateFailed, ConfigError
from evomerge.merging import Library, Merge, ResidentModel
from evomerge.merging.adapters.copa import copa
from evomerge.merging.adapters.lego import lego
from evomerge.recipe import Recipe
from evomerge.recipe.presets import PRESETS
from evomerge.recipe.references import references

Factored = dict[str, tuple[torch.Tensor, torch.Tensor]]
MakeRecipe = Callable[..., Recipe]
SaveAdapter = Callable[..., Path]
UP, Q, DOWN = "model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj", "model.layers.1.mlp.down_proj"
SCALES = {"math": 2.0, "ja": 1.0}
OF_FACTORS = {"lora_lego", "copa"}
MEASURED = {name for name, kind in PRESETS.items() if kind.__module__.endswith(".calibrated")}
"""Presets that read statistics, which adapters do not have."""
DENSE_PRESETS = sorted(PRESETS.keys() - OF_FACTORS - MEASURED)


def tensors(recipe: Recipe) -> dict[str, torch.Tensor]:
    merge = Merge(recipe, Library())
    return {name: merge.tensor(name) for name in merge.names}


def plain_sum(
    adapters: dict[str, Factored], base: torch.Tensor, module: str, weights: dict[str, float]
) -> torch.Tensor:
    """O + Σ w · scale · B · A in float64."""
    total = base.double()
    for name, weight in weights.items():
        if module in adapters[name]:
            b, a = adapters[name][module]
            total = total + weight * SCALES[name] * (b.double() @ a.double())
    return total


class TestSums:
    """Factor form equals dense form."""

    @settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(weights=st.tuples(st.floats(-2, 2), st.floats(-2, 2)), scale=st.floats(-2, 2))
    def test_task_arithmetic(
        self,
        adapters: dict[str, Factored],
        adapter_recipe: MakeRecipe,
        zoo: Path,
        weights: tuple[float, float],
        scale: float,
    ) -> None:
        merged = tensors(adapter_recipe({"use": "task_arithmetic", "weights": list(weights), "scale": scale}))
        base = Checkpoint(zoo / "base")
        by_name = dict(zip(("math", "ja"), (weight * scale for weight in weights), strict=True))
        for module in (UP, Q, DOWN):
            wanted = plain_sum(adapters, base.tensor(f"{module}.weight"), module, by_name)
            torch.testing.assert_close(merged[f"{module}.weight"].double(), wanted, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("weights", [[1, 1], [3, -1]])
    def test_a_mean_keeps_the_base(
        self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, zoo: Path, weights: list[float]
    ) -> None:
        merged = tensors(adapter_recipe({"use": "linear", "weights": weights}))
        base, by_name = Checkpoint(zoo / "base"), {"math": weights[0] / 2, "ja": weights[1] / 2}
        for module in (UP, Q, DOWN):
            wanted = plain_sum(adapters, base.tensor(f"{module}.weight"), module, by_name)
            torch.testing.assert_close(merged[f"{module}.weight"].double(), wanted, rtol=0, atol=1e-5)

    def test_what_no_adapter_changes_is_the_bases_bit_by_bit(
        self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, zoo: Path
    ) -> None:
        merged = tensors(adapter_recipe({"use": "task_arithmetic"}))
        base = load_file(zoo / "base" / "model.safetensors")
        changed = [name for name in base if not torch.equal(merged[name], base[name])]
        assert sorted(changed) == sorted(f"{module}.weight" for module in (UP, Q, DOWN))

    def test_a_change_below_the_precision_of_the_base_survives(
        self, adapter_recipe: MakeRecipe, zoo: Path, tmp_path: Path, save_adapter: SaveAdapter
    ) -> None:
        b, a = torch.full((24, 1), 1e-5), torch.full((1, 16), 1e-5)
        for name in ("math", "ja"):
            save_adapter(tmp_path / name, {UP: (b, a)}, lora_alpha=1)
        for rule in ({"use": "task_arithmetic", "weights": [1e9, 0]}, {"use": "ties", "scale": 1e9, "density": 1}):
            change = tensors(adapter_recipe(rule))[f"{UP}.weight"] - Checkpoint(zoo / "base").tensor(f"{UP}.weight")
            torch.testing.assert_close(change, torch.full((24, 16), 0.1))


class TestOperators:
    """Every operator works on adapters."""

    @pytest.fixture
    def zero_zoo(self, zoo: Path, adapters: dict[str, Factored], tmp_path: Path) -> Path:
        """The base with zeros in place of what adapters change, so that dense experts hold task vectors exactly."""
        folder = tmp_path / "zeros"
        for name in ("base", "math", "ja"):
            (folder / name).mkdir(parents=True)
            (folder / name / "config.json").write_text((zoo / "base" / "config.json").read_text())
            state = load_file(zoo / "base" / "model.safetensors")
            for module in (UP, Q, DOWN):
                state[f"{module}.weight"] = torch.zeros_like(state[f"{module}.weight"])
                if module in adapters.get(name, {}):
                    b, a = adapters[name][module]
                    state[f"{module}.weight"] = SCALES[name] * (b @ a)
            save_file(state, folder / name / "model.safetensors")
        return folder

    @pytest.mark.parametrize("use", DENSE_PRESETS)
    def test_as_on_dense_experts(self, adapter_recipe: MakeRecipe, zero_zoo: Path, use: str) -> None:
        """Dense experts are named so that random gates draw the same numbers for them."""
        tree = adapter_recipe({"use": use}).model_dump()
        tree["models"]["base"]["path"] = str(zero_zoo / "base")
        for name in tree["models"]:
            tree["models"][name]["digest"] = name
        found = tensors(Recipe.model_validate(tree))
        digests = {"base": "base", "math": "math on base", "ja": "ja on base"}
        tree["models"] = {name: {"path": str(zero_zoo / name), "digest": digests[name]} for name in digests}
        wanted = tensors(Recipe.model_validate(tree))
        for name, tensor in wanted.items():
            torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("use", [*DENSE_PRESETS, *sorted(OF_FACTORS)])
    def test_in_place_and_at_once_are_the_same(
        self, adapter_recipe: MakeRecipe, adapters: dict[str, Factored], use: str
    ) -> None:
        experts = ("math", "ja") if use != "copa" else ("math",)
        merge = Merge(adapter_recipe({"use": use}, experts), Library())
        for name in merge.names:
            place = torch.empty(merge.donor.shape(name))
            merge.into(name, place)
            assert torch.equal(place, merge.tensor(name))

    def test_the_resident_model_holds_the_same(self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe) -> None:
        recipes = [adapter_recipe({"use": use}) for use in ("ties", "task_arithmetic", "lora_lego")]
        resident = ResidentModel(recipes[0], Library())
        for recipe in recipes:
            resident.hold(recipe)
            held = resident.model.state_dict()
            assert all(torch.equal(held[name], tensor) for name, tensor in tensors(recipe).items())

    def test_adapters_beside_whole_models(
        self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, zoo: Path
    ) -> None:
        recipe = adapter_recipe({"use": "task_arithmetic", "weights": [0.5, 0.25]})
        models = recipe.models | {
            "ja": recipe.models["ja"].model_copy(update={"path": str(zoo / "ja"), "adapts": None})
        }
        merged = tensors(recipe.model_copy(update={"models": models}))[f"{UP}.weight"]
        base, ja = (Checkpoint(zoo / name).tensor(f"{UP}.weight") for name in ("base", "ja"))
        b, a = adapters["math"][UP]
        torch.testing.assert_close(merged, base + 0.5 * 2.0 * (b @ a) + 0.25 * (ja - base))


class TestFactorReducers:
    """LEGO and CoPA give base + what the functions of factors give."""

    def change(self, adapters: dict[str, Factored], module: str) -> list[Factors]:
        return [Factors(*adapters[name][module], SCALES[name]) for name in adapters if module in adapters[name]]

    def test_lego(self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, zoo: Path) -> None:
        merged = tensors(adapter_recipe({"use": "lora_lego", "rank": 2, "weights": [1, 2]}, seed=7))
        base = Checkpoint(zoo / "base")
        for module, weights in {UP: [1.0, 2.0], Q: [1.0], DOWN: [1.0]}.items():
            name = f"{module}.weight"
            wanted = lego(self.change(adapters, module), weights, 2, seeds.generator(7, "units", name)).dense()
            torch.testing.assert_close(merged[name] - base.tensor(name), wanted, rtol=0, atol=1e-6)

    def test_lego_does_not_hear_weights_of_zero(
        self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, zoo: Path
    ) -> None:
        alone = tensors(adapter_recipe({"use": "lora_lego", "rank": 2}, ("math",)))
        beside = tensors(adapter_recipe({"use": "lora_lego", "rank": 2, "weights": [1, 0]}))
        silent = tensors(adapter_recipe({"use": "lora_lego", "rank": 2, "weights": [0, 0]}))
        base = load_file(zoo / "base" / "model.safetensors")
        assert all(torch.equal(alone[name], beside[name]) and torch.equal(silent[name], base[name]) for name in base)

    def test_copa(
        self,
        adapters: dict[str, Factored],
        adapter_recipe: MakeRecipe,
        zoo: Path,
        tmp_path: Path,
        save_adapter: SaveAdapter,
    ) -> None:
        save_adapter(tmp_path / "str", adapters["math"], lora_alpha=6)
        merged = tensors(adapter_recipe({"use": "copa", "density": 0.4}, ("math", "str")))
        base, (b, a) = Checkpoint(zoo / "base"), adapters["math"][Q]
        wanted = copa([Factors(b, a, 2.0), Factors(b, a, 3.0)], [2, 2], 0.4, 0.8).dense()
        change = merged[f"{Q}.weight"] - base.tensor(f"{Q}.weight")
        torch.testing.assert_close(change, wanted, rtol=0, atol=1e-6)

    def test_a_scale_acts_on_the_change(self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe) -> None:
        plain, twice = (
            tensors(adapter_recipe({"pipe": [{"reduce": "lego", "rank": 2}, {"post": "scale", "by": by}]}))
            for by in (1, 2)
        )
        zero = tensors(adapter_recipe({"use": "task_arithmetic", "weights": [0, 0]}))
        name = f"{UP}.weight"
        torch.testing.assert_close(twice[name] - zero[name], 2 * (plain[name] - zero[name]), rtol=0, atol=1e-6)

    def test_copas_scale_acts_on_tensors_brought_whole(
        self,
        adapters: dict[str, Factored],
        adapter_recipe: MakeRecipe,
        zoo: Path,
        tmp_path: Path,
        save_adapter: SaveAdapter,
    ) -> None:
        head = torch.ones(32, 16)
        save_adapter(tmp_path / "str", adapters["math"], {"base_model.model.lm_head.weight": head})
        pipe = [{"reduce": "copa"}, {"post": "scale", "by": 0.25}]
        merged = tensors(adapter_recipe({"pipe": pipe}, ("str",)))["lm_head.weight"]
        base = Checkpoint(zoo / "base").tensor("lm_head.weight")
        torch.testing.assert_close(merged, base + 0.25 * (head - base))

    def test_copa_wants_equal_ranks(self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe) -> None:
        with pytest.raises(CandidateFailed, match=r"CoPA merges adapters of one rank, .* have the ranks \[2, 3\]\."):
            tensors(adapter_recipe({"use": "copa"}))

    @pytest.mark.parametrize("use", ["lora_lego", "task_arithmetic"])
    def test_tensors_brought_whole_are_merged_as_such(
        self,
        adapters: dict[str, Factored],
        adapter_recipe: MakeRecipe,
        zoo: Path,
        tmp_path: Path,
        save_adapter: SaveAdapter,
        use: str,
    ) -> None:
        head = torch.ones(32, 16)
        save_adapter(tmp_path / "str", adapters["math"], {"base_model.model.lm_head.weight": head})
        merged = tensors(adapter_recipe({"use": use, "weights": [0.5, 0.5]}, ("math", "str")))["lm_head.weight"]
        base = Checkpoint(zoo / "base").tensor("lm_head.weight")
        torch.testing.assert_close(merged, base + 0.5 * (head - base))


class TestRecipes:
    """What a recipe may say of adapters."""

    def refused(self, make: Callable[[], object]) -> str:
        with pytest.raises(ConfigError) as caught:
            make()
        return str(caught.value)

    @pytest.mark.parametrize("use", sorted(OF_FACTORS))
    def test_whole_models_have_no_factors(self, recipe_of: MakeRecipe, use: str) -> None:
        reducer = "lego" if use == "lora_lego" else use
        assert self.refused(lambda: recipe_of({"use": use})) == (
            f'recipe: blends.mix.rules[0]: "math" is no adapter on the origin of the blend, and reduce: {reducer} '
            "acts on the factors of adapters. Name adapters, with their base as origin: "
            "models.math: {path: …, adapts: …}."
        )

    def test_factors_have_no_entries(self, adapter_recipe: MakeRecipe) -> None:
        pipe = [{"gate": "top", "density": 0.2}, {"weigh": [-1, 1]}, {"reduce": "lego", "rank": 2}]
        assert self.refused(lambda: adapter_recipe({"pipe": pipe})).splitlines() == [
            "recipe.yaml: blends.mix.rules[0]: gate: top acts on single entries, but reduce: lego on factors, "
            "which have none. Leave one of them out.",
            "recipe.yaml: blends.mix.rules[0]: reduce: lego counts units as often as their weights say, "
            "so none may be negative.",
        ]

    def test_bases_that_are_none(self, adapter_recipe: MakeRecipe) -> None:
        tree = adapter_recipe({"use": "ties"}).model_dump()
        tree["models"]["math"]["adapts"], tree["models"]["ja"]["adapts"] = "bse", "math"
        text = self.refused(lambda: parse(Recipe, tree, "recipe.yaml"))
        assert '"bse" is not a model. Did you mean "base"?' in text
        assert '"math" is an adapter itself. Name the whole model that both were trained on.' in text

    def test_the_base_belongs_to_an_adapters_identity(self, adapter_recipe: MakeRecipe) -> None:
        recipe = adapter_recipe({"use": "ties"})
        models = recipe.models | {"base": recipe.models["base"].model_copy(update={"digest": "sha256:other"})}
        assert recipe.model_copy(update={"models": models}).digest != recipe.digest

    def test_only_ratios_of_legos_weights_count(self, adapter_recipe: MakeRecipe) -> None:
        one, same, other = (adapter_recipe({"use": "lora_lego", "weights": w}) for w in ([1, 2], [2, 4], [2, 1]))
        assert one.digest == same.digest != other.digest

    def test_copas_weights_act_twice(self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe) -> None:
        reduce = {"reduce": "copa", "density": 0.2, "quantile": 0.8}
        one = adapter_recipe({"pipe": [{"weigh": [2.0]}, reduce, {"post": "scale", "by": 4}]}, ("math",))
        other = adapter_recipe({"pipe": [{"weigh": [4.0]}, reduce]}, ("math",))
        torch.testing.assert_close(tensors(one)[f"{UP}.weight"], tensors(other)[f"{UP}.weight"], rtol=0, atol=1e-5)
        uncanonical = tensors(adapter_recipe({"pipe": [{"weigh": [2.0]}, reduce]}, ("math",)))[f"{UP}.weight"]
        base = tensors(adapter_recipe({"use": "task_arithmetic", "weights": [0]}, ("math",)))[f"{UP}.weight"]
        torch.testing.assert_close(tensors(other)[f"{UP}.weight"] - base, 4 * (uncanonical - base), rtol=0, atol=1e-5)

    def test_the_reference_of_an_adapter_is_the_adapted_model(
        self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, zoo: Path
    ) -> None:
        found = references(adapter_recipe({"use": "ties"}))
        assert set(found) == {"base", "math", "ja", "uniform"}
        b, a = adapters["math"][UP]
        wanted = Checkpoint(zoo / "base").tensor(f"{UP}.weight") + 2.0 * (b @ a)
        assert torch.equal(tensors(found["math"])[f"{UP}.weight"], wanted)


def test_every_preset_of_factors_is_tested_here() -> None:
    found = {name for name, kind in PRESETS.items() if any(stage.on_factors for stage in kind(use=name).pipe(2))}
    assert found == OF_FACTORS
