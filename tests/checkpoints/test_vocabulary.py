"""Vocabularies of tokenizers in all the files that hold them."""

import json
from pathlib import Path

import pytest

from evomerge.checkpoints.vocabulary import agree, vocabulary_of

EXPECTED = {"a": 0, "b": 1, "c": 2}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tokenizer.json", json.dumps({"model": {"vocab": EXPECTED}})),
        ("tokenizer.json", json.dumps({"model": {"vocab": [["a", -1.0], ["b", -2.0], ["c", -3.0]]}})),
        ("vocab.json", json.dumps(EXPECTED)),
        ("vocab.txt", "a\nb\nc\n"),
    ],
)
def test_files(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert vocabulary_of(tmp_path) == EXPECTED


def test_a_token_may_be_a_line_end_of_unicode(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("a\n\u2028\nb\n", encoding="utf-8")
    assert vocabulary_of(tmp_path) == {"a": 0, "\u2028": 1, "b": 2}


@pytest.mark.parametrize(
    "text", ["", "{", "3", "{}", '{"model": 3}', '{"model": {"vocab": 3}}', '{"model": {"vocab": [3]}}']
)
def test_damaged_files_say_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")
    assert vocabulary_of(tmp_path) == {}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (EXPECTED, EXPECTED, True),
        (EXPECTED, {"a": 0, "b": 1}, True),
        (EXPECTED, {"a": 0, "b": 2}, False),
        (EXPECTED, {"a": 0, "b": 1, "d": 2}, False),
        (EXPECTED, {"a": 0, "b": 1, "c": 2, "d": 3}, True),
    ],
)
def test_agreement(one: dict[str, int], other: dict[str, int], expected: bool) -> None:
    assert agree(one, other) is agree(other, one) is expected
