"""Words of a command line: `KEY=VALUE` and `--KEY VALUE` mean the same to every command."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Sequence
from typing import Any


class Parser(argparse.ArgumentParser):
    """Takes its options as `KEY=VALUE` too, which is how `evomerge search` takes its settings."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """See `argparse.ArgumentParser.parse_known_args`."""
        return super().parse_known_args(list(_with_dashes(args or (), self._option_string_actions)), namespace)


def without_dashes(words: Sequence[str], keys: Collection[str]) -> list[str]:
    """The words with `--KEY=VALUE` and `--KEY VALUE` as `KEY=VALUE`.

    Args:
        words: Of a command line.
        keys: The settings that there are; `--fitness.rotation` belongs to `fitness`. Other options stay as they are.
    """
    found: list[str] = []
    rest = iter(words)
    for word in rest:
        key = word.removeprefix("--").partition("=")[0]
        if not word.startswith("--") or key.partition(".")[0] not in keys:
            found.append(word)
        elif "=" in word:
            found.append(word.removeprefix("--"))
        else:
            found.append(f"{key}={next(rest, '')}")
    return found


def _with_dashes(words: Sequence[str], options: Collection[str]) -> Iterator[str]:
    """The words with `KEY=VALUE` as `--KEY=VALUE`, unless they are the value of an option before them."""
    before = ""
    for word in words:
        key, equals, _ = word.partition("=")
        is_value = before.startswith("--") and "=" not in before
        yield f"--{word}" if equals and f"--{key}" in options and not is_value else word
        before = word
