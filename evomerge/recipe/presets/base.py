"""What all presets have in common: a method's name and parameters, which expand to a pipe of stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, TypeAlias

import pydantic

from evomerge.documents import Value
from evomerge.recipe.stages import StageValue
from evomerge.recipe.where import Where

Weights: TypeAlias = Annotated[
    tuple[float, ...] | None, pydantic.Field(description="one for each expert; absent: the method's own")
]
"""One factor per expert; None for the method's own."""


class PresetValue(Value, ABC):
    """A published merge method. Parameters that are tuples hold one entry per expert.

    The first paragraph of a subclass's docstring is one line: what it does and its source.

    Attributes:
        where: Where in the model it acts; absent: everywhere.
        use: The method's name.
    """

    where: Where | None = None
    use: str

    @abstractmethod
    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
