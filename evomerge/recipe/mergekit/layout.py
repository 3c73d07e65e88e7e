"""The layout of a model: which tensors it has and where they stand, as readers of other recipe languages need it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from evomerge.recipe.where import Role

_NUMBER = re.compile(r".*?\.\d+\.")


class Spot(NamedTuple):
    """One tensor.

    Attributes:
        name: In the checkpoint.
        layer: None outside the layers.
        role: What it does.
    """

    name: str
    layer: int | None
    role: Role

    @property
    def halves(self) -> tuple[str, str]:
        """The name up to the number of the layer, and what follows it; all of it outside the layers."""
        found = None if self.layer is None else _NUMBER.match(self.name)
        return (found.group(), self.name[found.end() :]) if found else ("", self.name)


@dataclass(frozen=True, slots=True)
class Layout:
    """One model on disk.

    Attributes:
        num_layers: As its config says.
        spots: All tensors.
        vocabulary: Token to id, added tokens among them; None where no file says.
    """

    num_layers: int
    spots: tuple[Spot, ...]
    vocabulary: Mapping[str, int] | None = None
