"""Where in a model a rule acts."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal, TypeAlias

import pydantic

from evomerge.documents import Value, fault

Role: TypeAlias = Literal["attention", "mlp", "norm", "embedding", "head", "router", "other"]
"""What a tensor does, whatever its architecture calls it."""


def _ascending(layers: tuple[int, int]) -> tuple[int, int]:
    if not 0 <= layers[0] <= layers[1]:
        raise fault(f"[{layers[0]}, {layers[1]}] is not a range. Write [first, last] with 0 <= first <= last.")
    return layers


Layers: TypeAlias = Annotated[tuple[int, int], pydantic.AfterValidator(_ascending)]
"""First and last layer, both included."""


class Where(Value):
    """Tensors by layer, role and name, and parts of them by span; all that is given must hold.

    Attributes:
        layers: First and last layer, both included.
        roles: Any of these roles.
        names: Any of these shell-style patterns of the tensor's name.
        span: From which entry of the flattened model to just before which, counted from 0. The tensors of numbers
            stand in this order: embeddings, layers from the first to the last and in each by name, all else by name,
            head; what is tied stands once. A tensor that an end lies in is cut there. Entries rather than shares of
            the whole, so that the ends are exact.
    """

    layers: Layers | None = None
    roles: Annotated[tuple[Role, ...], pydantic.Field(min_length=1)] | None = None
    names: Annotated[tuple[str, ...], pydantic.Field(min_length=1)] | None = None
    span: tuple[int, int] | None = None

    @pydantic.field_validator("span")
    @classmethod
    def _not_empty(cls, span: tuple[int, int] | None) -> tuple[int, int] | None:
        if span is not None and not 0 <= span[0] < span[1]:
            raise fault(f"[{span[0]}, {span[1]}] holds no entry. Write [start, stop] with 0 <= start < stop.")
        return span

    @property
    def off_span(self) -> Where:
        """Its tensors, whatever part of them is meant."""
        return self.model_copy(update={"span": None})

    def may_meet(self, other: Where) -> bool:
        """Whether a tensor can be meant by both, as far as layers and roles tell."""
        if self.roles and other.roles and not {*self.roles} & {*other.roles}:
            return False
        if self.layers is None or other.layers is None:
            return True
        return max(self.layers[0], other.layers[0]) <= min(self.layers[1], other.layers[1])

    def matches(self, name: str, layer: int | None, role: Role) -> bool:
        """Whether a tensor is meant, all of it or the part in the span.

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
