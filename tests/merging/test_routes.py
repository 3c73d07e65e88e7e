"""Routes: what is scored is what is exported, for layers in any order and any factor on what they write."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file
from transformers.modeling_utils import PreTrainedModel

from evomerge.documents import parse
from evomerge.errors import CandidateFailed, EvomergeError
from evomerge.merging import Library, Provenance, ResidentModel, export_model
from evomerge.recipe import Recipe, stream_scales

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
    [{"from": "mix", "layers": [0, 2], "write": 0.5}, {"from": "a", "layers": [1, 3], "write": -2.0}],
    [  # a repeat that shares its weights, one that does not, and a model's layers in between
        {"from": "mix", "layers": [0, 1]},
        {"from": "mix", "layers": [1, 1]},
        {"from": "b", "layers": [2, 2], "write": 1.3},
        {"from": "mix", "layers": [1, 1], "write": -0.7},
        {"from": "mix", "layers": [3, 3]},
        {"from": "a", "layers": [0, 0], "write": 0.0},
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
    resident, plain = resident_of(folder, None), logits(resident_of(folder, None).model)
    for number, route in enumerate(ROUTES):
        recipe = recipe_of(folder, route)
        resident.hold(recipe)
        exported = export_model(recipe, Library(), folder / f"out{number}", Provenance("A test."))
        loaded = hf.AutoModelForCausalLM.from_pretrained(exported)
        assert torch.allclose(logits(resident.model), logits(loaded), rtol=0.0, atol=1e-4)
        assert not torch.allclose(logits(loaded), plain, atol=1e-2)
        assert greedy(resident.model) == greedy(loaded)
    resident.hold(recipe_of(folder, None))
    assert torch.equal(logits(resident.model), plain), "routes left a trace"


@pytest.mark.parametrize("name", MODELS)
def test_an_exported_route_answers_as_the_resident_model(name: str, tmp_path: Path) -> None:
    check(MODELS[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_an_exported_route_of_further_families(name: str, tmp_path: Path) -> None:
    check(MORE[name], tmp_path)


PROJECTIONS = ("self_attn.o_proj", "mlp.down_proj")
POST_NORMS = ("post_attention_layernorm", "post_feedforward_layernorm")
WRITERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("llama", "qwen2", "qwen3", "mistral", "gemma", "granite", "phi3", "smollm3"), PROJECTIONS),
    **dict.fromkeys(("gemma2", "gemma3", "olmo2", "olmo3"), POST_NORMS),
    **dict.fromkeys(("mixtral", "qwen2_moe", "qwen3_moe"), ("self_attn.o_proj", "mlp")),
    "gpt_neox": ("attention.dense", "mlp"),
    "gpt2": ("attn.c_proj", "mlp"),
}
"""Modules whose outputs are added to the residual stream, as transformers' code has it."""


def check_fold(name: str, make: Callable[[], PreTrainedModel], folder: Path) -> None:
    """The folded weights against hooks on the unfolded ones, with factors of either sign and none."""
    family(make, folder)
    factors = [0.5, -1.3, 2.0, 0.0]
    plain = recipe_of(folder, None)
    folded, hooked = (ResidentModel(plain, Library()) for _ in range(2))
    folded.hold(recipe_of(folder, [{"from": "mix", "layers": [n, n], "write": f} for n, f in enumerate(factors)]))
    hooked.hold(plain)
    unscaled = logits(hooked.model)
    layers = hooked.model.base_model.h if name == "gpt2" else hooked.model.base_model.layers
    for layer, factor in zip(layers, factors, strict=True):
        for writer in WRITERS[name]:
            layer.get_submodule(writer).register_forward_hook(lambda _, __, output, by=factor: output * by)
    assert torch.allclose(logits(hooked.model), logits(folded.model), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(unscaled, logits(folded.model), atol=1e-2)


@pytest.mark.parametrize("name", MODELS)
def test_a_factor_scales_what_a_layer_adds_to_the_stream(name: str, tmp_path: Path) -> None:
    check_fold(name, MODELS[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_a_factor_scales_what_a_layer_of_further_families_adds(name: str, tmp_path: Path) -> None:
    check_fold(name, MORE[name], tmp_path)


STREAM_SCALES = {"one negative": (1.0, -1.4, 0.6, 2.0, 0.8), "two negative": (1.0, -0.7, 2.0, -1.5, 0.6)}


def check_stream_scales(name: str, make: Callable[[], PreTrainedModel], folder: Path, scales: Sequence[float]) -> None:
    """Published factors on the stream that enters each layer, as hooks, against an export of what they convert to."""
    family(make, folder)
    path = [("mix", 0), ("mix", 1), ("b", 3), ("mix", 1), ("mix", 3)]
    writes, reads, embeddings, norm = stream_scales.fold(scales)
    assert embeddings == 1.0
    plain = [{"from": source, "layers": [layer, layer]} for source, layer in path]
    route = [part | {"write": w, "read": r} for part, w, r in zip(plain, writes, reads, strict=True)]
    hooked, unscaled = resident_of(folder, plain).model, logits(resident_of(folder, plain).model)
    layers = hooked.base_model.h if name == "gpt2" else hooked.base_model.layers
    for layer, scale in zip(layers, scales, strict=True):
        layer.register_forward_pre_hook(lambda _, args, by=scale: (args[0] * by, *args[1:]))
    recipe = recipe_of(folder, route, ends={"read": norm})
    exported = export_model(recipe, Library(), folder / "out", Provenance("A test."))
    loaded = hf.AutoModelForCausalLM.from_pretrained(exported)
    assert torch.allclose(logits(hooked), logits(loaded), rtol=1e-4, atol=1e-4)
    assert greedy(hooked) == greedy(loaded)
    assert not torch.allclose(unscaled, logits(loaded), atol=1e-2)


@pytest.mark.parametrize("scales", STREAM_SCALES)
@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma2", "olmo2", "gpt2"])
def test_stream_scales_of_either_sign_become_plain_weights(name: str, scales: str, tmp_path: Path) -> None:
    """With tied embeddings, norms that add 1, norms behind blocks only, and norms with biases among them."""
    check_stream_scales(name, (MODELS | MORE)[name], tmp_path, STREAM_SCALES[scales])


@pytest.mark.slow
@pytest.mark.parametrize("scales", STREAM_SCALES)
@pytest.mark.parametrize("name", sorted({*MODELS, *MORE} - {"llama", "qwen3", "gemma2", "olmo2", "gpt2"}))
def test_stream_scales_of_further_families(name: str, scales: str, tmp_path: Path) -> None:
    check_stream_scales(name, (MODELS | MORE)[name], tmp_path, STREAM_SCALES[scales])


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_a_layer_that_writes_nothing_might_as_well_be_left_out(name: str, tmp_path: Path) -> None:
    family(MODELS[name], tmp_path)
    silent = [{"from": "mix", "layers": [0, 1]}, {"from": "mix", "layers": [2, 2], "write": 0}]
    left_out = [{"from": "mix", "layers": [0, 1]}]
    assert torch.equal(logits(resident_of(tmp_path, silent).model), logits(resident_of(tmp_path, left_out).model))


@pytest.fixture(scope="module")
def llamas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return family(MODELS["llama"], tmp_path_factory.mktemp("llamas"))


def resident_of(folder: Path, *routes: list[dict[str, Any]] | None, **rest: Any) -> ResidentModel:
    """A resident model that held these routes one after the other."""
    recipes = [recipe_of(folder, route, **rest) for route in routes]
    resident = ResidentModel(recipes[0], Library())
    for recipe in recipes:
        resident.hold(recipe)
    return resident


class TestInMemory:
    """Layers in any order without copies of their weights."""

    def test_a_repeated_layer_shares_its_parameters_under_its_own_index(self, llamas: Path) -> None:
        layers = resident_of(llamas, ROUTES[2]).model.base_model.layers
        assert [layer.self_attn.layer_idx for layer in layers] == [0, 1, 2, 3, 4, 5, 6]
        homes = [layer.mlp.down_proj.weight.data_ptr() for layer in layers]
        assert homes[1] == homes[2]
        assert len(set(homes)) == 6, "other factors need other weights"

    def test_caches_of_keys_and_values_are_right(self, llamas: Path) -> None:
        model = resident_of(llamas, ROUTES[2]).model
        assert greedy(model) == greedy(model, use_cache=False)

    def test_layers_that_are_there_already_are_not_written_again(self, llamas: Path) -> None:
        resident = resident_of(llamas, [{"from": "mix", "layers": [0, 2]}])
        kept = resident.model.base_model.layers[2].mlp.down_proj.weight
        kept.data.fill_(7.0)
        resident.hold(recipe_of(llamas, [{"from": "a", "layers": [0, 1]}, {"from": "mix", "layers": [2, 3]}]))
        assert resident.model.base_model.layers[2].mlp.down_proj.weight.eq(7.0).all()
        resident.hold(recipe_of(llamas, [{"from": "mix", "layers": [2, 2], "write": 0.5}]))
        assert not resident.model.base_model.layers[0].mlp.down_proj.weight.eq(7.0).any()

    def test_what_it_held_before_leaves_no_trace(self, llamas: Path) -> None:
        fresh = [logits(resident_of(llamas, route).model) for route in (None, *ROUTES)]
        used = resident_of(llamas, *ROUTES, *reversed(ROUTES))
        for route, expected in zip((None, *ROUTES), fresh, strict=True):
            used.hold(recipe_of(llamas, route))
            assert torch.equal(logits(used.model), expected)

    def test_after_a_failure_nothing_is_taken_for_held(self, llamas: Path) -> None:
        good = recipe_of(llamas, ROUTES[1])
        resident = ResidentModel(good, Library())
        resident.hold(good)
        before = logits(resident.model)
        with pytest.raises(CandidateFailed):
            resident.hold(recipe_of(llamas, [{"from": "b", "layers": [0, 3]}, {"from": "b", "layers": [3, 4]}]))
        resident.hold(good)
        assert torch.equal(logits(resident.model), before)

    def test_memory_grows_to_the_longest_candidate_and_no_further(self, llamas: Path) -> None:
        routes = [[{"from": "mix", "layers": [n, n], "write": 0.5 + w / 8} for n in (0, 1)] for w in range(1, 8)]
        resident = resident_of(llamas, *routes)
        assert resident._stack is not None
        assert len(resident._stack.shelves) == 4


class TestExport:
    """Ordinary checkpoints."""

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_weights_are_rounded_once(self, llamas: Path, tmp_path: Path, dtype: str) -> None:
        recipe = recipe_of(llamas, ROUTES[2], dtype=dtype)
        exported = load_file(
            export_model(recipe, Library(), tmp_path / "out", Provenance("A test.")) / "model.safetensors"
        )
        exact = load_file(
            export_model(recipe_of(llamas, ROUTES[2]), Library(), tmp_path / "exact", Provenance("A test."))
            / "model.safetensors"
        )
        held = resident_of(llamas, ROUTES[2], dtype=dtype).model.state_dict()
        assert exported.keys() == held.keys() == exact.keys()
        for name, tensor in exported.items():
            assert torch.equal(tensor, held[name])
            assert torch.equal(tensor, exact[name].to(tensor.dtype))

    def test_it_needs_no_code_of_its_own(self, llamas: Path, tmp_path: Path) -> None:
        folder = export_model(recipe_of(llamas, ROUTES[2]), Library(), tmp_path / "out", Provenance("A test."))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        assert config["num_hidden_layers"] == 7
        assert config["architectures"] == ["LlamaForCausalLM"]
        assert "auto_map" not in config
        assert not [*folder.glob("*.py")]

    def test_models_alone_without_any_blend(self, llamas: Path, tmp_path: Path) -> None:
        route = [{"from": "a", "layers": [0, 2]}, {"from": "b", "layers": [1, 3]}]
        recipe = recipe_of(llamas, route, blends={})
        folder = export_model(recipe, Library(), tmp_path / "out", Provenance("A test."))
        written, a, b = (load_file(path / "model.safetensors") for path in (folder, llamas / "a", llamas / "b"))
        assert torch.equal(written["model.layers.3.mlp.up_proj.weight"], b["model.layers.1.mlp.up_proj.weight"])
        assert all(torch.equal(written[name], a[name]) for name in a if ".layers." not in name)

    def test_ends_come_from_where_they_are_said_to(self, llamas: Path, tmp_path: Path) -> None:
        recipe = recipe_of(llamas, None, ends={"embeddings": "a", "head": "b"})
        folder = export_model(recipe, Library(), tmp_path / "out", Provenance("A test."))
        written, a, b = (load_file(path / "model.safetensors") for path in (folder, llamas / "a", llamas / "b"))
        merged = resident_of(llamas, None).model.state_dict()
        assert torch.equal(written["model.embed_tokens.weight"], a["model.embed_tokens.weight"])
        assert torch.equal(written["lm_head.weight"], b["lm_head.weight"])
        assert all(torch.equal(written[name], merged[name]) for name in merged if "norm" in name or "layers" in name)

    def test_a_model_that_answers_otherwise_is_not_announced(self, tmp_path: Path) -> None:
        """GPT-2's layers may hang on their own number, which no route can know."""
        config = hf.GPT2Config(
            vocab_size=32, n_positions=64, n_embd=16, n_layer=4, n_head=2, scale_attn_by_inverse_layer_idx=True
        )
        family(lambda: hf.GPT2LMHeadModel(config), tmp_path)
        recipe = recipe_of(tmp_path, ROUTES[0])
        with pytest.raises(EvomergeError, match=r"logits differ by up to .* greedy continuations do"):
            export_model(recipe, Library(), tmp_path / "out", Provenance("A test."))
        assert not (tmp_path / "out").exists()


def test_a_head_that_is_the_embeddings_comes_with_them(tmp_path: Path) -> None:
    family(MODELS["qwen3"], tmp_path)
    with pytest.raises(CandidateFailed, match="the models' head is their embeddings"):
        resident_of(tmp_path, None, ends={"head": "a"})


def test_families_whose_layers_are_not_known_are_refused(tmp_path: Path) -> None:
    config = hf.BertConfig(
        vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=4, num_attention_heads=2
    )
    family(lambda: hf.BertForMaskedLM(config), tmp_path)
    with pytest.raises(CandidateFailed, match="routes over layers of bert are not known"):
        resident_of(tmp_path, ROUTES[0])
