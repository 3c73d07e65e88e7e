"""Export: a recipe as an ordinary Hugging Face checkpoint that needs no evomerge to load."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from evomerge.checkpoints.layers import config_changes
from evomerge.merging.card import Provenance, ScoreLine, model_card
from evomerge.merging.finite import merge_finite
from evomerge.merging.folder import TOKENIZER_FILES, copy_files, new_folder, write_weights
from evomerge.merging.library import Library
from evomerge.merging.merge import Merge
from evomerge.merging.shards import TensorSpec
from evomerge.recipe import Recipe, dump_recipe

__all__ = ["Provenance", "ScoreLine", "export_model"]

_MODEL_FILES = ("generation_config.json", "preprocessor_config.json", "processor_config.json")


def export_model(
    recipe: Recipe,
    library: Library,
    destination: Path,
    provenance: Provenance,
    progress: Callable[[int, int], None] = lambda done, total: None,
    max_shard_bytes: int = 5_000_000_000,
) -> Path:
    """Write the merged model.

    It is written beside the destination, read back and compared, and only then moved to its name, so that the
    destination holds a whole model or does not exist. One with a route is also loaded as anyone would load it, and must
    answer as the resident model does.

    Args:
        recipe: What to merge.
        library: Where models are opened.
        destination: New folder.
        provenance: Where the recipe comes from, for the model card.
        progress: Told how many bytes of how many are written.
        max_shard_bytes: A larger model is written as several files.

    Returns:
        The destination.

    Raises:
        ConfigError: If the destination exists, the disk is too small, or a model holds numbers that are not finite.
        EvomergeError: If writing fails, or what was read back or its answers differ.
    """
    merge = Merge(recipe, library)
    specs = [TensorSpec(name, merge.dtype(name), merge.shape(name)) for name in merge.names]
    with new_folder(destination, sum(spec.num_bytes for spec in specs)) as draft:
        write_weights(draft, specs, _in_one_place(specs, merge, recipe, library), progress, max_shard_bytes)
        _write_companions(draft, recipe, merge, library, provenance)
        if merge.is_reordered:
            from evomerge.merging.verification import verify  # brings transformers along

            verify(draft, recipe, library)
    return destination


def _in_one_place(
    specs: Sequence[TensorSpec], merge: Merge, recipe: Recipe, library: Library
) -> Callable[[str], torch.Tensor]:
    """Gives one merged tensor after another in the same memory: freed large pieces would leave holes in the heap."""
    room = torch.empty(max(spec.num_bytes for spec in specs), dtype=torch.uint8)
    by_name = {spec.name: spec for spec in specs}

    def tensor(name: str) -> torch.Tensor:
        spec = by_name[name]
        place = room[: spec.num_bytes].view(spec.dtype).view(spec.shape)
        merge_finite(merge, name, place, recipe, library)
        return place

    return tensor


def _write_companions(folder: Path, recipe: Recipe, merge: Merge, library: Library, provenance: Provenance) -> None:
    config = dict(merge.donor.config)
    if recipe.dtype is not None:
        config["torch_dtype" if "torch_dtype" in config else "dtype"] = recipe.dtype
    if merge.num_tokens is not None:
        config["vocab_size"] = merge.num_tokens
    if merge.is_reordered:
        config |= _reordered(merge)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    copy_files(merge.donor.folder, folder, _MODEL_FILES)
    copy_files(library.open(recipe.models[recipe.tokenizer_donor]).folder, folder, TOKENIZER_FILES)
    (folder / "recipe.yaml").write_text(dump_recipe(recipe.canonical), encoding="utf-8")
    (folder / "README.md").write_text(model_card(recipe, provenance), encoding="utf-8")


def _reordered(merge: Merge) -> dict[str, Any]:
    """What the config says of the layers in their new order, with defaults that hang on a layer's number spelt out."""
    return config_changes(merge.donor.understood, merge.likes(merge.donor))
