"""Which checkpoints have blocks that can be aligned, and what the others are told."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from evomerge.checkpoints import Checkpoint
from evomerge.errors import ConfigError
from evomerge.merging.alignment import Blocks, check_alignable

Tensors = dict[str, torch.Tensor]
MakeModel = Callable[..., Path]
CopyOf = Callable[[Path, str, Callable[[Tensors], Tensors]], Path]


def blocks(folder: Path) -> Blocks:
    return Blocks(Checkpoint(folder))


def set_in_config(folder: Path, **values: object) -> None:
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(config | values), encoding="utf-8")


@pytest.mark.parametrize(
    ("family", "widths"),
    [
        ("llama", {"query": 16, "key": 16, "gate": 16}),
        ("qwen2", {"query": 17, "key": 17, "gate": 16}),  # a bias is one column more
        ("phi3", {"query": 16, "key": 16, "gate": 16}),
    ],
)
def test_parts_are_units_by_width(make_model: MakeModel, family: str, widths: dict[str, int]) -> None:
    parts = blocks(make_model("model", family)).read(1)
    units = {"query": 16, "key": 8, "value": 8, "output": 16, "gate": 24, "up": 24, "down": 24}
    assert {part: len(rows) for part, rows in parts.items()} == units
    assert {part: parts[part].shape[1] for part in widths} == widths  # type: ignore[index]


def test_columns_do_not_depend_on_the_order_of_files(make_model: MakeModel, copy_of: CopyOf) -> None:
    """A bias comes before its weight in one file, and after it when it lies in a second one."""
    whole = make_model("whole", "qwen2")
    tensors = load_file(whole / "model.safetensors")
    names = {
        "a.safetensors": [n for n in tensors if "bias" not in n],
        "b.safetensors": [n for n in tensors if "bias" in n],
    }
    cut = copy_of(whole, "cut", lambda held: held)
    (cut / "model.safetensors").unlink()
    for file, held in names.items():
        save_file({name: tensors[name] for name in held}, cut / file)
    weight_map = {name: file for file, held in names.items() for name in held}
    (cut / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    one, other = blocks(whole).read(0), blocks(cut).read(0)
    assert all(torch.equal(one[part], other[part]) for part in one)


def test_a_bias_of_what_writes_the_stream_stays(make_model: MakeModel) -> None:
    its = blocks(make_model("model", attention_bias=True, mlp_bias=True))
    biases = {name.split(".")[-2] for name in its.places if name.endswith("bias")}
    assert biases == {"q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"}


@pytest.mark.parametrize(
    ("family", "settings", "is_free"),
    [
        ("llama", {}, True),
        ("qwen3", {}, False),
        ("gemma3_text", {}, False),
        ("phi3", {"rope_parameters": {"rope_theta": 100.0, "partial_rotary_factor": 0.5}}, False),
    ],
)
def test_keys_turn_where_nothing_stands_between(
    make_model: MakeModel, family: str, settings: dict[str, object], is_free: bool
) -> None:
    assert blocks(make_model("model", family, **settings)).geometry.rotary_keys == is_free


def test_other_families_are_refused_by_name(make_model: MakeModel) -> None:
    model = make_model("model")
    set_in_config(model, model_type="mamba")
    with pytest.raises(ConfigError) as caught:
        blocks(model)
    known = "gemma, gemma2, gemma3_text, llama, mistral, phi3, qwen2, qwen3"
    assert str(caught.value) == (
        f'{model}/config.json: no alignment is known for the model type "mamba". Known: {known}.'
    )


def test_quantised_models_are_refused(make_model: MakeModel) -> None:
    model = make_model("model")
    set_in_config(model, quantization_config={"bits": 4})
    with pytest.raises(ConfigError, match=r"is quantised, and codes cannot be rotated\. Use"):
        blocks(model)


def test_a_config_of_other_sizes_is_refused(make_model: MakeModel) -> None:
    model = make_model("model")
    set_in_config(model, num_key_value_heads=1)
    with pytest.raises(ConfigError) as caught:
        blocks(model)
    first = f"{model}: model.layers.0.self_attn.k_proj.weight: has 8 rows; its config asks for 4."
    assert str(caught.value).splitlines()[0] == first
    assert len(caught.value.problems) == 4


def test_a_missing_layer_is_told(make_model: MakeModel, copy_of: CopyOf) -> None:
    model = make_model("model")
    cut = copy_of(model, "cut", lambda held: {name: held[name] for name in held if "layers.1.mlp.up" not in name})
    with pytest.raises(ConfigError, match=r"layer 1 has no up projection\. Download the model again\.$"):
        blocks(cut)


def test_a_folder_without_blocks_is_told(make_model: MakeModel, copy_of: CopyOf) -> None:
    model = make_model("model")
    cut = copy_of(model, "cut", lambda held: {name: held[name] for name in held if "layers" not in name})
    with pytest.raises(ConfigError, match="lacks the linear layers of blocks"):
        blocks(cut)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_told(make_model: MakeModel, copy_of: CopyOf, value: float) -> None:
    def spoil(held: Tensors) -> Tensors:
        held["model.layers.1.mlp.up_proj.weight"][3, 4] = value
        return held

    model = copy_of(make_model("model"), "spoilt", spoil)
    with pytest.raises(ConfigError) as caught:
        blocks(model).read(1)
    name = "model.layers.1.mlp.up_proj.weight"
    assert str(caught.value).startswith(f"{model}: {name}: holds NaN or infinity")


def test_sizes_must_agree(make_model: MakeModel) -> None:
    reference, model = make_model("reference"), make_model("model", num_key_value_heads=4, intermediate_size=32)
    with pytest.raises(ConfigError) as caught:
        check_alignable(blocks(reference), blocks(model))
    assert str(caught.value) == (
        f"{model}: is built differently from {reference}: kv_heads is 4, not 2; hidden_units is 32, not 24. "
        "Units can only be matched one to one."
    )


@pytest.mark.parametrize(
    ("family", "settings", "told"),
    [
        ("qwen2", {}, "layers.0.self_attn.k_proj.bias is [8], not absent"),
        ("llama", {"hidden_size": 20}, "layers.0.mlp.down_proj.weight is [20, 24], not [16, 24]"),
    ],
)
def test_shapes_must_agree(make_model: MakeModel, family: str, settings: dict[str, int], told: str) -> None:
    reference, model = make_model("reference"), make_model("model", family, **settings)
    with pytest.raises(ConfigError) as caught:
        check_alignable(blocks(reference), blocks(model))
    assert told in str(caught.value)


def test_relatives_of_one_shape_are_alignable(make_model: MakeModel) -> None:
    check_alignable(blocks(make_model("reference", "llama")), blocks(make_model("model", "mistral")))
