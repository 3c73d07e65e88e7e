"""Uniform draws of the stochastic gates, addressed by what they are for rather than drawn in turn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch


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

    def uniform(self, shape: torch.Size) -> torch.Tensor:
        """Float32 numbers in [0, 1) that depend on the address alone.

        The same number decides an entry at every density, so that masks are nested and density is a smooth gene.
        A counter-based generator (Philox, doi:10.1145/2063384.2063405) makes the order of tensors irrelevant.
        """
        address = f"{self.seed}|{self.expert}|{self.tensor}".encode()
        key = int.from_bytes(hashlib.sha256(address).digest()[:16], "little")
        generator = np.random.Generator(np.random.Philox(key=key))
        return torch.from_numpy(generator.random(shape.numel(), dtype=np.float32)).view(shape)
