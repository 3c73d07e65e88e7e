"""Micro models with a recipe over them, and texts that their tokenizer knows."""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from evomerge.documents import parse
from evomerge.recipe import Recipe

MakeRecipe = Callable[..., Recipe]


def save_family(folder: Path, **change: Any) -> Path:
    """A base and two experts that stand not too far from it, as fine-tunes do."""
    settings = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=32, bos_token_id=0, eos_token_id=1, **settings | change))
    generator = torch.Generator().manual_seed(0)
    base = {name: torch.randn(p.shape, generator=generator) * 0.3 for name, p in model.named_parameters()}
    for name in ("base", "math", "ja"):
        for key, parameter in model.named_parameters():
            step = 0.0 if name == "base" else 0.3
            parameter.data = base[key] + step * torch.randn(parameter.shape, generator=generator)
        model.save_pretrained(folder / name)
        words = Tokenizer(WordLevel({f"w{index}": index for index in range(32)}, unk_token="w2"))
        words.pre_tokenizer = Whitespace()
        PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w2").save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_family(tmp_path_factory.mktemp("family"))


@pytest.fixture(scope="session")
def tied_family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_family(tmp_path_factory.mktemp("tied"), tie_word_embeddings=True)


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of texts for each expert, and one of prompts with answers."""
    folder, rng = tmp_path_factory.mktemp("texts"), random.Random(0)

    def words(number: int) -> str:
        return " ".join(f"w{rng.randrange(3, 32)}" for _ in range(number))

    for name in ("math", "ja"):
        (folder / f"{name}.txt").write_text("\n".join(words(6) for _ in range(4)))
    lines = [f'{{"prompt": "{words(3)}", "answer": "{words(2)}"}}' for _ in range(4)]
    (folder / "labelled.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture
def recipe_of(family: Path) -> MakeRecipe:
    """Makes a recipe over the family: of one pipe, or of rules."""

    def make(rules: Sequence[Mapping[str, Any]] = (), folder: Path = family, **change: Any) -> Recipe:
        models = {name: str(folder / name) for name in ("base", "math", "ja")}
        mix = {"origin": "base", "experts": ["math", "ja"], "rules": rules} | change
        return parse(Recipe, {"models": models, "blends": {"mix": mix}}, "recipe")

    return make
