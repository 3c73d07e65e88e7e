"""What a measure is: one number per item that evomerge itself makes of a model's reply."""

from __future__ import annotations

import abc
from typing import ClassVar

from evomerge.documents import Value
from evomerge.fitness.measures.reply import Reply


class BaseMeasure(Value, abc.ABC):
    """What all measures have. Higher is better for every one of them.

    Attributes:
        output_types: Kinds of lm-eval task that it can read.
    """

    output_types: ClassVar[tuple[str, ...]]

    @property
    def is_share(self) -> bool:
        """Whether scores lie in [0, 1]."""
        return True

    @property
    @abc.abstractmethod
    def words(self) -> str:
        """What the scores are, in plain words, for axes and tables."""

    @abc.abstractmethod
    def of(self, reply: Reply) -> float:
        """The score of one item.

        Raises:
            ConfigError: If the document is such that no model's reply could be scored.
        """
