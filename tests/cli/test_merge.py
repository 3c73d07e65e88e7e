"""`evomerge merge` and `evomerge convert` on a micro zoo."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from evomerge.checkpoints import Checkpoint
from evomerge.cli import main
from evomerge.documents import Tree

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def bench(tmp_path: Path, zoo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the zoo's models in it by name."""
    for name in ("base", "math", "ja"):
        (tmp_path / name).symlink_to(zoo / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tensors(folder: str) -> Tensors:
    checkpoint = Checkpoint(folder)
    return {name: checkpoint.tensor(name).float() for name in checkpoint.names}


def write(tree: Tree, name: str = "m.yaml") -> str:
    Path(name).write_text(yaml.safe_dump(tree))
    return name


def depth() -> int:
    return Checkpoint("base").num_layers


def layer_of(name: str) -> int | None:
    return int(name.split(".layers.")[1].split(".")[0]) if ".layers." in name else None


def test_a_gradient_with_filters(bench: Path) -> None:
    t = [{"filter": "self_attn", "value": [0.2, 0.8]}, {"filter": "mlp", "value": 0.1}, {"value": [0.5, 0.9]}]
    tree = {"merge_method": "task_arithmetic", "base_model": "base", "models": [{"model": "ja"}], "dtype": "float32"}
    assert main(["merge", write(tree | {"parameters": {"weight": t}}), "out"]) == 0
    base, ja, out = tensors("base"), tensors("ja"), tensors("out")
    for name, tensor in out.items():
        layer = layer_of(name)
        share = 0.0 if layer is None else layer / (depth() - 1)
        weight = 0.2 + 0.6 * share if "self_attn" in name else 0.1 if "mlp" in name else 0.5 + 0.4 * share
        torch.testing.assert_close(tensor, base[name] + weight * (ja[name] - base[name]), rtol=1e-6, atol=1e-6)
    AutoModelForCausalLM.from_pretrained("out")


def test_slices_of_other_models_take_their_places(bench: Path) -> None:
    cut = [{"sources": [{"model": "math", "layer_range": [0, 1]}]}]
    cut += [{"sources": [{"model": "ja", "layer_range": [1, depth()]}]}]
    assert main(["merge", write({"merge_method": "passthrough", "slices": cut}), "out"]) == 0
    math, ja, out = tensors("math"), tensors("ja"), tensors("out")
    for name, tensor in out.items():
        source = math if layer_of(name) == 0 or "embed" in name else ja
        assert torch.equal(tensor, source[name]), name


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("linear", {"weight": [0.2, 1]}),
        ("ties", {"weight": 0.5, "density": [0.9, 0.3], "lambda": 1.2}),
        ("dare_ties", {"weight": 0.5, "density": 0.5}),
        ("della", {"weight": 0.5, "density": 0.5, "epsilon": 0.1}),
        ("breadcrumbs", {"weight": 0.5, "density": 0.8}),
        ("model_stock", {}),
        ("sce", {"select_topk": 0.3}),
        ("karcher", {}),
    ],
)
def test_what_is_converted_merges_alike(bench: Path, method: str, parameters: Tree) -> None:
    """As mergekit's file, as ours made from it, and as mergekit's made from ours."""
    tree = {"merge_method": method, "models": [{"model": "math"}, {"model": "ja"}], "parameters": parameters}
    if method not in ("linear", "karcher"):
        tree["base_model"] = "base"
    assert main(["merge", write(tree), "one"]) == 0
    assert main(["convert", "m.yaml", "ours.yaml"]) == 0
    assert main(["merge", "ours.yaml", "two"]) == 0
    assert main(["convert", "ours.yaml", "again.yaml"]) == 0
    assert main(["merge", "again.yaml", "three"]) == 0
    files = [load_file(Path(name) / "model.safetensors") for name in ("one", "two", "three")]
    for name in files[0]:
        assert all(torch.equal(files[0][name], other[name]) for other in files[1:])


def test_a_model_with_an_adapter(bench: Path, save_adapter: Callable[..., Path]) -> None:
    base, name = tensors("base"), "model.layers.1.mlp.up_proj"
    rows, columns = base[f"{name}.weight"].shape
    generator = torch.Generator().manual_seed(0)
    b, a = torch.randn(rows, 2, generator=generator), torch.randn(2, columns, generator=generator)
    save_adapter(bench / "lora", {name: (b, a)})
    tree = {
        "merge_method": "task_arithmetic",
        "base_model": "base",
        "models": [{"model": "base+lora"}, {"model": "ja"}],
    }
    assert main(["merge", write(tree | {"parameters": {"weight": 0.5}, "dtype": "float32"}), "out"]) == 0
    ja, out = tensors("ja"), tensors("out")
    for each, tensor in out.items():
        change = 2.0 * b @ a if each == f"{name}.weight" else 0.0  # lora_alpha is twice the rank
        expected = base[each] + 0.5 * change + 0.5 * (ja[each] - base[each])
        torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-5)


def test_the_seed_of_random_gates(bench: Path) -> None:
    tree = {"merge_method": "dare_linear", "base_model": "base", "models": [{"model": "math"}]}
    write(tree | {"parameters": {"weight": 1, "density": 0.3}})
    for seed, name in (("1", "a"), ("1", "b"), ("2", "c")):
        assert main(["merge", "m.yaml", name, "--seed", seed]) == 0
    Path("math").rename("elsewhere")
    models = [{"model": "elsewhere"}]
    write(tree | {"models": models, "parameters": {"weight": 1, "density": 0.3}})
    assert main(["merge", "m.yaml", "d", "--seed", "1"]) == 0
    first, again, other, moved = ((Path(name) / "model.safetensors").read_bytes() for name in "abcd")
    assert first == again == moved  # the draw follows the content
    assert first != other


def test_models_elsewhere_and_remarks(bench: Path, zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = [{"model": "org/math", "parameters": {"normalize": True}}, {"model": "org/ja"}]
    (bench / "math").unlink()
    (bench / "ja").unlink()
    write({"merge_method": "linear", "models": models, "parameters": {"weight": 1}})
    assert main(["merge", "m.yaml", "out"]) == 2
    message = capsys.readouterr().err
    assert "m.yaml: models[0].model: there is no model folder org/math. Download it: `hf download org/math" in message
    assert "m.yaml: models[1].model: there is no model folder org/ja" in message
    Path("math").mkdir()  # another model's folder, not the one that is asked for
    assert main(["merge", "m.yaml", "out"]) == 2
    assert not Path("out").exists()
    assert main(["merge", "m.yaml", "out", "--models", str(zoo)]) == 0
    assert "m.yaml: models[0].parameters.normalize: has no effect on one model" in capsys.readouterr().err


def test_a_seed_for_our_own_recipe_is_refused(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blend = {"experts": ["x"], "rules": [{"use": "linear"}]}
    write({"evomerge": "recipe/1", "models": {"x": {"path": "math"}}, "blends": {"y": blend}})
    assert main(["merge", "m.yaml", "out", "--seed", "3"]) == 2
    assert "m.yaml: --seed: a recipe of evomerge says its seeds itself." in capsys.readouterr().err
    assert main(["merge", "m.yaml", "out"]) == 0


def test_convert_prints_and_never_overwrites(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write({"merge_method": "linear", "models": [{"model": "math"}, {"model": "ja"}], "parameters": {"weight": 1}})
    assert main(["convert", "m.yaml"]) == 0
    assert "use: linear@mergekit" in capsys.readouterr().out
    before = Path("m.yaml").read_text()
    assert main(["convert", "m.yaml", "m.yaml"]) == 2
    assert "m.yaml: exists already. Choose another name" in capsys.readouterr().err
    assert Path("m.yaml").read_text() == before


def test_an_evolve_file_becomes_a_search(desk: Path, zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    genome = {"models": ["math", "ja"], "base_model": "base", "merge_method": "ties", "filters": ["mlp"]}
    tree = {"genome": genome, "tasks": [{"name": "zoo_math_en_mc"}, {"name": "zoo_form_ja_mc"}]}
    write(tree | {"apply_chat_template": False, "limit": 8}, "old.yaml")
    assert main(["validate", "old.yaml", "--models", str(zoo)]) == 0
    capsys.readouterr()
    assert main(["convert", "old.yaml", "--models", str(zoo)]) == 0
    assert "evomerge search search_space=old fitness=old" in capsys.readouterr().out
    assert main(["validate", "search_spaces/old.yaml"]) == 0
    options = [f"fitness.include=[{zoo}/tasks]", "fitness.items.selection=5", "fitness.items.test=5"]
    argv = ["search", "search_space=old", "fitness=old", "optimizer=random", "candidates=3", "finalists=1"]
    assert main([*argv, *options, "run_dir=runs/old"]) == 0
    assert main(["convert", "old.yaml", "--models", str(zoo)]) == 2
    assert "search_spaces/old.yaml: exists already" in capsys.readouterr().err


def test_files_for_mergekit_are_validated(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = {"merge_method": "linear", "models": [{"model": "math"}, {"model": "ja"}]}
    write(tree | {"parameters": {"weight": 1}}, "good.yaml")
    write(tree | {"parameters": {"wieght": 1}}, "bad.yaml")
    write({"genome": {"models": ["math", "ja"], "merge_method": "linear"}, "tasks": ["x"]}, "old.yaml")
    assert main(["validate", "good.yaml", "bad.yaml", "old.yaml"]) == 2
    told = capsys.readouterr()
    assert "good.yaml: a sound mergekit recipe" in told.out
    assert "old.yaml: a sound mergekit-evolve file" in told.out
    assert 'bad.yaml: parameters.wieght: "wieght" is no parameter of linear. Did you mean "weight"?' in told.err


def test_all_models_that_cannot_be_opened_are_named_by_key(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bench / "empty").mkdir()
    (bench / "lora").mkdir()
    (bench / "lora" / "adapter_config.json").write_text("{}")
    models = {"base": "base", "gone": "maths", "bare": "lora", "empty": "empty", "no": {"path": "ja", "adapts": "base"}}
    blend = {"origin": "base", "experts": ["gone", "bare", "empty", "no"], "rules": [{"use": "ties"}]}
    assert main(["merge", write({"models": models, "blends": {"mix": blend}}), "out"]) == 2
    assert set(capsys.readouterr().err.splitlines()) == {
        "m.yaml: models.gone: there is no model folder maths. Check the path, or download the model there.",
        "m.yaml: models.bare: lora is an adapter and no whole model. "
        "Name the model that it was trained on too: {path: lora, adapts: NAME}.",
        "m.yaml: models.empty: empty holds no config.json. Name the folder of a model.",
        'm.yaml: models.no: ja holds no adapter_config.json. Name an adapter\'s folder, or drop "adapts" if it is a '
        "whole model.",
    }


def test_a_rule_that_no_tensor_obeys_is_remarked_on(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = [
        {"where": {"names": ["*atention*"]}, "use": "linear"},
        {"where": {"roles": ["mlp"]}, "use": "linear"},
        {"where": {"layers": [70, 80]}, "use": "linear"},
    ]
    blend = {"origin": "base", "experts": ["math", "ja"], "rules": rules}
    models = {name: name for name in ("base", "math", "ja")}
    assert main(["merge", write({"evomerge": "recipe/1", "models": models, "blends": {"mix": blend}}), "out"]) == 0
    said = capsys.readouterr().err
    assert "m.yaml: blends.mix.rules[0].where: {names: ['*atention*']} matches no tensor, so the rule does noth" in said
    assert "rules[2].where: {layers: [70, 80]} matches no tensor" in said
    assert "rules[1]" not in said
