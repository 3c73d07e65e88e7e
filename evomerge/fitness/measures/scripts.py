"""Scripts: which writing a letter belongs to, and which languages their writing gives away."""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

SCRIPTS = (
    *("Arabic", "Armenian", "Bengali", "Bopomofo", "Cherokee", "Cyrillic", "Devanagari", "Ethiopic", "Georgian"),
    *("Greek", "Gujarati", "Gurmukhi", "Han", "Hangul", "Hebrew", "Hiragana", "Kannada", "Katakana", "Khmer", "Lao"),
    *("Latin", "Malayalam", "Mongolian", "Myanmar", "Oriya", "Sinhala", "Syriac", "Tamil", "Telugu", "Thaana", "Thai"),
    "Tibetan",
)
"""Scripts that a fitness document may name, by their names in Unicode."""

_HAN = ("Cjk", "Ideographic")


@dataclass(frozen=True, slots=True)
class Writing:
    """How a language is written.

    Attributes:
        scripts: Scripts of its letters.
        shown_by: Scripts of which a text must have a letter, because the others are also those of another language.
    """

    scripts: tuple[str, ...]
    shown_by: tuple[str, ...] = ()


LANGUAGES: Mapping[str, Writing] = {
    "am": Writing(("Ethiopic",)),
    "bn": Writing(("Bengali",)),
    "bo": Writing(("Tibetan",)),
    "el": Writing(("Greek",)),
    "gu": Writing(("Gujarati",)),
    "he": Writing(("Hebrew",)),
    "hy": Writing(("Armenian",)),
    "ja": Writing(("Hiragana", "Katakana", "Han"), shown_by=("Hiragana", "Katakana")),
    "ka": Writing(("Georgian",)),
    "km": Writing(("Khmer",)),
    "kn": Writing(("Kannada",)),
    "ko": Writing(("Hangul",)),
    "lo": Writing(("Lao",)),
    "ml": Writing(("Malayalam",)),
    "my": Writing(("Myanmar",)),
    "or": Writing(("Oriya",)),
    "pa": Writing(("Gurmukhi",)),
    "si": Writing(("Sinhala",)),
    "ta": Writing(("Tamil",)),
    "te": Writing(("Telugu",)),
    "th": Writing(("Thai",)),
    "zh": Writing(("Han", "Bopomofo")),
}
"""Languages, by ISO 639-1 code, that are all but alone in their writing."""


def letters_of(text: str) -> Counter[str]:
    """How many letters of each script a text has. Digits, signs, space and marks above and below letters are none.

    Wide and narrow forms count as what they stand for.
    """
    letters = (char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char)[0] == "L")
    return Counter(map(_script_of, letters))


@functools.lru_cache(maxsize=2**16)
def _script_of(letter: str) -> str:
    """By the first word of its Unicode name, which is its script's for all letters of the scripts above."""
    word = unicodedata.name(letter, "Unnamed").split()[0].split("-")[0].capitalize()
    return "Han" if word in _HAN else word
