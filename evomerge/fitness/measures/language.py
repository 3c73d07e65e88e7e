"""Language: whether an answer is written in the language that it should be, told by its script."""

from __future__ import annotations

from typing import ClassVar, Literal

import pydantic

from evomerge.documents import fault, suggestion
from evomerge.fitness.measures.base import BaseMeasure
from evomerge.fitness.measures.reply import Reply
from evomerge.fitness.measures.scripts import LANGUAGES, SCRIPTS, Writing, letters_of


class Language(BaseMeasure):
    """Share of an answer's letters that a language is written in: `{name: language, code: ja}`.

    For tasks that write. The whole answer counts, not only what the task's filter takes from it. Digits and signs are
    no letters; an answer without letters shows no language and scores 0. Only scripts are looked at, so nothing is
    downloaded, and languages that share one (English and German, Russian and Ukrainian) cannot be told apart: name
    their scripts if that is enough. A text of Chinese characters alone is not taken for Japanese: that takes kana.

    Attributes:
        code: ISO 639-1 code of a language that is all but alone in its writing, such as ja, zh, ko, th or el.
        scripts: Unicode's names of scripts, in place of a code: `[Latin]`.
        at_least: Absent: the score is the share. A number: the score is 1 where the share is that much, else 0.
    """

    output_types: ClassVar[tuple[str, ...]] = ("generate_until",)
    name: Literal["language"] = "language"
    code: str | None = None
    scripts: tuple[str, ...] | None = None
    at_least: float | None = pydantic.Field(default=None, gt=0, le=1)

    @pydantic.field_validator("code")
    @classmethod
    def _known_code(cls, code: str | None) -> str | None:
        if code is not None and code not in LANGUAGES:
            what = f'"{code}" is no language that its writing gives away. {suggestion(code, LANGUAGES)}'
            raise fault(f"{what} For another, name its `scripts`.")
        return code

    @pydantic.field_validator("scripts")
    @classmethod
    def _known_scripts(cls, scripts: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for script in scripts or ():
            if script not in SCRIPTS:
                raise fault(f'"{script}" is not a script. {suggestion(script, SCRIPTS)}')
        return scripts

    @pydantic.model_validator(mode="after")
    def _one_of_both(self) -> Language:
        if (self.code is None) == (not self.scripts):
            raise fault("give either `code`, such as ja, or `scripts`, such as [Latin].")
        return self

    @property
    def words(self) -> str:
        """`share of letters in ja`, `answers in ja`."""
        what = self.code or " or ".join(self.scripts or ())
        return f"{'share of letters' if self.at_least is None else 'answers'} in {what}"

    def of(self, reply: Reply) -> float:
        """In [0, 1]."""
        writing = LANGUAGES[self.code] if self.code else Writing(self.scripts or ())
        share = _share(reply.written, writing)
        return share if self.at_least is None else float(share >= self.at_least)


def _share(text: str, writing: Writing) -> float:
    letters = letters_of(text)
    if not letters or (writing.shown_by and not any(letters[script] for script in writing.shown_by)):
        return 0.0
    return sum(letters[script] for script in writing.scripts) / letters.total()
