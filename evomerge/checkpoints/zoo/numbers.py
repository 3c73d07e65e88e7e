"""The numbers 0 to 99 as digits, in English and in romaji Japanese."""

from __future__ import annotations

ENGLISH_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
ENGLISH_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
JAPANESE_UNITS = ("rei", "ichi", "ni", "san", "yon", "go", "roku", "nana", "hachi", "kyuu")
JAPANESE_TEN = "juu"


def digits(number: int) -> str:
    """Two digits, apart: 7 is `0 7`."""
    return f"{number // 10} {number % 10}"


def english(number: int) -> str:
    """English words: 42 is `forty two`."""
    if number < 20:
        return ENGLISH_UNITS[number]
    tens, units = divmod(number, 10)
    return f"{ENGLISH_TENS[tens - 2]} {ENGLISH_UNITS[units]}" if units else ENGLISH_TENS[tens - 2]


def japanese(number: int) -> str:
    """Romaji words: 42 is `yon juu ni`."""
    tens, units = divmod(number, 10)
    if not tens:
        return JAPANESE_UNITS[units]
    words = [JAPANESE_UNITS[tens]] * (tens > 1) + [JAPANESE_TEN] + [JAPANESE_UNITS[units]] * (units > 0)
    return " ".join(words)
