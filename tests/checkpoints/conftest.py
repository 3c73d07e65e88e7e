"""Small checkpoints, written file by file."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

CONFIG = {"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 2}
TENSORS = {
    "model.embed_tokens.weight": torch.arange(12.0).view(4, 3),
    "model.layers.0.mlp.up_proj.weight": torch.ones(2, 3, dtype=torch.bfloat16),
    "model.layers.1.mlp.up_proj.weight": torch.full((2, 3), 2.0),
    "model.steps": torch.tensor([1, 2, 3]),
}
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a checkpoint: `make("name", tensors=…, config=…, shards=…, vocabulary=…)`."""

    def write(
        name: str = "model",
        tensors: Mapping[str, torch.Tensor] = TENSORS,
        config: Mapping[str, Any] = CONFIG,
        shards: int = 1,
        vocabulary: Any = None,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        if shards == 1:
            save_file(dict(tensors), folder / "model.safetensors", {"format": "pt"})
        else:
            weight_map = {name: f"model-{i % shards:05d}.safetensors" for i, name in enumerate(tensors)}
            for shard in set(weight_map.values()):
                save_file({name: tensors[name] for name in tensors if weight_map[name] == shard}, folder / shard)
            write_index(folder, weight_map)
        if vocabulary is not None:
            text = json.dumps({"model": {"vocab": vocabulary}})
            (folder / "tokenizer.json").write_text(text, encoding="utf-8")
        return folder

    return write


def write_index(folder: Path, weight_map: Any) -> None:
    text = json.dumps({"metadata": {}, "weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")
