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

from evomerge.checkpoints.roles import position_of
from evomerge.errors import ConfigError

DTYPES = {
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
"""Dtypes that are read and written, by their names in safetensors files."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+\.safetensors")
_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_CACHES = re.compile(r"\.rotary_emb\.(?:inv_freq|(?:cos|sin)_cached)$|\.(?:attention|attn)\.(?:masked_)?bias$")
"""Tensors that old checkpoints carry although every model computes them anew; transformers passes over them too."""


class Checkpoint:
    """Tensors of one model, read from disk when asked for.

    Files are memory-mapped, so that workers on one machine share one copy in the page cache.

    Attributes:
        folder: Of the model.
        config: What `config.json` says.
        files: The file of every tensor of the model, by name.
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
        self._tensors: dict[str, torch.Tensor] = {}
        self.config: Mapping[str, Any] = self._read_config()
        self.files: Mapping[str, Path] = self._find_files()
        self._handles = {path: self._open(path) for path in dict.fromkeys(self.files.values())}
        self._check_complete()
        self.files = self._without_copies()

    @property
    def names(self) -> list[str]:
        """Names of all tensors, in the order of the files."""
        return list(self.files)

    @property
    def num_layers(self) -> int:
        """How many layers the config announces."""
        for key in ("num_hidden_layers", "n_layer", "num_layers"):
            if isinstance(self.config.get(key), int):
                return int(self.config[key])
        raise ConfigError.at(self._where, f"{self.folder}/config.json does not say how many layers there are.")

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it."""
        return tuple(self._handles[self.files[name]].get_slice(name).get_shape())

    def dtype(self, name: str) -> torch.dtype:
        """Stored dtype of a tensor, without reading it."""
        if name in self._tensors:
            return self._tensors[name].dtype
        stored = self._handles[self.files[name]].get_slice(name).get_dtype()
        if stored not in DTYPES:
            what = f"tensor {name} is stored as {stored}, which cannot be merged. Convert the model to bfloat16 first."
            raise ConfigError.at(self._where, what)
        return DTYPES[stored]

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor in its stored dtype, on the CPU, backed by the mapped file."""
        if name not in self._tensors:  # a view of the file: what is remembered takes no memory to speak of
            self._tensors[name] = self._handles[self.files[name]].get_tensor(name)
        return self._tensors[name]

    @cached_property
    def num_parameters(self) -> int:
        """Sum of the sizes of all tensors."""
        return sum(int(torch.Size(self.shape(name)).numel()) for name in self.names)

    def _read_config(self) -> Mapping[str, Any]:
        if not self.folder.is_dir():
            what = f"there is no model folder {self.folder}. Check the path, or download the model there."
            raise ConfigError.at(self._where, what)
        try:
            config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError.at(self._where, f"{self.folder}/config.json cannot be read: {error}.") from None
        if not isinstance(config, dict):
            raise ConfigError.at(self._where, f"{self.folder}/config.json holds no mapping. Download the model again.")
        return config

    def _find_files(self) -> dict[str, Path]:
        index, single = self.folder / _INDEX, self.folder / _SINGLE
        if single.is_file():  # before the index, as transformers does
            return dict.fromkeys(self._open(single).keys(), single)
        if index.is_file():
            return self._read_index(index)
        if any(self.folder.glob("*.bin")):
            what = (
                f"{self.folder} holds only .bin weights, which can run code when loaded. Save it as safetensors first: "
                "AutoModelForCausalLM.from_pretrained(...).save_pretrained(...)."
            )
            raise ConfigError.at(self._where, what)
        raise ConfigError.at(self._where, f"{self.folder} holds neither {_SINGLE} nor {_INDEX}.")

    def _read_index(self, index: Path) -> dict[str, Path]:
        try:
            weight_map = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError.at(self._where, f"{index} cannot be read: {error!r}.") from None
        for shard in dict.fromkeys(map(str, weight_map.values())):
            if not _PLAIN_NAME.fullmatch(shard):
                what = f"{index} names the file {shard!r}. Shards are plain names inside the folder."
                raise ConfigError.at(self._where, what)
            if not (self.folder / shard).is_file():
                raise ConfigError.at(self._where, f"{index} names {shard}, which is missing. Download the model again.")
        return {name: self.folder / shard for name, shard in weight_map.items()}

    def _open(self, path: Path) -> Any:
        try:
            return safe_open(path, framework="pt")
        except (OSError, SafetensorError) as error:
            raise ConfigError.at(self._where, f"{path} is damaged or incomplete: {error}. Download it again.") from None

    def _check_complete(self) -> None:
        held = {path: set(handle.keys()) for path, handle in self._handles.items()}
        if missing := sorted(name for name, path in self.files.items() if name not in held[path]):
            what = f"{len(missing)} tensors of the index are not in their shards, {missing[0]} among them."
            raise ConfigError.at(self._where, f"{what} Download the model again.")

    def _without_copies(self) -> dict[str, Path]:
        """The files of all tensors but caches, and but a head that repeats the embeddings it is tied to."""
        kept = {name: path for name, path in self.files.items() if not _CACHES.search(name)}
        if self.config.get("tie_word_embeddings") is True:
            embeddings = [name for name in kept if position_of(name).role == "embedding"]
            for head in [name for name in kept if position_of(name).role == "head"]:
                if any(torch.equal(self.tensor(head), self.tensor(name)) for name in embeddings):
                    del kept[head]
        return kept
