"""Layers of checkpoints: their tensors, their names elsewhere, what writes, and what configs say of them."""

from pathlib import Path
from typing import Any

import pytest
import transformers as hf
from safetensors.torch import load_file, save_file

from evomerge.checkpoints import Checkpoint
from evomerge.checkpoints.layers import config_changes, layers_of

SIZES: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
MIXED = {"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 8, "num_key_value_heads": 1}


def writers(model: hf.PreTrainedModel, folder: Path) -> dict[str, float]:
    """The tensors of the first layer that write, and what is added to their numbers."""
    model.save_pretrained(folder)
    layers = layers_of(Checkpoint(folder))
    assert layers is not None
    return {layers.bare(name): layers.norm_offset(name) or 0.0 for name in layers.names[0] if layers.writes(name)}


def readers(model: hf.PreTrainedModel, folder: Path) -> dict[str, float | None]:
    """The tensors of the first layer that read, and what is added to the numbers of norms."""
    model.save_pretrained(folder)
    layers = layers_of(Checkpoint(folder))
    assert layers is not None
    return {layers.bare(name): layers.norm_offset(name) for name in layers.names[0] if layers.reads(name)}


class TestWrites:
    """As each family's code adds to the residual stream."""

    def test_last_projections_with_their_biases(self, tmp_path: Path) -> None:
        model = hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True))
        kinds = ("self_attn.o_proj", "mlp.down_proj")
        assert writers(model, tmp_path) == {f"{kind}.{part}": 0.0 for kind in kinds for part in ("weight", "bias")}

    def test_norms_behind_the_projections_of_gemma(self, tmp_path: Path) -> None:
        model = hf.Gemma2ForCausalLM(hf.Gemma2Config(**SIZES, num_key_value_heads=1, head_dim=8))
        norms = ("post_attention_layernorm", "post_feedforward_layernorm")
        assert writers(model, tmp_path) == {f"{norm}.weight": 1.0 for norm in norms}

    def test_norms_behind_the_projections_of_olmo(self, tmp_path: Path) -> None:
        norms = ("post_attention_layernorm", "post_feedforward_layernorm")
        model = hf.Olmo2ForCausalLM(hf.Olmo2Config(**SIZES))
        assert writers(model, tmp_path) == {f"{norm}.weight": 0.0 for norm in norms}

    def test_llamas_norm_of_that_name_stands_before_the_mlp(self, tmp_path: Path) -> None:
        assert "post_attention_layernorm.weight" not in writers(hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES)), tmp_path)

    def test_every_expert_and_the_shared_one(self, tmp_path: Path) -> None:
        config = hf.Qwen2MoeConfig(**SIZES, **MIXED, shared_expert_intermediate_size=12)
        experts = [f"mlp.experts.{number}.down_proj.weight" for number in range(3)]
        found = writers(hf.Qwen2MoeForCausalLM(config), tmp_path)
        assert sorted(found) == sorted([*experts, "mlp.shared_expert.down_proj.weight", "self_attn.o_proj.weight"])


class TestReads:
    """As each family's code takes from the residual stream."""

    def test_norms_in_front_of_the_projections(self, tmp_path: Path) -> None:
        model = hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES))
        norms = ("input_layernorm", "post_attention_layernorm")
        assert readers(model, tmp_path) == {f"{norm}.weight": 0.0 for norm in norms}

    def test_gemmas_norms_add_1(self, tmp_path: Path) -> None:
        model = hf.GemmaForCausalLM(hf.GemmaConfig(**SIZES, num_key_value_heads=1, head_dim=8))
        assert set(readers(model, tmp_path).values()) == {1.0}

    def test_a_layer_norms_bias_is_not_read(self, tmp_path: Path) -> None:
        model = hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=32, n_positions=8, n_embd=16, n_layer=2, n_head=2))
        assert readers(model, tmp_path) == {"ln_1.weight": 0.0, "ln_2.weight": 0.0}

    def test_first_projections_where_no_norm_stands_in_front(self, tmp_path: Path) -> None:
        found = readers(hf.Olmo2ForCausalLM(hf.Olmo2Config(**SIZES)), tmp_path)
        projections = [*(f"self_attn.{part}_proj" for part in "qkv"), "mlp.gate_proj", "mlp.up_proj"]
        assert found == {f"{projection}.weight": None for projection in projections}


def test_tensors_by_layer_and_their_names_elsewhere(tmp_path: Path) -> None:
    hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES)).save_pretrained(tmp_path)
    layers = layers_of(Checkpoint(tmp_path))
    assert layers is not None
    assert len(layers.names) == 2
    assert sorted(layers.others) == ["lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"]
    assert layers.moved("model.layers.1.mlp.up_proj.weight", 12) == "model.layers.12.mlp.up_proj.weight"
    assert [layers.moved(name, 1) for name in layers.names[0]] == list(layers.names[1])


def test_a_file_of_the_base_model_alone(tmp_path: Path) -> None:
    hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES)).save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    save_file({n.removeprefix("model."): t for n, t in stored.items()}, tmp_path / "model.safetensors")
    layers = layers_of(Checkpoint(tmp_path))
    assert layers is not None
    assert layers.moved("layers.0.mlp.up_proj.weight", 3) == "layers.3.mlp.up_proj.weight"


@pytest.mark.parametrize(
    ("config", "layers", "expected"),
    [
        ({"num_hidden_layers": 4, "hidden_size": 8}, [0, 2, 2], {"num_hidden_layers": 3}),
        ({"n_layer": 4}, [3, 0], {"n_layer": 2}),
        (
            {"num_hidden_layers": 3, "layer_types": ["a", "b", "c"], "no_rope_layers": [1, 1, 0]},
            [2, 0, 0],
            {"num_hidden_layers": 3, "layer_types": ["c", "a", "a"], "no_rope_layers": [0, 1, 1]},
        ),
        (
            {"layer_types": ["full_attention", "full_attention", "sliding_attention"], "max_window_layers": 2},
            [0, 1, 1, 2],
            {"layer_types": ["full_attention"] * 3 + ["sliding_attention"], "max_window_layers": 3},
        ),
        (
            {"layer_types": ["full_attention"] * 2, "max_window_layers": 2},
            [0, 1, 0],
            {"layer_types": ["full_attention"] * 3, "max_window_layers": 3},
        ),
        (
            {"mlp_only_layers": [1], "decoder_sparse_step": 1},
            [1, 0, 1, 2],
            {"mlp_only_layers": [0, 2], "decoder_sparse_step": 1},
        ),
        (
            {"mlp_only_layers": None, "decoder_sparse_step": 2},
            [0, 1, 1, 2, 3],
            {"mlp_only_layers": [0, 3], "decoder_sparse_step": 1},
        ),
    ],
)
def test_what_a_config_says_of_layers_in_another_order(
    config: dict[str, Any], layers: list[int], expected: dict[str, Any]
) -> None:
    assert config_changes(config, layers) == expected
