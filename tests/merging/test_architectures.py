"""Every known family: roles that agree with transformers' modules, and exports that compute what the resident does."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from transformers.modeling_utils import PreTrainedModel

from evomerge.checkpoints import Checkpoint
from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.merging import Library, Provenance, ResidentModel, export_model
from evomerge.merging.loading import auto_class, load_model
from evomerge.merging.places import places_of
from evomerge.recipe import Recipe

RULES: list[dict[str, Any]] = [
    {"use": "task_arithmetic", "weights": [0.3, 0.9]},
    {"use": "ties", "density": 0.4},
    {"use": "slerp", "t": 0.2},
]
TOKENS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = SIZES | TOKENS | {"vocab_size": 32}
GROUPED = TEXT | {"num_key_value_heads": 1, "head_dim": 8}
MIXED = TEXT | {"num_key_value_heads": 1, "num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 8}
BERT = SIZES | {"vocab_size": 32, "max_position_embeddings": 18}
IMAGE = SIZES | {"image_size": 8, "patch_size": 4}
T5 = {"vocab_size": 32, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 2}
GPT2 = {
    "vocab_size": 32,
    "n_positions": 16,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 2,
    "bos_token_id": 0,
    "eos_token_id": 1,
}

MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**GROUPED, attention_bias=True, mlp_bias=True)),
    "llama classifier": lambda: hf.LlamaForSequenceClassification(hf.LlamaConfig(**GROUPED)),
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**GROUPED)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**TEXT, num_key_value_heads=1, tie_word_embeddings=True)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**GROUPED)),
    "gemma2": lambda: hf.Gemma2ForCausalLM(hf.Gemma2Config(**GROUPED)),
    "gemma3": lambda: hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**GROUPED)),
    "gemma": lambda: hf.GemmaForCausalLM(hf.GemmaConfig(**GROUPED)),
    "smollm3": lambda: hf.SmolLM3ForCausalLM(hf.SmolLM3Config(**TEXT, num_key_value_heads=1)),
    "granite": lambda: hf.GraniteForCausalLM(hf.GraniteConfig(**TEXT)),
    "olmo3": lambda: hf.Olmo3ForCausalLM(hf.Olmo3Config(**TEXT)),
    "phi3": lambda: hf.Phi3ForCausalLM(hf.Phi3Config(**TEXT, num_key_value_heads=1)),
    "olmo2": lambda: hf.Olmo2ForCausalLM(hf.Olmo2Config(**TEXT)),
    "gpt_neox": lambda: hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**TEXT)),
    "gpt2": lambda: hf.GPT2LMHeadModel(hf.GPT2Config(**GPT2)),
    "gpt2 base": lambda: hf.GPT2Model(hf.GPT2Config(**GPT2)),
    "bert": lambda: hf.BertForMaskedLM(hf.BertConfig(**BERT)),
    "bert classifier": lambda: hf.BertForSequenceClassification(hf.BertConfig(**BERT)),
    "bert pretraining": lambda: hf.BertForPreTraining(hf.BertConfig(**BERT)),
    "roberta": lambda: hf.RobertaForMaskedLM(hf.RobertaConfig(**BERT)),
    "roberta classifier": lambda: hf.RobertaForSequenceClassification(hf.RobertaConfig(**BERT)),
    "roberta answers": lambda: hf.RobertaForQuestionAnswering(hf.RobertaConfig(**BERT)),
    "vit": lambda: hf.ViTForImageClassification(hf.ViTConfig(**IMAGE)),
    "vit base": lambda: hf.ViTModel(hf.ViTConfig(**IMAGE)),
    "t5": lambda: hf.T5ForConditionalGeneration(hf.T5Config(**T5)),
    "t5 gated": lambda: hf.T5ForConditionalGeneration(hf.T5Config(**T5, feed_forward_proj="gated-gelu")),
    "mixtral": lambda: hf.MixtralForCausalLM(hf.MixtralConfig(**GROUPED, num_local_experts=3)),
    "qwen2_moe": lambda: hf.Qwen2MoeForCausalLM(hf.Qwen2MoeConfig(**MIXED, shared_expert_intermediate_size=12)),
    "qwen3_moe": lambda: hf.Qwen3MoeForCausalLM(hf.Qwen3MoeConfig(**MIXED, head_dim=8, mlp_only_layers=[1])),
}
UNKNOWN: dict[str, Callable[[], PreTrainedModel]] = {
    "bloom": lambda: hf.BloomForCausalLM(hf.BloomConfig(vocab_size=32, hidden_size=16, n_layer=2, n_head=2)),
    "opt": lambda: hf.OPTForCausalLM(
        hf.OPTConfig(
            vocab_size=32,
            hidden_size=16,
            ffn_dim=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            word_embed_proj_dim=16,
        )
    ),
    "mamba": lambda: hf.MambaForCausalLM(
        hf.MambaConfig(vocab_size=32, hidden_size=16, num_hidden_layers=2, state_size=4)
    ),
}


def save(model: PreTrainedModel, folder: Path, seed: int, **options: Any) -> Path:
    """The same architecture with numbers of its own, all of them random: gains and biases, too."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data = (torch.randn(parameter.shape, generator=generator) * 0.3).to(parameter.dtype)
    model.tie_weights()
    model.save_pretrained(folder, **options)
    return folder


def family_of(model: PreTrainedModel, folder: Path, **options: Any) -> Path:
    """A base and two experts."""
    for seed, name in enumerate(("base", "a", "b")):
        save(model, folder / name, seed, **options)
    return folder


def recipe_of(folder: Path, rule: dict[str, Any], **rest: Any) -> Recipe:
    models = {name: {"path": str(folder / name)} for name in ("base", "a", "b")}
    mix = {"origin": "base", "experts": ["a", "b"], "rules": [rule]}
    return parse(Recipe, {"models": models, "blends": {"mix": mix}, **rest}, "recipe")


def answer(model: PreTrainedModel) -> torch.Tensor:
    """What a model computes for one fixed input: logits, or hidden states where it has no head."""
    if model.main_input_name == "pixel_values":
        inputs = {"pixel_values": torch.linspace(0, 1, 3 * 64).view(1, 3, 8, 8)}
    else:
        inputs = {"input_ids": torch.tensor([[2, 5, 9, 3, 7]])}
        if model.config.is_encoder_decoder:
            inputs["decoder_input_ids"] = torch.tensor([[2, 4, 6]])
    with torch.inference_mode():
        return next(iter(model(**inputs).values()))  # type: ignore[no-any-return]


def check_exports(folder: Path, kind: type, rules: Sequence[dict[str, Any]] = RULES[:1], **rest: Any) -> None:
    """The export of every rule's merge, loaded by transformers alone, must compute what the resident model does."""
    recipes = [recipe_of(folder, rule, **rest) for rule in rules]
    resident = ResidentModel(recipes[0], Library())
    assert type(resident.model) is kind
    answers = []
    for number, recipe in enumerate(recipes):
        resident.hold(recipe)
        exported = export_model(recipe, Library(), folder / f"out{number}", Provenance("A test."))
        loaded, report = kind.from_pretrained(exported, dtype="auto", output_loading_info=True)  # type: ignore[attr-defined]
        assert not report["missing_keys"]
        answers.append(answer(resident.model))
        assert torch.equal(answer(loaded.eval()), answers[-1])
        assert bool(answers[-1].isfinite().all())
    assert len({tuple(each.flatten().tolist()) for each in answers}) == len(rules)


def roles_by_module(model: PreTrainedModel) -> Iterator[tuple[torch.Tensor, str]]:
    """Every parameter and its role, told from the classes of the modules around it."""
    for name, parameter in model.named_parameters():
        path = name.split(".")[:-1]
        around = [type(model.get_submodule(".".join(path[:depth]))).__name__ for depth in range(1, len(path) + 1)]
        is_in_layer = any(part.isdigit() for part in path)
        if "Norm" in around[-1]:
            yield parameter, "norm"
        elif path[-1] in ("gate", "shared_expert_gate"):
            yield parameter, "router"
        elif is_in_layer:
            yield parameter, "attention" if any("Attention" in kind for kind in around) else "mlp"
        else:
            yield parameter, "embedding" if any("Embedding" in kind for kind in around) else "head"


@pytest.mark.parametrize("name", MODELS)
def test_export_computes_what_the_resident_model_does(tmp_path: Path, name: str) -> None:
    model = MODELS[name]()
    check_exports(family_of(model, tmp_path), type(model), RULES)


@pytest.mark.parametrize("name", ["mixtral", "qwen2_moe", "qwen3_moe", "vit", "gpt_neox"])
def test_files_under_the_names_that_transformers_has_in_memory(tmp_path: Path, name: str) -> None:
    """Fused experts, for one."""
    model = MODELS[name]()
    folder = family_of(model, tmp_path, save_original_format=False)
    assert set(load_file(folder / "base" / "model.safetensors")) <= set(model.state_dict())
    check_exports(folder, type(model))


@pytest.mark.parametrize(("name", "dtype"), [("gemma2", "bfloat16"), ("mixtral", "bfloat16"), ("t5", "float16")])
def test_half_precision(tmp_path: Path, name: str, dtype: str) -> None:
    """T5 keeps a part of itself in float32."""
    model = MODELS[name]().to(getattr(torch, dtype))
    check_exports(family_of(model, tmp_path), type(model), dtype=dtype)


@pytest.mark.parametrize(
    ("name", "original"),
    [(name, True) for name in MODELS]
    + [(name, False) for name in ("mixtral", "qwen2_moe", "qwen3_moe", "vit", "gpt_neox")],
)
def test_roles_agree_with_the_modules(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, original: bool
) -> None:
    checkpoint = Checkpoint(save(MODELS[name](), tmp_path / "model", 0, save_original_format=original))
    model, unused = load_model(checkpoint, None)
    expected = {parameter.untyped_storage().data_ptr(): role for parameter, role in roles_by_module(model)}
    places = places_of(checkpoint, model, unused)
    assert {tensor: checkpoint.position(tensor).role for tensor in places} == {
        tensor: expected[place.untyped_storage().data_ptr()] for tensor, place in places.items()
    }
    assert "is not known" not in caplog.text


@pytest.mark.parametrize("name", MODELS)
def test_layers_and_axes(tmp_path: Path, name: str) -> None:
    """Layers are numbered through; sizes that occur once tell the axes: 32 tokens, 3 experts."""
    checkpoint = Checkpoint(save(MODELS[name](), tmp_path / "model", 0, save_original_format=False))
    num_layers = 5 if name.startswith("t5") else 2
    assert checkpoint.num_layers == num_layers
    assert {checkpoint.position(tensor).layer for tensor in checkpoint.names} == {None, *range(num_layers)}
    for tensor in checkpoint.names:
        at, shape = checkpoint.position(tensor), checkpoint.shape(tensor)
        assert at.per_token == (shape[0] == 32 and at.layer is None), tensor
        assert at.per_expert == (len(shape) == 3 and shape[0] == 3), tensor
        assert at.transposed == (name.startswith("gpt2") and at.layer is not None and len(shape) == 2), tensor


class TestTied:
    """Tensors that are one in memory."""

    COPIES = {
        "t5": ("shared.weight", ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"]),
        "bert": ("bert.embeddings.word_embeddings.weight", ["cls.predictions.decoder.weight"]),
        "roberta": ("roberta.embeddings.word_embeddings.weight", ["lm_head.decoder.weight"]),
        "gpt2": ("transformer.wte.weight", ["lm_head.weight"]),
        "gemma2": ("model.embed_tokens.weight", ["lm_head.weight"]),
        "qwen2": ("model.embed_tokens.weight", ["lm_head.weight"]),
    }

    @pytest.mark.parametrize("says", [True, False])
    @pytest.mark.parametrize("name", COPIES)
    def test_copies_in_the_file_are_merged_once(self, tmp_path: Path, name: str, says: bool) -> None:
        """As older files hold them; older configs leave out what is the family's custom."""
        model, (original, copies) = MODELS[name](), self.COPIES[name]
        folder = family_of(model, tmp_path)
        for part in ("base", "a", "b"):
            stored = load_file(folder / part / "model.safetensors")
            stored |= {copy: stored[original].clone() for copy in copies}
            save_file(stored, folder / part / "model.safetensors", {"format": "pt"})
            if not says and name != "qwen2":
                config = json.loads((folder / part / "config.json").read_text(encoding="utf-8"))
                del config["tie_word_embeddings"]
                (folder / part / "config.json").write_text(json.dumps(config), encoding="utf-8")
        assert not set(copies) & set(Checkpoint(folder / "a").names)
        check_exports(folder, type(model))
        assert not set(copies) & set(load_file(folder / "out0" / "model.safetensors"))

    def test_a_head_of_its_own_stays_one(self, tmp_path: Path) -> None:
        """T5 1.1 has the config of a tied model and a head that differs."""
        model = MODELS["t5 gated"]()
        folder = family_of(model, tmp_path)
        for number, part in enumerate(("base", "a", "b")):
            stored = load_file(folder / part / "model.safetensors")
            stored["lm_head.weight"] = stored["shared.weight"] * (0.5 + number)
            save_file(stored, folder / part / "model.safetensors", {"format": "pt"})
        check_exports(folder, type(model))
        exported = load_file(folder / "out0" / "model.safetensors")
        assert not torch.equal(exported["lm_head.weight"], exported["shared.weight"])


class TestForeign:
    """Checkpoints that the maps do not describe."""

    @pytest.mark.parametrize("name", UNKNOWN)
    def test_unknown_families_merge(self, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
        model = UNKNOWN[name]()
        with caplog.at_level(logging.WARNING):
            check_exports(family_of(model, tmp_path), type(model))
        assert caplog.text.count(f"The family {name} is not known") <= 1

    def test_base_model_in_a_file_without_its_prefix(self, tmp_path: Path) -> None:
        """As the first GPT-2 was published."""
        folder = family_of(hf.GPT2Model(hf.GPT2Config(**GPT2)), tmp_path)
        for part in ("base", "a", "b"):
            config = json.loads((folder / part / "config.json").read_text(encoding="utf-8"))
            config["architectures"] = ["GPT2LMHeadModel"]
            (folder / part / "config.json").write_text(json.dumps(config), encoding="utf-8")
        assert "wte.weight" in Checkpoint(folder / "a").names
        check_exports(folder, hf.GPT2LMHeadModel)

    def test_tensors_that_the_model_has_no_use_for_pass_through(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        model = MODELS["bert pretraining"]()
        folder = family_of(model, tmp_path)
        for part in ("base", "a", "b"):
            config = json.loads((folder / part / "config.json").read_text(encoding="utf-8"))
            config["architectures"] = ["BertForMaskedLM"]
            (folder / part / "config.json").write_text(json.dumps(config), encoding="utf-8")
        check_exports(folder, hf.BertForMaskedLM)
        assert "BertForMaskedLM has no use for 4 tensors of the checkpoint" in caplog.text
        assert "cls.seq_relationship.weight" in load_file(folder / "out0" / "model.safetensors")

    def test_a_model_that_would_be_filled_with_random_numbers_is_refused(self, tmp_path: Path) -> None:
        folder = family_of(MODELS["llama"](), tmp_path)
        stored = load_file(folder / "base" / "model.safetensors")
        del stored["lm_head.weight"]
        save_file(stored, folder / "base" / "model.safetensors", {"format": "pt"})
        with pytest.raises(ConfigError) as caught:
            ResidentModel(recipe_of(folder, RULES[0]), Library())
        assert str(caught.value) == (
            f"{folder}/base: lacks 1 tensors of LlamaForCausalLM, lm_head.weight among them, which would be random "
            "numbers. Save the model as the class that its config names."
        )


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, hf.AutoModelForCausalLM),
        ({"model_type": "llama"}, hf.AutoModelForCausalLM),
        ({"model_type": "llama", "architectures": None}, hf.AutoModelForCausalLM),
        ({"model_type": "llama", "architectures": ["os.system"]}, hf.AutoModelForCausalLM),
        ({"model_type": "new", "architectures": ["NewForCausalLM"]}, hf.AutoModelForCausalLM),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, hf.AutoModelForMaskedLM),
        ({"model_type": "bert", "architectures": ["BertModel"]}, hf.AutoModel),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, hf.AutoModelForSeq2SeqLM),
        ({"model_type": "vit", "architectures": ["ViTForImageClassification"]}, hf.AutoModelForImageClassification),
    ],
)
def test_the_class_is_the_one_that_the_config_names(config: dict[str, Any], expected: type) -> None:
    assert auto_class(config) is expected
