"""What tensors do, by the names that architectures give them. Known families: tests/merging/test_architectures.py."""

import logging

import pytest

from evomerge.checkpoints import Position
from evomerge.checkpoints.families import FAMILIES
from evomerge.checkpoints.roles import positions_of


@pytest.mark.parametrize(
    ("name", "layer", "role"),
    [
        # Llama, Mistral, Qwen
        ("model.embed_tokens.weight", None, "embedding"),
        ("model.layers.0.self_attn.q_proj.weight", 0, "attention"),
        ("model.layers.31.self_attn.o_proj.weight", 31, "attention"),
        ("model.layers.3.self_attn.q_proj.bias", 3, "attention"),
        ("model.layers.3.self_attn.q_norm.weight", 3, "norm"),
        ("model.layers.3.mlp.gate_proj.weight", 3, "mlp"),
        ("model.layers.3.mlp.down_proj.weight", 3, "mlp"),
        ("model.layers.3.input_layernorm.weight", 3, "norm"),
        ("model.layers.3.post_attention_layernorm.weight", 3, "norm"),
        ("model.norm.weight", None, "norm"),
        ("lm_head.weight", None, "head"),
        # Gemma
        ("model.layers.3.pre_feedforward_layernorm.weight", 3, "norm"),
        ("model.layers.3.post_feedforward_layernorm.weight", 3, "norm"),
        # Phi
        ("model.layers.3.self_attn.qkv_proj.weight", 3, "attention"),
        ("model.layers.3.mlp.fc1.bias", 3, "mlp"),
        # GPT-2 and GPT-J
        ("transformer.wte.weight", None, "embedding"),
        ("wpe.weight", None, "embedding"),
        ("transformer.h.11.attn.c_attn.weight", 11, "attention"),
        ("h.11.mlp.c_fc.bias", 11, "mlp"),
        ("transformer.h.11.ln_1.weight", 11, "norm"),
        ("transformer.ln_f.bias", None, "norm"),
        # GPT-NeoX
        ("gpt_neox.embed_in.weight", None, "embedding"),
        ("gpt_neox.layers.5.attention.query_key_value.weight", 5, "attention"),
        ("gpt_neox.layers.5.mlp.dense_h_to_4h.weight", 5, "mlp"),
        ("gpt_neox.final_layer_norm.weight", None, "norm"),
        ("embed_out.weight", None, "head"),
        # BLOOM, Falcon, MPT, OPT
        ("transformer.word_embeddings.weight", None, "embedding"),
        ("transformer.word_embeddings_layernorm.weight", None, "norm"),
        ("transformer.h.2.self_attention.dense.weight", 2, "attention"),
        ("transformer.h.2.ln_mlp.weight", 2, "norm"),
        ("transformer.blocks.2.attn.Wqkv.weight", 2, "attention"),
        ("transformer.blocks.2.ffn.up_proj.weight", 2, "mlp"),
        ("transformer.blocks.2.norm_1.weight", 2, "norm"),
        ("model.decoder.embed_positions.weight", None, "embedding"),
        ("model.decoder.layers.2.fc1.weight", 2, "mlp"),
        ("model.decoder.layers.2.final_layer_norm.weight", 2, "norm"),
        # mixtures of experts
        ("model.layers.1.block_sparse_moe.gate.weight", 1, "router"),
        ("model.layers.1.block_sparse_moe.experts.7.w1.weight", 1, "mlp"),
        ("model.layers.1.mlp.gate.weight", 1, "router"),
        ("model.layers.1.mlp.gate.e_score_correction_bias", 1, "router"),
        ("model.layers.1.mlp.router.weight", 1, "router"),
        ("model.layers.1.mlp.shared_expert_gate.weight", 1, "router"),
        ("model.layers.1.mlp.shared_expert.gate_proj.weight", 1, "mlp"),
        ("model.layers.1.mlp.experts.12.down_proj.weight", 1, "mlp"),
        # neither
        ("backbone.layers.4.mixer.in_proj.weight", 4, "other"),
        ("model.steps", None, "other"),
    ],
)
def test_names_in_families_that_are_not_known(name: str, layer: int | None, role: str) -> None:
    assert positions_of({}, {name: (4, 4)})[name] == Position(layer, role)  # type: ignore[arg-type]


def test_shapes_in_families_that_are_not_known() -> None:
    shapes = {
        "backbone.tokens.weight": (50, 8),
        "backbone.lm_head.weight": (50, 8),
        "backbone.layers.0.scale.weight": (8,),
        "backbone.layers.0.mixer.bias": (8,),
        "backbone.layers.0.mixer.experts.w1": (3, 8, 8),
        "backbone.layers.0.mixer.table": (50, 8),
    }
    assert positions_of({"model_type": "new", "vocab_size": 50}, shapes) == {
        "backbone.tokens.weight": Position(None, "embedding", per_token=True),
        "backbone.lm_head.weight": Position(None, "head", per_token=True),
        "backbone.layers.0.scale.weight": Position(0, "norm"),
        "backbone.layers.0.mixer.bias": Position(0, "other"),
        "backbone.layers.0.mixer.experts.w1": Position(0, "mlp", per_expert=True),
        "backbone.layers.0.mixer.table": Position(0, "other"),
    }


def test_an_encoder_comes_before_its_decoder() -> None:
    names = [
        "model.decoder.layers.0.fc1.weight",
        "model.encoder.layers.1.fc1.weight",
        "model.decoder.layers.3.fc1.bias",
    ]
    found = positions_of({"model_type": "bart"}, dict.fromkeys(names, (4,)))
    assert [found[name].layer for name in names] == [2, 1, 5]


def test_what_the_map_of_a_family_does_not_mention_is_guessed() -> None:
    names = ["model.layers.0.self_attn.extra.weight", "v_head.weight", "model.layers.1.new.weight"]
    found = positions_of({"model_type": "llama"}, dict.fromkeys(names, (4, 4)))
    assert [found[name] for name in names] == [Position(0, "attention"), Position(None, "other"), Position(1, "other")]


def test_a_family_that_is_not_known_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            positions_of({"model_type": "seen in this test only"}, {"a.weight": (1,)})
            positions_of({"model_type": "llama"}, {"model.norm.weight": (1,)})
    assert [record.getMessage() for record in caplog.records] == [
        "The family seen in this test only is not known: roles of its tensors are guessed from their names and shapes."
    ]


@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_base_model_alone_leaves_its_prefix_out(model_type: str) -> None:
    family = FAMILIES[model_type]
    name = f"{family.stacks[0]}.3.mlp.weight"
    bare, full = (positions_of({"model_type": model_type}, {n: (4, 4)})[n] for n in (name, family.prefix + name))
    assert bare == full
    assert bare.layer == 3
