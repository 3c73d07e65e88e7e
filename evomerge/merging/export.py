"""Export: a recipe as an ordinary Hugging Face checkpoint that needs no evomerge to load."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from evomerge.errors import ConfigError, EvomergeError
from evomerge.merging.card import Provenance, ScoreLine, model_card
from evomerge.merging.finite import finite_tensor
from evomerge.merging.library import Library
from evomerge.merging.merge import Merge
from evomerge.merging.shards import TensorSpec, cut, file_digest, index, write_shard
from evomerge.recipe import Recipe, dump_recipe

__all__ = ["Provenance", "ScoreLine", "export_model"]

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
)
_MODEL_FILES = ("generation_config.json", "preprocessor_config.json", "processor_config.json")
_SPARE_BYTES = 1 << 20  # config, tokenizer and card


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
    destination holds a whole model or does not exist.

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
        EvomergeError: If writing fails or what was read back differs.
    """
    merge = Merge(recipe, library)
    specs = [TensorSpec(name, merge.dtype(name), merge.shape(name)) for name in merge.names]
    _check_room(destination, sum(spec.num_bytes for spec in specs))
    try:
        with _draft_of(destination) as draft:
            tensor = partial(finite_tensor, merge, recipe=recipe, library=library)
            _write_weights(draft, specs, tensor, progress, max_shard_bytes)
            _write_companions(draft, recipe, merge, library, provenance)
            draft.rename(destination)
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = " Free some space or choose another destination." if is_full else ""
        what = f"could not be written: {error.strerror or error}. Nothing was left behind.{advice}"
        raise EvomergeError(f"{destination}: {what}") from error
    return destination


@contextlib.contextmanager
def _draft_of(destination: Path) -> Iterator[Path]:
    """A new folder beside the destination, gone afterwards unless it was renamed, with the parents made for it."""
    draft = destination.with_name(f".{destination.name}.partial-{os.getpid()}")
    made = [folder for folder in destination.absolute().parents if not folder.exists()]
    try:
        draft.mkdir(parents=True)
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if not destination.exists():
            for folder in made:
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _check_room(destination: Path, num_bytes: int) -> None:
    if destination.exists() or destination.is_symlink():
        raise ConfigError.at(str(destination), "exists already. Choose another name, or move it away first.")
    home = next(folder for folder in destination.absolute().parents if folder.exists())
    free = shutil.disk_usage(home).free
    if free < num_bytes + _SPARE_BYTES:
        needed = f"{_size(num_bytes + _SPARE_BYTES)} are needed and {_size(free)} are free on its disk"
        raise ConfigError.at(str(destination), f"{needed}. Free some space or choose another destination.")


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.2f} MB"


def _write_weights(
    folder: Path,
    specs: list[TensorSpec],
    tensor: Callable[[str], torch.Tensor],
    progress: Callable[[int, int], None],
    max_shard_bytes: int,
) -> None:
    shards = cut(specs, max_shard_bytes)
    names = ["model.safetensors"] if len(shards) == 1 else _shard_names(len(shards))
    digests: dict[str, str] = {}
    done, total = 0, sum(spec.num_bytes for spec in specs)
    for name, shard in zip(names, shards, strict=True):
        digests[name] = write_shard(folder / name, shard, tensor)
        if file_digest(folder / name) != digests[name]:
            raise EvomergeError(f"{folder / name}: what was read back differs from what was written. Check the disk.")
        done += sum(spec.num_bytes for spec in shard)
        progress(done, total)
    if len(shards) > 1:
        text = index(dict(zip(names, shards, strict=True)))
        (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    # for `sha256sum --check`, wherever the model is taken
    sums = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    (folder / "SHA256SUMS").write_text(sums, encoding="utf-8")


def _shard_names(count: int) -> list[str]:
    return [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def _write_companions(folder: Path, recipe: Recipe, merge: Merge, library: Library, provenance: Provenance) -> None:
    config = dict(merge.donor.config)
    if recipe.dtype is not None:
        config["torch_dtype" if "torch_dtype" in config else "dtype"] = recipe.dtype
    if merge.num_tokens is not None:
        config["vocab_size"] = merge.num_tokens
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    _copy(merge.donor.folder, folder, _MODEL_FILES)
    _copy(library.open(recipe.models[recipe.tokenizer_donor]).folder, folder, _TOKENIZER_FILES)
    (folder / "recipe.yaml").write_text(dump_recipe(recipe.canonical), encoding="utf-8")
    (folder / "README.md").write_text(model_card(recipe, provenance), encoding="utf-8")


def _copy(source: Path, destination: Path, names: tuple[str, ...]) -> None:
    for name in names:
        if (source / name).is_file():
            shutil.copyfile(source / name, destination / name)
