"""Samples: the texts that a refinement reads, with what their own expert makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from evomerge.errors import ConfigError
from evomerge.merging.statistics.texts import lines_of
from evomerge.refinement.plane import Said


@dataclass(frozen=True, slots=True)
class Sample:
    """One text.

    Attributes:
        tokens: Shape (1, num_tokens), int64, two tokens at least.
        num_prompt: How many of them are given rather than answered; 0 for a text without a prompt.
        teacher: What the expert whose text it is makes of it; None where no expert is asked.
    """

    tokens: torch.Tensor
    num_prompt: int = 0
    teacher: Said | None = None


def read_samples(path: Path, tokenizer: PreTrainedTokenizerBase, limit: int, max_tokens: int) -> list[Sample]:
    """The first texts of a file: one per line, or .jsonl with a `text`, or a `prompt` and an `answer`, in each line.

    Args:
        path: The file.
        tokenizer: The recipe's.
        limit: Texts at most.
        max_tokens: Of each text; the rest is cut off.

    Raises:
        ConfigError: If the file cannot be read or holds no text of two tokens.
    """
    found: list[Sample] = []
    for prompt, text in _texts(path):
        tokens = tokenizer(text, truncation=True, max_length=max_tokens, return_tensors="pt")["input_ids"]
        if tokens.shape[1] > 1:
            found.append(Sample(tokens, len(tokenizer(prompt)["input_ids"]) if prompt else 0))
        if len(found) == limit:
            break
    if not found:
        raise ConfigError.at(str(path), "holds no text of two tokens or more.")
    return found


def in_turn(files: Sequence[Sequence[Sample]]) -> list[Sample]:
    """Texts of all files, each file in its turn, so that every stretch is as fair to them as can be."""
    return [file[place] for place in range(max(map(len, files))) for file in files if place < len(file)]


def stretch(samples: Sequence[Sample], number: int, size: int) -> list[Sample]:
    """The texts of a step: the next ones, from the first again after the last."""
    size = min(size, len(samples))
    return [samples[(number * size + index) % len(samples)] for index in range(size)]


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """Prompt, empty where there is none, and whole text of every line."""
    for where, line in lines_of(path):
        yield _parsed(line, where) if path.suffix == ".jsonl" else ("", line)


def _parsed(line: str, where: str) -> tuple[str, str]:
    try:
        tree = json.loads(line)
        pair = ("", tree["text"]) if "text" in tree else (tree["prompt"], f"{tree['prompt']} {tree['answer']}")
    except (ValueError, KeyError, TypeError):
        pair = ("", None)
    if not all(isinstance(text, str) for text in pair):
        what = 'is no text. Write a line such as {"text": "…"} or {"prompt": "…", "answer": "…"}.'
        raise ConfigError.at(where, what)
    return pair
