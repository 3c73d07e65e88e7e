"""Checkpoint: lazy, memory-mapped access to the tensors of one Hugging Face model folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from evomerge.errors import ConfigError

_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+\.safetensors")
_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class Checkpoint:
    """Tensors of one model, read from disk when asked for.

    Files are memory-mapped, so that workers on one machine share one copy in the page cache.
    """

    def __init__(self, folder: Path | str, where: str = "") -> None:
        """Open a checkpoint.

        Args:
            folder: Holds `config.json` and safetensors files.
            where: The file and key that named the folder, for messages.

        Raises:
            ConfigError: If the folder is not a complete safetensors checkpoint.
        """
        self.folder = Path(folder)
        self._where = where or str(folder)
        self.config: Mapping[str, Any] = self._read_config()
        self.files: Mapping[str, Path] = self._find_files()
        self._handles = {path: self._open(path) for path in dict.fromkeys(self.files.values())}
        self._check_complete()

    @property
    def names(self) -> list[str]:
        """Names of all tensors, in the order of the files."""
        return list(self.files)

    @property
    def num_layers(self) -> int:
        """How many layers the config announces."""
        for key in ("num_hidden_layers", "n_layer", "num_layers"):
            if key in self.config:
                return int(self.config[key])
        raise ConfigError.at(self._where, f"{self.folder}/config.json does not say how many layers there are.")

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it."""
        return tuple(self._handles[self.files[name]].get_slice(name).get_shape())

    def dtype(self, name: str) -> torch.dtype:
        """Stored dtype of a tensor, without reading it."""
        stored = self._handles[self.files[name]].get_slice(name).get_dtype()
        if stored not in _DTYPES:
            what = f"tensor {name} is stored as {stored}. evomerge merges F32, BF16, F16 and F64 and copies whole numbers; convert the model first."
            raise ConfigError.at(self._where, what)
        return _DTYPES[stored]

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor in its stored dtype, on the CPU, backed by the mapped file."""
        tensor: torch.Tensor = self._handles[self.files[name]].get_tensor(name)
        return tensor

    @cached_property
    def num_parameters(self) -> int:
        """Sum of the sizes of all tensors."""
        return sum(int(torch.Size(self.shape(name)).numel()) for name in self.names)

    def _read_config(self) -> Mapping[str, Any]:
        if not self.folder.is_dir():
            raise ConfigError.at(self._where, f"there is no model folder {self.folder}. Check the path, or download the model there.")
        try:
            config: Mapping[str, Any] = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise ConfigError.at(self._where, f"{self.folder}/config.json cannot be read: {error}.") from None
        return config

    def _find_files(self) -> dict[str, Path]:
        index, single = self.folder / _INDEX, self.folder / _SINGLE
        if index.is_file():
            return self._read_index(index)
        if single.is_file():
            return dict.fromkeys(self._open(single).keys(), single)
        if any(self.folder.glob("*.bin")):
            what = (
                f"{self.folder} holds only .bin weights, which can run code when loaded. Save it as safetensors first: "
                "AutoModelForCausalLM.from_pretrained(...).save_pretrained(...)."
            )
            raise ConfigError.at(self._where, what)
        raise ConfigError.at(self._where, f"{self.folder} holds neither {_SINGLE} nor {_INDEX}.")

    def _read_index(self, index: Path) -> dict[str, Path]:
        try:
            weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError.at(self._where, f"{index} cannot be read: {error!r}.") from None
        for shard in set(weight_map.values()):
            if not _PLAIN_NAME.fullmatch(shard):
                raise ConfigError.at(self._where, f"{index} names the file {shard!r}. Shards are plain names inside the folder.")
            if not (self.folder / shard).is_file():
                raise ConfigError.at(self._where, f"{index} names {shard}, which is missing. Download the model again.")
        return {name: self.folder / shard for name, shard in weight_map.items()}

    def _open(self, path: Path) -> Any:
        try:
            return safe_open(path, framework="pt")
        except (OSError, SafetensorError) as error:
            raise ConfigError.at(self._where, f"{path} is damaged or incomplete: {error}. Download it again.") from None

    def _check_complete(self) -> None:
        held = {name for handle in self._handles.values() for name in handle.keys()}
        if missing := sorted(set(self.files) - held):
            what = f"{len(missing)} tensors of the index are in no shard, {missing[0]} among them. Download the model again."
            raise ConfigError.at(self._where, what)
