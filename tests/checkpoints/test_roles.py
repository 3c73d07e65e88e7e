"""What tensors do, by the names that architectures give them."""

import pytest

from evomerge.checkpoints import Position, position_of


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
def test_layer_and_role(name: str, layer: int | None, role: str) -> None:
    assert position_of(name) == Position(layer, role)  # type: ignore[arg-type]
