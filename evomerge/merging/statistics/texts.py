"""Texts: the data that statistics are measured on, as tokens."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import torch

from evomerge.errors import ConfigError
from evomerge.recipe.calibration import Calibration


def data_digest(calibration: Calibration, where: str = "") -> str:
    """`sha256:` of the data's file.

    Args:
        calibration: Names the file.
        where: The file and key that named it, for messages.

    Raises:
        ConfigError: If the file cannot be read, or is another than the calibration says.
    """
    try:
        with Path(calibration.data).open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise ConfigError.at(where, f"{calibration.data} cannot be read: {error.strerror}. Check the path.") from None
    if calibration.digest not in (None, digest):
        raise ConfigError.at(where, f"{calibration.data} has the digest {digest}. It is other data.")
    return digest


def token_lists(calibration: Calibration, model: Path) -> list[torch.Tensor]:
    """The texts as the model in a folder reads them, one int64 tensor of shape (1, num_tokens) each.

    Texts of a single token are passed over, because nothing can be predicted in them.

    Raises:
        ConfigError: If the file cannot be read or holds no such text.
    """
    from transformers import AutoTokenizer  # seconds, which reading a digest should not take

    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    lists = []
    for text in itertools.islice(_texts(Path(calibration.data)), calibration.samples):
        tokens = tokenizer(text, truncation=True, max_length=calibration.tokens, return_tensors="pt")["input_ids"]
        if tokens.shape[1] > 1:
            lists.append(tokens)
    if not lists:
        raise ConfigError.at(calibration.data, "holds no text of two tokens or more.")
    return lists


def lines_of(path: Path) -> Iterator[tuple[str, str]]:
    """The lines of a file that say something, each after its place for messages.

    Raises:
        ConfigError: If the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if text := line.strip():
                    yield f"{path}: line {number}", text
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError.at(str(path), f"cannot be read: {error}.") from None


def _texts(path: Path) -> Iterator[str]:
    """The texts of a file, in its order, without empty ones."""
    for where, line in lines_of(path):
        if text := _text_in(line, where) if path.suffix == ".jsonl" else line:
            yield text


def _text_in(line: str, where: str) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str):
        raise ConfigError.at(where, 'is no text. Write a line such as {"text": "…"}.')
    return text.strip()
