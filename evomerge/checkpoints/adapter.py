"""Adapter: lazy access to the factors of one LoRA adapter folder, as peft saves it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from evomerge.checkpoints.factors import Factors
from evomerge.checkpoints.lora_config import CONFIG_FILE, LoraConfig, read_lora_config
from evomerge.errors import ConfigError, Problem

WEIGHTS_FILE = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""What peft puts before the names that modules have in the model."""

_FACTOR = re.compile(r"(?P<module>.+)\.(?:lora_(?P<linear>[AB])\.weight|lora_embedding_(?P<embedding>[AB]))")


@dataclass(slots=True)
class Target:
    """A module with factors.

    Attributes:
        module: Its path in the model.
        is_embedding: Whether it looks rows up, so that peft stores its factors bare and the product transposed.
        keys: Names of its two factors in the file, by "A" and "B".
    """

    module: str
    is_embedding: bool
    keys: dict[str, str] = field(default_factory=dict)


class Adapter:
    """A LoRA adapter on disk: factors for some tensors of a model, and perhaps some tensors that it replaces whole.

    Attributes:
        folder: Of the adapter.
        config: Ranks and scales.
        targets: Modules with factors by the name of the tensor that they change (`model.layers.0.mlp.up_proj.weight`).
        replaced: Keys in the file by the names of the tensors that it brings whole (`modules_to_save`, biases).
    """

    def __init__(self, folder: Path | str, where: str = "") -> None:
        """Open an adapter.

        Args:
            folder: Holds `adapter_config.json` and `adapter_model.safetensors`.
            where: The file and key that named the folder, for messages.

        Raises:
            ConfigError: If it is not a whole, plain LoRA adapter. All problems at once.
        """
        self.folder = Path(folder)
        self._where = where or str(folder)
        self.config: LoraConfig = read_lora_config(self.folder, self._where)
        self._handle = self._open()
        self.targets: Mapping[str, Target] = {}
        self.replaced: Mapping[str, str] = {}
        self._find_tensors()

    @property
    def digest_files(self) -> list[Path]:
        """Files that say all about the adapter."""
        return [self.folder / CONFIG_FILE, self.folder / WEIGHTS_FILE]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor that the adapter changes or replaces, without reading it."""
        if name in self.replaced:
            return self._stored_shape(self.replaced[name])
        target = self.targets[name]
        shape = self._stored_shape(target.keys["B"])[0], self._stored_shape(target.keys["A"])[1]
        return shape[::-1] if self.is_transposed(name) else shape

    def factors(self, name: str) -> Factors:
        """The change of a tensor, in the stored dtype.

        Raises:
            ConfigError: If a factor holds NaN or infinity.
        """
        target = self.targets[name]
        b_OR, a_RI = (self._tensor(target.keys[letter]) for letter in "BA")
        return Factors(b_OR, a_RI, self.config.scale_of(target.module), self.is_transposed(name))

    def replacement(self, name: str) -> torch.Tensor:
        """A tensor that the adapter brings whole, in its stored dtype.

        Raises:
            ConfigError: If it holds NaN or infinity.
        """
        return self._tensor(self.replaced[name])

    def is_transposed(self, name: str) -> bool:
        """Whether the changed tensor is stored as inputs × outputs."""
        return self.targets[name].is_embedding or self.config.is_transposed

    def _tensor(self, key: str) -> torch.Tensor:
        tensor: torch.Tensor = self._handle.get_tensor(key)
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ConfigError.at(self._at(key), "holds NaN or infinity. The training diverged; use another checkpoint.")
        return tensor

    def _stored_shape(self, key: str) -> tuple[int, ...]:
        return tuple(self._handle.get_slice(key).get_shape())

    def _at(self, key: str) -> str:
        return f"{self.folder / WEIGHTS_FILE}: {key}"

    def _open(self) -> Any:
        path = self.folder / WEIGHTS_FILE
        if not path.is_file():
            what = f"{self.folder} holds no {WEIGHTS_FILE}."
            if any(self.folder.glob("*.bin")):
                what += (
                    " Its .bin weights can run code when loaded; load it with peft and save it again as safetensors."
                )
            raise ConfigError.at(self._where, what)
        try:
            return safe_open(path, framework="pt")
        except (OSError, SafetensorError) as error:
            raise ConfigError.at(self._where, f"{path} is damaged or incomplete: {error}. Download it again.") from None

    def _find_tensors(self) -> None:
        """Sort the file's tensors into factors and whole tensors."""
        problems: list[Problem] = []
        targets: dict[str, Target] = {}
        replaced: dict[str, str] = {}
        for key in self._handle.keys():
            found = _FACTOR.fullmatch(key.removeprefix(PREFIX))
            if not key.startswith(PREFIX):
                problems.append(Problem(self._at(key), f"does not begin with {PREFIX}, as the tensors of peft do."))
            elif found:
                module, letter = found["module"], found["linear"] or found["embedding"]
                target = targets.setdefault(f"{module}.weight", Target(module, found["embedding"] is not None))
                target.keys[letter] = key
            elif ".lora_" in key:
                problems.append(Problem(self._at(key), "is no factor of plain LoRA (lora_A.weight and lora_B.weight)."))
            else:
                replaced[key.removeprefix(PREFIX).replace(".base_layer.", ".")] = key
        problems += [problem for target in targets.values() for problem in self._misfits(target)]
        if not problems and not targets:
            problems.append(Problem(str(self.folder / WEIGHTS_FILE), "holds no factors. Save the adapter again."))
        ConfigError.raise_if_any(problems)
        self.targets, self.replaced = targets, replaced

    def _misfits(self, target: Target) -> list[Problem]:
        """What is wrong with one module's factors."""
        (letter, key), *others = target.keys.items()
        if not others:
            missing = "B" if letter == "A" else "A"
            return [Problem(self._at(key), f"has no partner {missing}. Save the adapter again.")]
        a, b = (self._stored_shape(target.keys[letter]) for letter in "AB")
        if len(a) != 2 or len(b) != 2:
            what = (
                f"adapts a convolution or a bare parameter (A is {list(a)}, B is {list(b)}). Merge it with peft first."
            )
            return [Problem(self._at(target.module), what)]
        rank = self.config.rank_of(target.module)
        if a[0] != rank or b[1] != rank:
            what = (
                f"A is {list(a)} and B is {list(b)}, but {CONFIG_FILE} gives the rank {rank}. Save the adapter again."
            )
            return [Problem(self._at(target.module), what)]
        return []
