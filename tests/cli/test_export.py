"""`evomerge export`: recipes of adapters, as models and as adapters."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

from evomerge.checkpoints import Adapted, Adapter, Checkpoint
from evomerge.cli import main

SaveAdapter = Callable[..., Path]
UP = "model.layers.0.mlp.up_proj"


@pytest.fixture
def recipe(zoo: Path, tmp_path: Path, save_adapter: SaveAdapter) -> Path:
    """A recipe over two adapters on the zoo's base."""
    base = Checkpoint(zoo / "base")
    rows, columns = base.shape(f"{UP}.weight")
    models: dict[str, object] = {"base": {"path": str(zoo / "base")}}
    for name in ("one", "other"):
        factors = torch.randn(rows, 2) * 0.1, torch.randn(2, columns) * 0.1
        models[name] = {"path": str(save_adapter(tmp_path / name, {UP: factors})), "adapts": "base"}
    blend = {"origin": "base", "experts": ["one", "other"], "rules": [{"use": "task_arithmetic"}]}
    tree = {"evomerge": "recipe/1", "models": models, "blends": {"mix": blend}, "dtype": "float32"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    return tmp_path / "recipe.yaml"


def test_a_model_and_an_adapter_of_one_recipe_are_the_same(recipe: Path, zoo: Path, tmp_path: Path) -> None:
    assert main(["export", str(recipe), str(tmp_path / "model")]) == 0
    assert main(["export", str(recipe), str(tmp_path / "adapter"), "--adapter"]) == 0
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model").state_dict()
    adapted = Adapted(Checkpoint(zoo / "base"), Adapter(tmp_path / "adapter"))
    for name in adapted.names:
        torch.testing.assert_close(model[name], adapted.tensor(name).float(), rtol=0, atol=1e-5)


def test_a_rank(recipe: Path, tmp_path: Path) -> None:
    assert main(["export", str(recipe), str(tmp_path / "out"), "--adapter", "--rank", "1"]) == 0
    assert Adapter(tmp_path / "out").factors(f"{UP}.weight").rank == 1


@pytest.mark.parametrize("options", [["--rank", "2"], ["--adapter", "--rank", "0"]])
def test_a_rank_that_makes_no_sense(
    recipe: Path, tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(recipe), str(tmp_path / "out"), *options]) == 2
    assert "--rank: is a whole number from 1, and belongs to --adapter." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_adapter_that_changed_since(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    tree["models"]["one"]["digest"] = "sha256:" + "0" * 64
    recipe.write_text(yaml.safe_dump(tree), encoding="utf-8")
    assert main(["export", str(recipe), str(tmp_path / "out"), "--adapter"]) == 2
    assert f"models.one: {tmp_path}/one is no longer the model that the recipe names." in capsys.readouterr().err


class TestRoutes:
    """Recipes whose layers stand in another order."""

    @pytest.fixture
    def routed(self, recipe: Path) -> Callable[..., Path]:
        """Gives the recipe a route."""

        def write(*route: object) -> Path:
            tree = yaml.safe_load(recipe.read_text(encoding="utf-8"))
            recipe.write_text(yaml.safe_dump(tree | {"route": [*route]}), encoding="utf-8")
            return recipe

        return write

    def test_layers_of_a_blend_and_of_an_adapter(self, routed: Callable[..., Path], zoo: Path, tmp_path: Path) -> None:
        path = routed({"from": "mix", "layers": [0, 1]}, {"from": "one", "layers": [0, 0], "write": 0.5})
        assert main(["export", str(path), str(tmp_path / "out")]) == 0
        written = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
        assert written.config.num_hidden_layers == 3
        base, models = Checkpoint(zoo / "base"), yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
        one = Adapted(base, Adapter(models["one"]["path"]))
        held = written.state_dict()
        torch.testing.assert_close(held["model.layers.2.mlp.up_proj.weight"], one.tensor(f"{UP}.weight"))
        down = base.tensor("model.layers.0.mlp.down_proj.weight")
        torch.testing.assert_close(held["model.layers.2.mlp.down_proj.weight"], down * 0.5)

    def test_layers_that_are_not_there(
        self, routed: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = routed({"from": "mix", "layers": [0, 1]}, {"from": "base", "layers": [1, 9]})
        assert main(["export", str(path), str(tmp_path / "out")]) == 2
        complaint = f"{path}: route[1].layers: layer 9 does not exist: the last layer of base is 2."
        assert complaint in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    def test_no_adapter(self, routed: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = routed({"from": "mix", "layers": [1, 1]})
        assert main(["export", str(path), str(tmp_path / "out"), "--adapter"]) == 2
        assert "recipe: its route puts layers in another order" in capsys.readouterr().err
