"""Tiny Llama models with a tokenizer, as transformers saves them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from evomerge.checkpoints import Checkpoint, digest_of
from evomerge.documents import parse
from evomerge.recipe import Recipe

EXPERTS = ("base", "math", "ja", "str")
MakeRecipe = Callable[..., Recipe]


def save_model(folder: Path, seed: int, **change: Any) -> None:
    """A random model, deterministic for its seed."""
    dtype = change.pop("dtype", torch.float32)
    settings = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=32, bos_token_id=0, eos_token_id=1, **settings | change))
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    model.tie_weights()
    model.to(dtype).save_pretrained(folder)
    words = Tokenizer(WordLevel({f"w{index}": index for index in range(32)}, unk_token="w2"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w2").save_pretrained(folder)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and three experts, float32, with a head of their own."""
    folder = tmp_path_factory.mktemp("zoo")
    for seed, name in enumerate(EXPERTS):
        save_model(folder / name, seed)
    return folder


@pytest.fixture(scope="session")
def tied_zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in bfloat16 with tied embeddings."""
    folder = tmp_path_factory.mktemp("tied")
    for seed, name in enumerate(EXPERTS):
        save_model(folder / name, seed, dtype=torch.bfloat16, tie_word_embeddings=True)
    return folder


@pytest.fixture
def recipe_of(zoo: Path) -> MakeRecipe:
    """Makes a recipe over the zoo: `recipe_of({"use": "ties"})` or `recipe_of(blends={…}, zoo=…, dtype=…)`."""
    digests: dict[Path, str] = {}

    def make(rule: Mapping[str, Any] | None = None, zoo: Path = zoo, **rest: Any) -> Recipe:
        for name in EXPERTS:
            if zoo / name not in digests:
                digests[zoo / name] = digest_of(Checkpoint(zoo / name))
        models = {name: {"path": str(zoo / name), "digest": digests[zoo / name]} for name in EXPERTS}
        mix = {"origin": "base", "experts": ["math", "ja"], "rules": [rule]}
        return parse(Recipe, {"models": models, "blends": {"mix": mix}, **rest}, "recipe")

    return make
