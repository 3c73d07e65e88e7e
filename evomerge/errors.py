"""The three families of errors: the user's, one candidate's, and everything else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class EvomergeError(Exception):
    """Something that is neither the user's file nor one merge: the machine, a damaged run, a bug."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend in what the user gave.

    Attributes:
        where: The file and the key inside it, as a person would look for it (`a.yaml: genes[2].density`).
        what: What is wrong, what is allowed and what to do, in whole sentences.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class ConfigError(EvomergeError):
    """What the user gave cannot be used. Lists every problem found, not only the first."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))

    @classmethod
    def at(cls, where: str, what: str) -> ConfigError:
        """A single problem."""
        return cls(Problem(where, what))

    @classmethod
    def raise_if_any(cls, problems: Iterable[Problem]) -> None:
        """Raise all problems together; do nothing when there is none."""
        if found := tuple(problems):
            raise cls(*found)


class CandidateFailed(EvomergeError):
    """One recipe could not be merged or scored. It is recorded in the log and never ends a search."""
