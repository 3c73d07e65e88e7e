"""Models of a Llama's layout that need not lie on disk."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from evomerge.errors import ConfigError
from evomerge.recipe.mergekit import Layout, Locate, Reading, Spot, read_mergekit

Read = Callable[..., Reading]

BLOCKS = {
    "input_layernorm": "norm",
    "self_attn.q_proj": "attention",
    "self_attn.k_proj": "attention",
    "self_attn.o_proj": "attention",
    "post_attention_layernorm": "norm",
    "mlp.gate_proj": "mlp",
    "mlp.down_proj": "mlp",
}


def llama(num_layers: int, vocabulary: dict[str, int] | None = None) -> Layout:
    spots = [Spot("model.embed_tokens.weight", None, "embedding")]
    for layer in range(num_layers):
        spots += [Spot(f"model.layers.{layer}.{name}.weight", layer, role) for name, role in BLOCKS.items()]  # type: ignore[arg-type]
    spots += [Spot("model.norm.weight", None, "norm"), Spot("lm_head.weight", None, "head")]
    return Layout(num_layers, tuple(spots), vocabulary)


def shelf(**odd: Layout) -> Locate:
    """Finds any model but `nowhere`, with four layers unless it is given."""

    def locate(name: str, where: str) -> tuple[str, Layout]:
        if name == "nowhere":
            raise ConfigError.at(where, "there is no model folder nowhere.")
        return f"models/{name}", odd.get(name, llama(4))

    return locate


@pytest.fixture(scope="session")
def layout_of() -> Callable[..., Layout]:
    """Layouts of Llamas: `layout_of(num_layers, vocabulary)`."""
    return llama


@pytest.fixture(scope="session")
def read() -> Read:
    """Reads YAML, as text or plain data: `read(text)`, with layouts of odd models by name."""

    def read(text: str | dict[str, Any], **odd: Layout) -> Reading:
        tree = yaml.safe_load(text) if isinstance(text, str) else text
        return read_mergekit(tree, "m.yaml", shelf(**odd))

    return read
