"""The safetensors files of a model folder: which they are, and which tensor lies in which."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from evomerge.errors import ConfigError

_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+\.safetensors")
_PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl"})
_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"


def files_of(folder: Path, where: str) -> dict[str, Path]:
    """The file of every tensor, by the tensor's name.

    Args:
        folder: Of a model.
        where: The file and key that named the folder, for messages.

    Raises:
        ConfigError: If the folder is not a complete safetensors checkpoint.
    """
    index, single = folder / _INDEX, folder / _SINGLE
    if single.is_file():  # before the index, as transformers does
        return dict.fromkeys(open_file(single, where).keys(), single)
    if index.is_file():
        return _read_index(index, where)
    if pickled := sorted(path.suffix for path in folder.iterdir() if path.suffix in _PICKLED):
        what = (
            f"{folder} holds only {pickled[0]} weights, which can run code when loaded. Save it as safetensors first: "
            "AutoModelForCausalLM.from_pretrained(...).save_pretrained(...)."
        )
        raise ConfigError.at(where, what)
    raise ConfigError.at(where, f"{folder} holds neither {_SINGLE} nor {_INDEX}.")


def open_file(path: Path, where: str) -> Any:
    """A handle of one safetensors file, memory-mapped.

    Raises:
        ConfigError: If the file is damaged or cut off.
    """
    try:
        return safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise ConfigError.at(where, f"{path} is damaged or incomplete: {error}. Download it again.") from None


def _read_index(index: Path, where: str) -> dict[str, Path]:
    try:
        weight_map = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError.at(where, f"{index} cannot be read: {error!r}.") from None
    for shard in dict.fromkeys(map(str, weight_map.values())):
        _check_shard(index, shard, where)
    return {name: index.parent / shard for name, shard in weight_map.items()}


def _check_shard(index: Path, shard: str, where: str) -> None:
    if not _PLAIN_NAME.fullmatch(shard):
        raise ConfigError.at(where, f"{index} names the file {shard!r}. Shards are plain names inside the folder.")
    file = index.parent / shard
    if not file.is_file():
        raise ConfigError.at(where, f"{index} names {shard}, which is missing. Download the model again.")
    if not _is_inside(file.resolve(), index.parent.resolve()):
        what = f"{index} names {shard}, a link to {file.resolve()}, outside the folder. Put the file itself there."
        raise ConfigError.at(where, what)


def _is_inside(file: Path, folder: Path) -> bool:
    """Whether a file lies in a folder, or where the hub's cache keeps what the folder of a snapshot links to."""
    return file.parent == folder or (folder.parent.name == "snapshots" and file.parent == folder.parents[1] / "blobs")
