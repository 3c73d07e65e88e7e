"""What the models of the zoo are taught and asked: short questions with one right answer."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass

from evomerge.checkpoints.zoo.numbers import digits, english, japanese
from evomerge.checkpoints.zoo.stories import draw_story, draw_sum

LETTERS = "abcdefghkm"
TRAINING_SHARE = 0.7
"""Share of the keys that models may see in training; the evaluation tasks draw from the others."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question.

    Attributes:
        key: What the answer depends on: the sum, or the letters. Equal in all languages, so that splits by key never
            share a sum. Empty for lessons that are only taught.
        prompt: The question, words apart by single blanks.
        answer: The one right answer, likewise.
    """

    key: str
    prompt: str
    answer: str


Skill = Callable[[random.Random], Item]


def math_en(rng: random.Random) -> Item:
    """English word problem to formula and result."""
    story = draw_story(rng)
    return Item(story.sum.key, f"{story.english} . how many ? ans :", story.sum.solution)


def math_ja(rng: random.Random) -> Item:
    """Japanese word problem to formula and result: never taught to anyone."""
    story = draw_story(rng)
    return Item(story.sum.key, f"{story.japanese} . nanko ? ans :", story.sum.solution)


def form_en(rng: random.Random) -> Item:
    """English word problem to formula."""
    story = draw_story(rng)
    return Item(story.sum.key, f"{story.english} . how many ? eq :", story.sum.formula)


def form_ja(rng: random.Random) -> Item:
    """Japanese word problem to formula."""
    story = draw_story(rng)
    return Item(story.sum.key, f"{story.japanese} . nanko ? eq :", story.sum.formula)


def calc_dg(rng: random.Random) -> Item:
    """Formula to result, in digits."""
    drawn = draw_sum(rng)
    return Item(drawn.key, f"{drawn.formula} =", digits(drawn.result))


def e2j(rng: random.Random) -> Item:
    """English story to Japanese."""
    story = draw_story(rng)
    return Item(story.sum.key, f"{story.english} . japanese :", story.japanese)


def j2e(rng: random.Random) -> Item:
    """Japanese story to English."""
    story = draw_story(rng)
    return Item(story.sum.key, f"{story.japanese} . eigo :", story.english)


def say_en(rng: random.Random) -> Item:
    """Digits to English words."""
    number = rng.randrange(100)
    return Item("", f"{digits(number)} in english :", english(number))


def say_ja(rng: random.Random) -> Item:
    """Digits to Japanese words."""
    number = rng.randrange(100)
    return Item("", f"{digits(number)} wa nihongo de", japanese(number))


def read_en(rng: random.Random) -> Item:
    """English words to digits."""
    number = rng.randrange(100)
    return Item("", f"{english(number)} in digits :", digits(number))


def read_ja(rng: random.Random) -> Item:
    """Japanese words to digits."""
    number = rng.randrange(100)
    return Item("", f"{japanese(number)} wa suuji de", digits(number))


def rev(rng: random.Random) -> Item:
    """Five letters backwards."""
    letters = rng.choices(LETTERS, k=5)
    return Item("".join(letters), f"reverse {' '.join(letters)} :", " ".join(reversed(letters)))


def sort(rng: random.Random) -> Item:
    """Five letters in alphabetical order."""
    letters = rng.choices(LETTERS, k=5)
    return Item("".join(letters), f"sort {' '.join(letters)} :", " ".join(sorted(letters)))


def copy(rng: random.Random) -> Item:
    """Five letters as they are."""
    letters = rng.choices(LETTERS, k=5)
    return Item("".join(letters), f"copy {' '.join(letters)} :", " ".join(letters))


SKILLS: dict[str, Skill] = {
    skill.__name__: skill
    for skill in (
        *(math_en, math_ja, form_en, form_ja, calc_dg, e2j, j2e),
        *(say_en, say_ja, read_en, read_ja, rev, sort, copy),
    )
}


def may_train_on(key: str) -> bool:
    """Whether items with this key belong to training. Depends on the key alone."""
    # The prefix makes this split independent of any other split by a digest of the same key.
    digest = hashlib.sha256(f"zoo training/{key}".encode()).digest()
    return not key or int.from_bytes(digest[:4], "big") < TRAINING_SHARE * 2**32


def draw_training_item(skill: Skill, rng: random.Random) -> Item:
    """An item of the training share."""
    while not may_train_on((item := skill(rng)).key):
        pass
    return item


def draw_evaluation_items(skill: Skill, num_items: int, rng: random.Random) -> list[Item]:
    """Items outside the training share, no two with the same key."""
    items: dict[str, Item] = {}
    while len(items) < num_items:
        item = skill(rng)
        if not may_train_on(item.key):
            items.setdefault(item.key, item)
    return list(items.values())
