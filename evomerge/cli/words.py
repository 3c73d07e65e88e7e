"""Words of a command line: `KEY=VALUE` and `--KEY VALUE` mean the same to every command."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Sequence
from typing import Any


class Parser(argparse.ArgumentParser):
    """Takes its arguments as `KEY=VALUE` too, which is how `evomerge search` takes its settings."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """See `argparse.ArgumentParser.parse_known_args`."""
        return super().parse_known_args(list(self._spelt(args or ())), namespace)

    def _spelt(self, words: Sequence[str]) -> Iterator[str]:
        """The words with `KEY=VALUE` as `--KEY=VALUE`, or as `VALUE` where KEY has no dashes.

        The value of an option stays as it is, and so do all values of one that takes such pairs itself.
        """
        named = {action.dest for action in self._actions if not action.option_strings}
        option: argparse.Action | None = None
        for word in words:
            key, equals, value = word.partition("=")
            if word.startswith("--"):
                option = self._option_string_actions.get(word)
                option = None if option is None or option.nargs == 0 else option
                yield word
            elif option is not None:
                option = option if _takes_pairs(option) else None
                yield word
            elif equals and f"--{key}" in self._option_string_actions:
                yield f"--{word}"
            else:
                yield value if equals and key in named else word


def value_of(key: str, words: Sequence[str]) -> str | None:
    """The last value of a key, `KEY=VALUE` or `--KEY VALUE`; None where it has none."""
    found = [word.partition("=")[2] for word in without_dashes(words, {key}) if word.startswith(f"{key}=")]
    return found[-1] if found else None


def _takes_pairs(option: argparse.Action) -> bool:
    return "=" in str(option.metavar)


def device(name: str) -> str:
    """An argument that is a device of this machine."""
    from evomerge.execution.device import resolve_device  # which imports torch

    return resolve_device(name, "--device")


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
