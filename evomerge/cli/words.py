"""Words of a command line: `KEY=VALUE` and `--KEY VALUE` mean the same to every command."""

from __future__ import annotations

import argparse
import difflib
import itertools
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from evomerge.errors import ConfigError


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
            elif not equals or Path(word).exists():  # as folders of a sweep do, which are called after its settings
                yield word
            elif f"--{key}" in self._option_string_actions:
                yield f"--{word}"
            else:
                yield value if key in named else word


def value_of(key: str, words: Sequence[str]) -> str | None:
    """The value of a key, `KEY=VALUE` or `--KEY VALUE`; None where it has none."""
    joined = [word.partition("=")[2] for word in words if word.removeprefix("--").startswith(f"{key}=")]
    apart = [value for word, value in itertools.pairwise(words) if word == f"--{key}"]
    return next(iter([*joined, *apart]), None)


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

    Raises:
        ConfigError: If an option is nearly one of them.
    """
    found: list[str] = []
    rest = iter(words)
    for word in rest:
        given, equals, value = word.removeprefix("--").partition("=")
        key = given.replace("-", "_")
        is_setting = word.startswith("--") and key.partition(".")[0] in keys
        if is_setting:
            found.append(f"{key}={value if equals else next(rest, '')}")
        elif word.startswith("--") and (close := difflib.get_close_matches(key, keys, n=1, cutoff=0.75)):
            raise ConfigError.at(word, f'is not a known key. Did you mean "{close[0]}"?')
        else:
            found.append(word)
    return found
