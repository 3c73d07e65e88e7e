"""Uniform draws of the stochastic gates, addressed by what they are for rather than drawn in turn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from evomerge.recipe.numbers import LEVELS, chance, level_of

__all__ = ["LEVELS", "Draw", "chance", "level_of"]

_PER_BLOCK = 16  # a block of Philox is four words of 64 bits


@dataclass(frozen=True, slots=True)
class Draw:
    """The address of one tensor's draws.

    Attributes:
        seed: Of the blend.
        expert: Identity of the expert, which is its digest and not its name.
        tensor: Name of the tensor.
    """

    seed: int
    expert: str
    tensor: str

    @property
    def address(self) -> str:
        """What the draws depend on, in one line."""
        return f"{self.seed}|{self.expert}|{self.tensor}"

    def numbers(self, start: int, stop: int) -> npt.NDArray[np.uint16]:
        """The draws of entries `start` to `stop` of the flattened tensor, uniform below `LEVELS`.

        The same number decides an entry at every density, so that masks are nested and density is a smooth gene.
        A counter-based generator (Philox, doi:10.1145/2063384.2063405) makes the order of pieces irrelevant.
        """
        key = int.from_bytes(hashlib.sha256(self.address.encode()).digest()[:16], "little")
        first = start // _PER_BLOCK
        num_words = 4 * (-(-stop // _PER_BLOCK) - first)
        words = np.random.Philox(key=key, counter=first).random_raw(num_words)
        skipped = start - first * _PER_BLOCK
        return np.asarray(words, dtype="<u8").view("<u2")[skipped : skipped + stop - start]

    def uniform(self, shape: torch.Size) -> torch.Tensor:
        """The draws of a whole tensor as float32 numbers in [0, 1)."""
        numbers = self.numbers(0, shape.numel()).astype(np.float32) / LEVELS
        return torch.from_numpy(numbers).view(shape)
