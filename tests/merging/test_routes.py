"""Routes: what is scored is what is exported, for layers in any order and any factor on what they write."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from transformers.modeling_utils import PreTrainedModel

from evomerge.documents import parse
from evomerge.merging import Library, Provenance, ResidentModel, export_model
from evomerge.recipe import Recipe

TEXT = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
HEADS = TEXT | {"head_dim": 8}
SLIDING = {"sliding_window": 3, "layer_types": ["full_attention", "sliding_attention"] * 2}
BIASED = {"attention_bias": True, "mlp_bias": True}

MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**HEADS, **BIASED)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**TEXT, use_sliding_window=True, **SLIDING)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**HEADS, tie_word_embeddings=True)),
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**HEADS, sliding_window=5)),
    "gemma2": lambda: hf.Gemma2ForCausalLM(hf.Gemma2Config(**HEADS, **SLIDING)),
    "gemma3": lambda: hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**HEADS, **SLIDING)),
}
MORE: dict[str, Callable[[], PreTrainedModel]] = {
    "gemma": lambda: hf.GemmaForCausalLM(hf.GemmaConfig(**HEADS)),
    "granite": lambda: hf.GraniteForCausalLM(hf.GraniteConfig(**TEXT, residual_multiplier=0.7)),
    "phi3": lambda: hf.Phi3ForCausalLM(hf.Phi3Config(**TEXT)),
    "smollm3": lambda: hf.SmolLM3ForCausalLM(hf.SmolLM3Config(**TEXT, no_rope_layers=[1, 0, 1, 0])),
    "olmo2": lambda: hf.Olmo2ForCausalLM(hf.Olmo2Config(**TEXT)),
    "olmo3": lambda: hf.Olmo3ForCausalLM(hf.Olmo3Config(**TEXT, **SLIDING)),
    "gpt_neox": lambda: hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**TEXT)),
    "gpt2": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(vocab_size=32, n_positions=64, n_embd=16, n_layer=4, n_head=2, bos_token_id=0, eos_token_id=1)
    ),
    "mixtral": lambda: hf.MixtralForCausalLM(hf.MixtralConfig(**HEADS, num_local_experts=3)),
    "qwen2_moe": lambda: hf.Qwen2MoeForCausalLM(
        hf.Qwen2MoeConfig(
            **TEXT,
            num_experts=3,
            num_experts_per_tok=2,
            moe_intermediate_size=8,
            shared_expert_intermediate_size=12,
            decoder_sparse_step=2,
        )
    ),
    "qwen3_moe": lambda: hf.Qwen3MoeForCausalLM(
        hf.Qwen3MoeConfig(**HEADS, num_experts=3, num_experts_per_tok=2, moe_intermediate_size=8, mlp_only_layers=[1])
    ),
}

MIX = {"origin": "base", "experts": ["a", "b"], "pipe": [{"weigh": [0.3, 0.9]}, {"reduce": "sum"}]}
ROUTES: list[list[dict[str, Any]]] = [
    [{"from": "mix", "layers": [0, 1]}, {"from": "mix", "layers": [3, 3]}],  # one removed
    [{"from": "mix", "layers": [0, 2], "write": 0.5}, {"from": "a", "layers": [1, 3], "write": 2.0}],
    [  # a repeat that shares its weights, one that does not, and a model's layers in between
        {"from": "mix", "layers": [0, 1]},
        {"from": "mix", "layers": [1, 1]},
        {"from": "b", "layers": [2, 2], "write": 1.3},
        {"from": "mix", "layers": [1, 1], "write": 0.7},
        {"from": "mix", "layers": [3, 3]},
    ],
]
TOKENS = torch.tensor([[2, 5, 9, 3, 7, 11, 4, 30]])


def family(make: Callable[[], PreTrainedModel], folder: Path) -> Path:
    """A base and two experts, all of whose numbers are random: gains and biases, too."""
    for seed, name in enumerate(("base", "a", "b")):
        model = make()
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
        model.tie_weights()
        model.save_pretrained(folder / name)
    return folder


def recipe_of(folder: Path, route: Sequence[dict[str, Any]] | None, **rest: Any) -> Recipe:
    models = {name: {"path": str(folder / name)} for name in ("base", "a", "b")}
    return parse(Recipe, {"models": models, "blends": {"mix": MIX}, "route": route, **rest}, "recipe")


def greedy(model: PreTrainedModel, *, use_cache: bool = True) -> list[int]:
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "use_cache": use_cache}
    return model.generate(TOKENS, attention_mask=torch.ones_like(TOKENS), **options)[0].tolist()  # type: ignore[no-any-return]


@torch.inference_mode()
def logits(model: PreTrainedModel) -> torch.Tensor:
    return model(TOKENS).logits  # type: ignore[no-any-return]


def check(make: Callable[[], PreTrainedModel], folder: Path) -> None:
    """Every route in turn in one resident model, against its export, which has other modules in other memory."""
    family(make, folder)
    recipes = [recipe_of(folder, route) for route in (None, *ROUTES, None)]
    resident = ResidentModel(recipes[0], Library())
    answers = []
    for number, recipe in enumerate(recipes):
        resident.hold(recipe)
        exported = export_model(recipe, Library(), folder / f"out{number}", Provenance("A test."))
        loaded = hf.AutoModelForCausalLM.from_pretrained(exported)
        answers.append(logits(resident.model))
        assert torch.allclose(answers[-1], logits(loaded), rtol=0.0, atol=1e-4)
        assert greedy(resident.model) == greedy(loaded) == greedy(loaded, use_cache=False)
    assert torch.equal(answers[0], answers[-1]), "routes left a trace"
    assert all(not torch.allclose(answers[0], other, atol=1e-2) for other in answers[1:-1])


@pytest.mark.parametrize("name", MODELS)
def test_an_exported_route_answers_as_the_resident_model(name: str, tmp_path: Path) -> None:
    check(MODELS[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_an_exported_route_of_further_families(name: str, tmp_path: Path) -> None:
    check(MORE[name], tmp_path)
