"""Adapters as results: the same change as the dense result, and refused where a blend has no factors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evomerge.checkpoints import Adapted, Adapter, Checkpoint
from evomerge.checkpoints.adapter import WEIGHTS_FILE
from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.merging import Library, Merge, Provenance, export_adapter
from evomerge.recipe import Recipe, load_recipe

Factored = dict[str, tuple[torch.Tensor, torch.Tensor]]
MakeRecipe = Callable[..., Recipe]
SaveAdapter = Callable[..., Path]
UP, Q, DOWN = "model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj", "model.layers.1.mlp.down_proj"
PROVENANCE = Provenance("It was made in a test.")


def export(recipe: Recipe, destination: Path, rank: int | None = None) -> Path:
    return export_adapter(recipe, Library(), destination, PROVENANCE, rank)


def assert_same_model(recipe: Recipe, folder: Path, base: Path) -> None:
    """The base with the exported adapter is the dense result."""
    merge, adapted = Merge(recipe, Library()), Adapted(Checkpoint(base), Adapter(folder))
    for name in merge.names:
        torch.testing.assert_close(adapted.tensor(name), merge.tensor(name), rtol=0, atol=1e-5)


class TestResult:
    """What is written."""

    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(weights=st.tuples(st.floats(-2, 2), st.floats(-2, 2)))
    def test_equals_the_dense_merge(
        self,
        adapters: dict[str, Factored],
        adapter_recipe: MakeRecipe,
        zoo: Path,
        tmp_path_factory: pytest.TempPathFactory,
        weights: tuple[float, float],
    ) -> None:
        recipe = adapter_recipe({"use": "task_arithmetic", "weights": list(weights)})
        assert_same_model(recipe, export(recipe, tmp_path_factory.mktemp("out") / "adapter"), zoo / "base")

    @pytest.mark.parametrize("rule", [{"use": "linear", "weights": [1, 3]}, {"use": "lora_lego", "rank": 3}])
    def test_other_blends(
        self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, zoo: Path, tmp_path: Path, rule: dict[str, Any]
    ) -> None:
        recipe = adapter_recipe(rule, seed=3 if rule["use"] == "lora_lego" else 0)
        assert_same_model(recipe, export(recipe, tmp_path / "out"), zoo / "base")

    def test_copa(
        self,
        adapters: dict[str, Factored],
        adapter_recipe: MakeRecipe,
        zoo: Path,
        tmp_path: Path,
        save_adapter: SaveAdapter,
    ) -> None:
        save_adapter(tmp_path / "str", {UP: adapters["math"][UP]}, lora_alpha=1)
        recipe = adapter_recipe({"use": "copa", "density": 0.5}, ("math", "str"))
        assert_same_model(recipe, export(recipe, tmp_path / "out"), zoo / "base")

    def test_rules_by_place(
        self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, zoo: Path, tmp_path: Path
    ) -> None:
        """TIES on tensors that no adapter changes is no obstacle, nor is a tensor without a rule."""
        rules = [
            {"where": {"names": ["*norm*"]}, "use": "ties"},
            {"where": {"layers": [1, 1], "roles": ["attention"]}, "use": "task_arithmetic", "weights": [0.3, 1]},
            {"where": {"layers": [0, 0]}, "use": "lora_lego", "rank": 1},
        ]
        recipe = adapter_recipe(rules[0], rules=rules)
        folder = export(recipe, tmp_path / "out")
        assert_same_model(recipe, folder, zoo / "base")
        assert set(Adapter(folder).targets) == {f"{UP}.weight", f"{Q}.weight"}

    @pytest.mark.parametrize("use", ["task_arithmetic", "lora_lego"])
    def test_tensors_brought_whole(
        self,
        adapters: dict[str, Factored],
        adapter_recipe: MakeRecipe,
        zoo: Path,
        tmp_path: Path,
        save_adapter: SaveAdapter,
        use: str,
    ) -> None:
        """They are merged densely, and stay what peft calls modules to save and biases."""
        more = {"base_model.model.lm_head.weight": torch.ones(32, 16)}
        save_adapter(tmp_path / "str", {UP: adapters["math"][UP]}, more, modules_to_save=["lm_head"])
        recipe = adapter_recipe({"use": use, "weights": [0.3, 0.6]}, ("math", "str"))
        folder = export(recipe, tmp_path / "out")
        assert_same_model(recipe, folder, zoo / "base")
        assert Adapter(folder).config.tree["modules_to_save"] == ["lm_head"]
        assert set(Adapter(folder).replaced) == {"lm_head.weight"}

    def test_ranks(self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, tmp_path: Path) -> None:
        recipe = adapter_recipe({"use": "task_arithmetic"})
        exact, cut = Adapter(export(recipe, tmp_path / "exact")), Adapter(export(recipe, tmp_path / "cut", rank=2))
        assert [exact.factors(f"{module}.weight").rank for module in (UP, Q, DOWN)] == [5, 2, 3]
        assert [cut.factors(f"{module}.weight").rank for module in (UP, Q, DOWN)] == [2, 2, 2]
        wanted = exact.factors(f"{UP}.weight").dense()
        error = (cut.factors(f"{UP}.weight").dense() - wanted).norm()
        assert float(error) == pytest.approx(float(torch.linalg.svdvals(wanted)[2:].norm()), rel=1e-4)

    def test_the_files(self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, tmp_path: Path) -> None:
        recipe = adapter_recipe({"use": "task_arithmetic"})
        folder = export(recipe, tmp_path / "new" / "out")
        names = {"adapter_config.json", "adapter_model.safetensors", "recipe.yaml", "README.md"}
        assert {path.name for path in folder.iterdir()} == names
        assert load_recipe(folder / "recipe.yaml") == recipe.canonical
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        assert config["base_model_name_or_path"] == "the/base"
        assert config["target_modules"] == sorted([UP, Q, DOWN])
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert "library_name: peft" in card
        assert "| math, an adapter on base |" in card
        assert "export recipe.yaml OUT --adapter`" in card

    def test_the_dtype_is_the_recipes(
        self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, tmp_path: Path
    ) -> None:
        recipe = adapter_recipe({"use": "task_arithmetic"}).model_copy(update={"dtype": "bfloat16"})
        assert Adapter(export(recipe, tmp_path / "out")).factors(f"{UP}.weight").a_RI.dtype == torch.bfloat16


class TestRefused:
    """Nothing is written then."""

    def refused(self, recipe: Recipe, folder: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            export(recipe, folder)
        assert not folder.exists()
        return str(caught.value)

    @pytest.mark.parametrize(
        ("rule", "why"),
        [
            ({"use": "ties"}, "gate: top acts on the entries of matrices"),
            ({"use": "slerp"}, "reduce: sphere acts on the entries of matrices"),
            (
                {"pipe": [{"origin": "zero"}, {"weigh": [1, 1]}]},
                "its weights of whole models do not sum to 1, which scales the base too",
            ),
        ],
    )
    def test_pipes_without_factors(
        self,
        adapters: dict[str, Factored],
        adapter_recipe: MakeRecipe,
        tmp_path: Path,
        rule: dict[str, Any],
        why: str,
    ) -> None:
        assert self.refused(adapter_recipe(rule), tmp_path / "out") == (
            f"blends.mix: {why}, so its result has no factors. Export a model, without --adapter."
        )

    def test_whole_models(self, recipe_of: MakeRecipe, tmp_path: Path) -> None:
        assert self.refused(recipe_of({"use": "linear"}), tmp_path / "out") == (
            "recipe: its result mix is not a blend of adapters on its origin, so it is no adapter. "
            "Export a model, without --adapter."
        )

    def test_parts_of_matrices(self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, tmp_path: Path) -> None:
        text = self.refused(adapter_recipe({"where": {"span": [3, 700]}, "use": "linear"}), tmp_path / "out")
        assert text.startswith("blends.mix: a span may cut matrices, and parts of a matrix have no factors.")

    def test_tensors_that_are_both(
        self,
        adapters: dict[str, Factored],
        adapter_recipe: MakeRecipe,
        tmp_path: Path,
        save_adapter: SaveAdapter,
    ) -> None:
        save_adapter(tmp_path / "str", {Q: adapters["math"][Q]}, {f"base_model.model.{UP}.weight": torch.ones(24, 16)})
        text = self.refused(adapter_recipe({"use": "linear"}, ("math", "str")), tmp_path / "out")
        assert f"blends.mix: {tmp_path}/str brings {UP}.weight whole, which others change by factors." in text

    @pytest.mark.parametrize(
        "rule",
        [
            {"where": {"roles": ["norm"]}, "use": "linear"},
            {"use": "lora_lego", "rank": 2, "weights": [0, 0]},
        ],
    )
    def test_rules_that_change_nothing(
        self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, tmp_path: Path, rule: dict[str, object]
    ) -> None:
        text = self.refused(adapter_recipe(rule), tmp_path / "out")
        assert text == (
            "blends.mix: none of its rules acts where the adapters do, or none of them has a weight other than 0, "
            "so there is nothing to write."
        )

    def test_numbers_that_the_dtype_cannot_hold(
        self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, tmp_path: Path
    ) -> None:
        recipe = adapter_recipe({"use": "task_arithmetic", "weights": [1e9, 1]})
        text = self.refused(recipe.model_copy(update={"dtype": "float16"}), tmp_path / "out")
        assert text.startswith(
            "recipe: the merged change of model.layers.0.mlp.up_proj.weight is not finite in float16."
        )

    def test_what_exists(self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="exists already"):
            export(adapter_recipe({"use": "linear"}), tmp_path)

    def test_an_adapter_that_diverged_leaves_nothing(
        self, adapters: dict[str, Factored], adapter_recipe: MakeRecipe, tmp_path: Path, save_adapter: SaveAdapter
    ) -> None:
        b, a = adapters["math"][UP]
        save_adapter(tmp_path / "str", {UP: (b * float("nan"), a)})
        text = self.refused(adapter_recipe({"use": "linear"}, ("math", "str")), tmp_path / "new" / "out")
        assert text.startswith(f"{tmp_path}/str/{WEIGHTS_FILE}: base_model.model.{UP}.lora_B.weight: holds NaN")
        assert not (tmp_path / "new").exists()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory can only be reset on Linux")
@pytest.mark.parametrize("rule", [{"use": "task_arithmetic"}, {"use": "lora_lego", "rank": 4}, {"use": "copa"}])
def test_no_dense_matrix_is_built(tmp_path: Path, save_adapter: SaveAdapter, rule: dict[str, Any]) -> None:
    """From folder to folder on a base of one 20 000 × 20 000 weight, a file of 1.6 GB that is one hole."""
    size, name = 20_000, "model.layers.0.mlp.up_proj"
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text(json.dumps({"model_type": "llama", "num_hidden_layers": 1}))
    entry = {f"{name}.weight": {"dtype": "F32", "shape": [size, size], "data_offsets": [0, 4 * size**2]}}
    header = json.dumps(entry).encode()
    header += b" " * (-len(header) % 8)
    with (tmp_path / "base" / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 4 * size**2)
    models: dict[str, Any] = {"base": {"path": str(tmp_path / "base")}}
    for seed, expert in enumerate(("math", "ja")):
        generator = torch.Generator().manual_seed(seed)
        factors = torch.randn(size, 4, generator=generator), torch.randn(4, size, generator=generator)
        models[expert] = {"path": str(save_adapter(tmp_path / expert, {name: factors})), "adapts": "base"}
    blend = {"origin": "base", "experts": ["math", "ja"], "rules": [rule]}
    recipe = parse(Recipe, {"models": models, "blends": {"mix": blend}}, "recipe.yaml")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts again from what is held now
    before_kb = peak_kb()
    folder = export(recipe, tmp_path / "out", rank=4)
    assert peak_kb() - before_kb < 100_000
    assert Adapter(folder).factors(f"{name}.weight").rank == 4


def peak_kb() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])
