"""Brevity: how short a written answer is."""

from __future__ import annotations

from typing import ClassVar, Literal

import pydantic

from evomerge.fitness.measures.base import BaseMeasure
from evomerge.fitness.measures.reply import Reply


class Brevity(BaseMeasure):
    """h / (h + n) of an answer of n characters: `{name: brevity, half_length: 200}`.

    For tasks that write. It is 1 for an empty answer, 1/2 at `half_length`, and falls ever more slowly after that. The
    whole answer counts, not only what the task's filter takes from it; space around it does not. A model that says
    nothing is as brief as can be: keep what it must still be able to do by a constraint, or as another objective.

    Attributes:
        half_length: Characters at which the score is one half.
    """

    output_types: ClassVar[tuple[str, ...]] = ("generate_until",)
    name: Literal["brevity"] = "brevity"
    half_length: float = pydantic.Field(gt=0)

    @property
    def words(self) -> str:
        """`brevity (1/2 at 200 characters)`."""
        return f"brevity (1/2 at {self.half_length:g} characters)"

    def of(self, reply: Reply) -> float:
        """In (0, 1]."""
        return self.half_length / (self.half_length + len(reply.written.strip()))
