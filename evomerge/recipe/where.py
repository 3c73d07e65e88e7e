"""Where in a model a rule acts."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal, TypeAlias

import pydantic

from evomerge.documents import Value, fault

Role: TypeAlias = Literal["attention", "mlp", "norm", "embedding", "head", "router", "other"]
"""What a tensor does, whatever its architecture calls it."""


class Where(Value):
    """Tensors by layer, role and name; all that is given must hold.

    Attributes:
        layers: First and last layer, both included.
        roles: Any of these roles.
        names: Any of these shell-style patterns of the tensor's name.
    """

    layers: tuple[int, int] | None = None
    roles: Annotated[tuple[Role, ...], pydantic.Field(min_length=1)] | None = None
    names: Annotated[tuple[str, ...], pydantic.Field(min_length=1)] | None = None

    @pydantic.field_validator("layers")
    @classmethod
    def _ascending(cls, layers: tuple[int, int] | None) -> tuple[int, int] | None:
        if layers is not None and not 0 <= layers[0] <= layers[1]:
            raise fault(f"[{layers[0]}, {layers[1]}] is not a range. Write [first, last] with 0 <= first <= last.")
        return layers

    def matches(self, name: str, layer: int | None, role: Role) -> bool:
        """Whether a tensor is meant.

        Args:
            name: The tensor's name in the checkpoint.
            layer: Its layer, None outside the layers.
            role: What it does.
        """
        if self.layers is not None and (layer is None or not self.layers[0] <= layer <= self.layers[1]):
            return False
        if self.roles is not None and role not in self.roles:
            return False
        return self.names is None or any(fnmatchcase(name, pattern) for pattern in self.names)
