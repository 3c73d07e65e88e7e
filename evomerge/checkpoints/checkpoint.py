"""Checkpoint: lazy, memory-mapped access to the tensors of one Hugging Face model folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from evomerge.checkpoints.files import files_of, open_file
from evomerge.checkpoints.lora_config import CONFIG_FILE
from evomerge.checkpoints.roles import Position, positions_of
from evomerge.checkpoints.ties import ties_of
from evomerge.checkpoints.vocabulary import Vocabulary, vocabulary_of
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

_CACHES = re.compile(
    r"\.rotary_emb\.(?:inv_freq|(?:cos|sin)_cached)$|\.(?:attention|attn)\.(?:masked_)?bias$|embeddings\.position_ids$"
)
"""Tensors that old checkpoints carry although every model computes them anew; transformers passes over them too."""


class Checkpoint:
    """Tensors of one model, read from disk when asked for.

    Files are memory-mapped, so that workers on one machine share one copy in the page cache.

    Attributes:
        folder: Of the model.
        config: What `config.json` says.
        files: The file of every tensor of the model, by name. Caches and copies are none.
        copies: Tensors in the files that repeat the tensor they are tied to, and that one.
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
        self.files: Mapping[str, Path] = files_of(self.folder, self._where)
        self._handles = {path: open_file(path, self._where) for path in dict.fromkeys(self.files.values())}
        self._check_complete()
        self._check_dtypes()
        self._positions = positions_of(self.config, {name: self.shape(name) for name in self.files})
        self.copies: Mapping[str, str] = self._find_copies()
        self.files = {n: f for n, f in self.files.items() if n not in self.copies and not _CACHES.search(n)}

    @property
    def names(self) -> list[str]:
        """Names of all tensors, in the order of the files."""
        return list(self.files)

    @property
    def digest_files(self) -> list[Path]:
        """Files that say what the model is."""
        return [self.folder / "config.json", *dict.fromkeys(self.files.values())]

    @cached_property
    def num_layers(self) -> int:
        """How many layers the tensors make up; those of an encoder and a decoder together."""
        layers = [self.position(name).layer for name in self.names]
        return 1 + max((layer for layer in layers if layer is not None), default=-1)

    def position(self, name: str) -> Position:
        """Where a tensor stands in the model."""
        return self._positions[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it."""
        return tuple(self._handles[self.files[name]].get_slice(name).get_shape())

    def dtype(self, name: str) -> torch.dtype:
        """Stored dtype of a tensor, without reading it."""
        if name in self._tensors:
            return self._tensors[name].dtype
        return DTYPES[self._stored_dtype(name)]

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor in its stored dtype, on the CPU, backed by the mapped file."""
        if name not in self._tensors:  # a view of the file: what is remembered takes no memory to speak of
            self._tensors[name] = self._handles[self.files[name]].get_tensor(name)
        return self._tensors[name]

    @cached_property
    def understood(self) -> Mapping[str, Any]:
        """The config as transformers understands it, with what the file leaves to defaults."""
        from transformers import AutoConfig  # takes seconds to import

        understood: Mapping[str, Any] = AutoConfig.from_pretrained(self.folder, trust_remote_code=False).to_dict()
        return understood

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Of the tokenizer in the folder."""
        return vocabulary_of(self.folder)

    @cached_property
    def num_parameters(self) -> int:
        """Sum of the sizes of all tensors."""
        return sum(int(torch.Size(self.shape(name)).numel()) for name in self.names)

    def _read_config(self) -> Mapping[str, Any]:
        if not self.folder.is_dir():
            what = f"there is no model folder {self.folder}. Check the path, or download the model there."
            raise ConfigError.at(self._where, what)
        if (self.folder / CONFIG_FILE).is_file() and not (self.folder / "config.json").is_file():
            what = f"{self.folder} is an adapter and no whole model. Name the model that it was trained on too"
            raise ConfigError.at(self._where, f"{what}: {{path: {self.folder}, adapts: NAME}}.")
        try:
            config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError.at(
                self._where, f"{self.folder} holds no config.json. Name the folder of a model."
            ) from None
        except (OSError, ValueError) as error:
            raise ConfigError.at(self._where, f"{self.folder}/config.json cannot be read: {error}.") from None
        if not isinstance(config, dict):
            raise ConfigError.at(self._where, f"{self.folder}/config.json holds no mapping. Download the model again.")
        return config

    def _check_complete(self) -> None:
        held = {path: set(handle.keys()) for path, handle in self._handles.items()}
        if missing := sorted(name for name, path in self.files.items() if name not in held[path]):
            what = f"{len(missing)} tensors of the index are not in their shards, {missing[0]} among them."
            raise ConfigError.at(self._where, f"{what} Download the model again.")

    def _stored_dtype(self, name: str) -> str:
        return str(self._handles[self.files[name]].get_slice(name).get_dtype())

    def _check_dtypes(self) -> None:
        stored = {name: self._stored_dtype(name) for name in self.files}
        if unfit := [name for name, dtype in stored.items() if dtype not in DTYPES]:
            kind = f"{len(unfit)} tensors are stored as {stored[unfit[0]]}, {unfit[0]} among them"
            raise ConfigError.at(self._where, f"{kind}, which cannot be merged. Convert the model to bfloat16 first.")

    def _find_copies(self) -> dict[str, str]:
        """Tensors that repeat the one they are tied to, and that one."""
        ties = ties_of(self.config, self._positions)
        pairs = ((copy, original) for copy, originals in ties.items() for original in originals)
        return {copy: original for copy, original in pairs if torch.equal(self.tensor(copy), self.tensor(original))}
