"""Sums, and the same word problem about a sum told in English and in romaji Japanese."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import NamedTuple

from evomerge.checkpoints.zoo.numbers import digits, english, japanese

ENGLISH_NAMES = ("tom", "ann", "ben", "mia")
JAPANESE_NAMES = ("taro", "hana", "ken", "yuki")
ENGLISH_THINGS = ("apples", "books", "cats", "eggs")
JAPANESE_THINGS = ("ringo", "hon", "neko", "tamago")

TEMPLATES = {
    "+": (
        ("{name} has {left} {thing} and gets {right} more", "{name} wa {thing} ga {left} ko aru , {right} ko morau"),
        (
            "{name} sees {left} {thing} then {right} more",
            "{name} wa {thing} o {left} ko miru , ato {right} ko miru",
        ),
        ("{left} plus {right}", "{left} tasu {right}"),
    ),
    "-": (
        ("{name} has {left} {thing} and loses {right}", "{name} wa {thing} ga {left} ko aru , {right} ko nakusu"),
        ("{name} had {left} {thing} but sold {right}", "{name} wa {thing} o {left} ko motsu ga {right} ko uru"),
        ("{left} minus {right}", "{left} hiku {right}"),
    ),
}
"""Per operator, what a story says in English and in Japanese."""


class Sum(NamedTuple):
    """An addition or a subtraction whose operands and result lie in 0 to 99."""

    operator: str
    left: int
    right: int

    @classmethod
    def parse(cls, key: str) -> Sum:
        """The sum that a key such as `12+3` stands for."""
        left, operator, right = re.split(r"([+-])", key)
        return cls(operator, int(left), int(right))

    @property
    def key(self) -> str:
        """The sum on one word, for splitting: `12+3`."""
        return f"{self.left}{self.operator}{self.right}"

    @property
    def result(self) -> int:
        """What the sum comes to."""
        return self.left + self.right if self.operator == "+" else self.left - self.right

    @property
    def formula(self) -> str:
        """The sum in digits: `1 2 + 0 3`."""
        return f"{digits(self.left)} {self.operator} {digits(self.right)}"

    @property
    def solution(self) -> str:
        """The sum and its result in digits: `1 2 + 0 3 = 1 5`."""
        return f"{self.formula} = {digits(self.result)}"


@dataclass(frozen=True, slots=True)
class Story:
    """One word problem, without its question, in both languages."""

    sum: Sum
    english: str
    japanese: str


def draw_sum(rng: random.Random) -> Sum:
    """A sum whose larger number (the result of +, the left side of -) is uniform."""
    largest = rng.randrange(100)
    part = rng.randrange(largest + 1)
    return Sum("+", part, largest - part) if rng.random() < 0.5 else Sum("-", largest, part)


def draw_story(rng: random.Random) -> Story:
    """A story about a random sum, person and thing."""
    drawn = draw_sum(rng)
    in_english, in_japanese = rng.choice(TEMPLATES[drawn.operator])
    who, what = rng.randrange(len(ENGLISH_NAMES)), rng.randrange(len(ENGLISH_THINGS))
    return Story(
        drawn,
        in_english.format(
            name=ENGLISH_NAMES[who], thing=ENGLISH_THINGS[what], left=english(drawn.left), right=english(drawn.right)
        ),
        in_japanese.format(
            name=JAPANESE_NAMES[who],
            thing=JAPANESE_THINGS[what],
            left=japanese(drawn.left),
            right=japanese(drawn.right),
        ),
    )
