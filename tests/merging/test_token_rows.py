"""Models whose embeddings differ in length: shared rows are merged, the rest comes with the tokenizer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    AutoModelForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from evomerge.checkpoints import stretches_of
from evomerge.documents import parse
from evomerge.errors import CandidateFailed
from evomerge.merging import Library, Merge, Provenance, ResidentModel, export_model
from evomerge.recipe import Recipe

ROWS = {"base": 32, "a": 34, "b": 32, "padded": 40}
TOKENS = {"base": 32, "a": 34, "b": 32, "padded": 32}
SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
RULES: list[dict[str, Any]] = [
    {"use": "task_arithmetic", "weights": [0.3, 0.9]},
    {"use": "dare_ties", "density": 0.5},
    {"use": "slerp", "t": 0.2},
]
MODELS: dict[str, Callable[[int], Any]] = {
    "llama": lambda rows: LlamaForCausalLM(LlamaConfig(vocab_size=rows, **SIZES, bos_token_id=0, eos_token_id=1)),
    "tied": lambda rows: LlamaForCausalLM(
        LlamaConfig(vocab_size=rows, **SIZES, bos_token_id=0, eos_token_id=1, tie_word_embeddings=True)
    ),
    "gpt_neox": lambda rows: GPTNeoXForCausalLM(
        GPTNeoXConfig(vocab_size=rows, **SIZES, bos_token_id=0, eos_token_id=1)
    ),
}


@pytest.fixture(params=MODELS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    for seed, (name, rows) in enumerate(ROWS.items()):
        torch.manual_seed(seed)
        MODELS[request.param](rows).save_pretrained(tmp_path / name)
        words = Tokenizer(WordLevel({f"w{index}": index for index in range(TOKENS[name])}, unk_token="w2"))
        PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w2").save_pretrained(tmp_path / name)
    return tmp_path


def recipe_of(folder: Path, rule: dict[str, Any], experts: tuple[str, str] = ("a", "b"), **rest: Any) -> Recipe:
    models = {name: {"path": str(folder / name)} for name in ROWS}
    mix = {"origin": "base", "experts": list(experts), "rules": [rule]}
    return parse(Recipe, {"models": models, "blends": {"mix": mix}, **rest}, "recipe")


def embeddings_of(folder: Path) -> torch.Tensor:
    stored = load_file(folder / "model.safetensors")
    return next(tensor for name, tensor in stored.items() if "embed_tokens" in name or "embed_in" in name)


@pytest.mark.parametrize(
    ("experts", "tokenizer", "rows"),
    [
        (("a", "b"), "base", 32),
        (("a", "b"), "a", 34),
        (("padded", "b"), "base", 32),
        (("a", "padded"), "padded", 40),
        (("a", "padded"), "a", 34),
    ],
)
@pytest.mark.parametrize("rule", RULES)
def test_export_and_resident_model_agree(
    folder: Path, rule: dict[str, Any], experts: tuple[str, str], tokenizer: str, rows: int
) -> None:
    recipe = recipe_of(folder, rule, experts, tokenizer={"from": tokenizer})
    exported = export_model(recipe, Library(), folder / "out", Provenance("A test."))
    assert json.loads((exported / "config.json").read_text(encoding="utf-8"))["vocab_size"] == rows
    own = embeddings_of(folder / tokenizer)[32:]
    assert torch.equal(embeddings_of(exported)[32:], own)
    resident, loaded = ResidentModel(recipe, Library()), AutoModelForCausalLM.from_pretrained(exported)
    resident.hold(recipe)
    tokens = torch.tensor([[3, 5, rows - 1]])
    assert torch.equal(resident.model(tokens).logits, loaded(tokens).logits)
    assert resident.model(tokens).logits.shape[-1] == rows


@pytest.mark.parametrize("rule", RULES)
def test_shared_rows_are_merged_as_if_there_were_no_others(folder: Path, rule: dict[str, Any]) -> None:
    """A tensor of its own, cut by hand, has to give the same numbers: by row for all stages, drawn masks as well."""
    name = next(name for name in load_file(folder / "base" / "model.safetensors") if "embed" in name)
    merged = Merge(recipe_of(folder, rule, ("padded", "b"), tokenizer={"from": "padded"}), Library()).rounded(name)
    assert merged.shape == (40, 16)
    if rule["use"] == "task_arithmetic":
        base, a, b = (load_file(folder / part / "model.safetensors")[name][:32] for part in ("base", "padded", "b"))
        torch.testing.assert_close(merged[:32], base + 0.3 * (a - base) + 0.9 * (b - base))
    whole = Merge(recipe_of(folder, rule, ("padded", "b"), tokenizer={"from": "base"}), Library()).rounded(name)
    assert torch.equal(whole, merged[:32])


def test_models_that_take_no_part_have_no_say(folder: Path) -> None:
    """Equal digests, equal tensors: the padded model is named and not used."""
    recipe = recipe_of(folder, RULES[0], ("b", "base"))
    fewer = {name: recipe.models[name] for name in ("base", "b")}
    one, other = (Merge(r, Library()) for r in (recipe, recipe.model_copy(update={"models": fewer})))
    assert all(torch.equal(one.rounded(name), other.rounded(name)) for name in one.names)


def test_other_tokens_cannot_be_merged(folder: Path) -> None:
    file = folder / "a" / "tokenizer.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"w7"', '"another"'), encoding="utf-8")
    with pytest.raises(
        CandidateFailed, match=r"has the shapes \[32, 16\] and \[34, 16\] in the models of blend mix\.$"
    ):
        export_model(recipe_of(folder, RULES[0]), Library(), folder / "out", Provenance("A test."))
    assert not (folder / "out").exists()


@pytest.mark.parametrize("ends", [(0, 200), (100, 500), (511, 560)])
def test_spans_cut_the_shared_rows_alone(folder: Path, ends: tuple[int, int]) -> None:
    rule = {"where": {"span": list(ends)}, "pipe": [{"weigh": [0.0, 1.0]}]}
    models = {name: {"path": str(folder / name)} for name in ROWS}
    mix = {"experts": ["a", "padded"], "rules": [rule, {"pipe": [{"weigh": [1.0, 0.0]}]}]}
    merge = Merge(parse(Recipe, {"models": models, "blends": {"mix": mix}}, "recipe"), Library())
    stretches, (start, stop) = stretches_of(merge.donor), ends
    for stretch in stretches:
        a, padded = (load_file(folder / name / "model.safetensors")[stretch.name] for name in ("a", "padded"))
        wanted = a.flatten().clone()
        first, after = max(start, stretch.start) - stretch.start, min(stop, stretch.stop, stretch.start + 34 * 16)
        part = slice(first, max(first, after - stretch.start))
        wanted[part] = padded.flatten()[part]
        assert torch.equal(merge.rounded(stretch.name).flatten(), wanted)
        assert torch.equal(merge.tensor(stretch.name).flatten(), wanted)


def test_a_route_that_brings_fewer_rows_shares_no_beginning_with_others(tmp_path: Path) -> None:
    words = {rows: {f"w{index}": index for index in range(rows)} for rows in (32, 34)}
    for seed, (name, rows) in enumerate({"base": 32, "a": 34, "c": 34}.items()):
        torch.manual_seed(seed)
        config = LlamaConfig(vocab_size=rows, **SIZES | {"num_hidden_layers": 4}, bos_token_id=0, eos_token_id=1)
        LlamaForCausalLM(config).save_pretrained(tmp_path / name)
        tokenizer = Tokenizer(WordLevel(words[rows], unk_token="w2"))
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="w2").save_pretrained(tmp_path / name)
    mix = {"experts": ["a", "c"], "pipe": [{"weigh": [0.5, 0.5]}, {"reduce": "sum"}]}

    def ending_with(source: str) -> Recipe:
        models = {name: {"path": str(tmp_path / name)} for name in ("base", "a", "c")}
        route = [{"from": "mix", "layers": [0, 2]}, {"from": source, "layers": [3, 3]}]
        tree = {"models": models, "blends": {"mix": mix}, "route": route, "ends": {"embeddings": "mix"}}
        return parse(Recipe, tree, "recipe")

    def logits(resident: ResidentModel, source: str) -> torch.Tensor:
        resident.hold(ending_with(source))
        with torch.inference_mode():
            said: torch.Tensor = resident.model(torch.tensor([[2, 5, 33, 32]]), use_cache=False).logits
        return said

    resident = ResidentModel(ending_with("a"), Library())
    for source in ("a", "c", "base"):
        found = logits(resident, source)
        assert torch.equal(found, logits(ResidentModel(ending_with(source), Library()), source))


@pytest.mark.parametrize("folder", ["llama"], indirect=True)
def test_before_a_recipe_is_held_all_workers_have_the_same_rows_and_no_generator_was_used(folder: Path) -> None:
    recipe = recipe_of(folder, RULES[0], ("a", "padded"), tokenizer={"from": "padded"})
    before = torch.get_rng_state()
    first, second = (ResidentModel(recipe, Library()).model.get_input_embeddings().weight for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.shape[0] == 40
    assert torch.equal(first, second)
