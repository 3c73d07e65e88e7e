"""The commands: `evomerge COMMAND …`, one file each."""

from __future__ import annotations

import argparse
import difflib
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from evomerge import __version__
from evomerge.cli.hints import zoo_hint
from evomerge.cli.words import Parser, value_of
from evomerge.errors import ConfigError, EvomergeError

COMMANDS = {
    "zoo": "build the tiny zoo: small real models and tasks to try everything on",
    "search": "search for recipes (a Hydra app: `evomerge search --help` lists its options)",
    "plan": "say what a search will cost and what it can tell apart, before it begins (options as `evomerge search`)",
    "resume": "go on with a run that was interrupted",
    "report": "show a run as tables and write its HTML page",
    "pick": "pick a finalist of a run by weights, by bounds, or at the knee of its front",
    "compare": "compare runs, or the runs of a sweep: test scores, hypervolumes, costs and paired differences",
    "merge": "merge models as a recipe file says, evomerge's or mergekit's",
    "convert": "translate between mergekit's files and ours",
    "export": "write a run's best recipe, or a recipe file, as a Hugging Face checkpoint",
    "refine": "move a recipe's weights along the gradient of a loss on texts: a polish, or a start for a search",
    "align": "re-coordinate a model towards another before a merge, with its function unchanged",
    "calibrate": "measure once what need not be per candidate: statistics of models on data, item banks of tasks",
    "evaluate": "score a checkpoint or a recipe with a fitness",
    "inspect": "look at models before merging: norms, kinship, sign conflicts, foreign and re-gauged parts",
    "ls": "list spaces, fitnesses, optimisers, operators, experiments and runs",
    "show": "say what a merge operator does, its parameters and the pipe that it expands to",
    "validate": "check search-space, fitness and recipe files, all problems at once",
    "doctor": "look at this installation and machine, and say what is missing",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Words after `evomerge`; None takes those of the process.

    Returns:
        Exit status: 0, 1 for a failure of ours or the machine's, 2 for something the user can mend, 130 for Ctrl-C,
        141 where nobody reads the output any more.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help") or words[0] not in COMMANDS:
        return _overview(words)
    if words[0] == "--version":
        return 0
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        status: int = _command(words[0]).run(words[1:])
    except ConfigError as error:
        print(error, *zoo_hint(error, value_of("zoo", words) or "zoo"), sep="\n", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # of `evomerge … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at the end
        return 141
    except (EvomergeError, OSError) as error:  # a full disk, a folder that may not be written, and their like
        print(f"evomerge {words[0]}: {error}", file=sys.stderr)
        return 1
    return status


def parser(command: str, **more: Any) -> argparse.ArgumentParser:
    """An argument parser for one command."""
    return Parser(prog=f"evomerge {command}", description=COMMANDS[command], **more)


def _command(name: str) -> Any:
    """The module of a command. Some import torch and lm-eval, which takes seconds; only the one asked for does."""
    module = f"evomerge.cli.{name}"
    if module in sys.modules:
        return sys.modules[module]
    gc.disable()  # an import makes a million objects that stay, and looking through them is a seventh of its time
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()


def _overview(words: list[str]) -> int:
    if words and words[0] == "--version":
        print(f"evomerge {__version__}")
        return 0
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    text = f"usage: evomerge COMMAND …\n\n{lines}\n\n`evomerge COMMAND --help` says more."
    if words and words[0] not in ("-h", "--help"):
        close = difflib.get_close_matches(words[0], COMMANDS, n=1)
        hint = f' Did you mean "{close[0]}"?' if close else ""
        print(f'evomerge: there is no command "{words[0]}".{hint}\n\n{text}', file=sys.stderr)
        return 2
    print(text)
    return 0
