"""`evomerge search`: a Hydra app over `conf/` and the rooms."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from evomerge.cli.hints import zoo_hint
from evomerge.cli.session import begin
from evomerge.cli.words import without_dashes
from evomerge.config.complaints import in_our_words
from evomerge.config.rooms import GROUPS, register
from evomerge.documents import parse
from evomerge.errors import ConfigError, EvomergeError, Problem
from evomerge.rooting import rooted
from evomerge.settings import Settings

Act: TypeAlias = Callable[[Settings, Path], int]
"""What is done with the settings and the run's folder; the exit status."""

_KEYS = (Settings.model_fields.keys() - {"starts", "files"}) | {"experiment", "run_dir", "zoo"}
"""What may be given on the command line."""

_CHOICES = ("search_space", "fitness", "optimizer", "executor")
"""What is named, each from its own folder."""


def run(argv: Sequence[str]) -> int:
    """Compose the settings and search; with `-m`, once for every combination."""
    words = overrides(argv)
    _check_folders(words)
    return compose(words, "search", begin)


def overrides(argv: Sequence[str]) -> list[str]:
    """The words of a command line with all settings as `KEY=VALUE`."""
    return without_dashes(argv, _KEYS)


def compose(argv: Sequence[str], command: str, act: Act) -> int:
    """Compose the settings as `evomerge search` does, and do something with them.

    Args:
        argv: Overrides and options of Hydra's.
        command: For messages.
        act: What is done, once for every combination.

    Returns:
        0, or 2 if runs of a sweep were left out because of their settings.
    """
    register()
    _check_choices(argv)
    statuses = [0]

    def task(config: DictConfig) -> None:
        statuses.append(_act(config, command, act))

    app = hydra.main(version_base="1.3", config_path=None, config_name="search")(task)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that it raises what it would print
    former = sys.argv
    sys.argv = [f"evomerge {command}", *argv, *(_examples(argv) if {"-h", "--help"} & {*argv} else ())]
    try:
        app()
    except (HydraException, OmegaConfBaseException) as complaint:
        raise in_our_words(complaint, _KEYS) from None
    finally:
        sys.argv = former
    return max(statuses)


def _check_choices(words: Sequence[str]) -> None:
    """Hydra takes the lack of what every search needs for a bug."""
    problems: list[Problem] = []
    for word in words:
        group, _, name = word.lstrip("~").partition("=")
        if group in _CHOICES and (word.startswith("~") or name in ("", "null")):
            problems.append(Problem(word, f"a search needs one. Say {group}=NAME."))
    ConfigError.raise_if_any(problems)


def _examples(argv: Sequence[str]) -> list[str]:
    """What Hydra's help needs to be named before it shows all keys."""
    examples = {"search_space=": "zoo", "fitness=": "zoo_mean"}
    return [key + name for key, name in examples.items() if not any(word.startswith(key) for word in argv)]


def _check_folders(argv: Sequence[str]) -> None:
    """A sweep into one folder would end at its second run, perhaps hours later."""
    folders = [word for word in argv if word.startswith("run_dir=")]
    if {"-m", "--multirun"} & {*argv} and any("${" not in folder and "," not in folder for folder in folders):
        what = "a sweep needs a folder for each run. Drop the key, and the runs lie below runs/sweep_*; or write"
        raise ConfigError.at("evomerge search: run_dir", f"{what} 'run_dir=runs/mine-${{optimizer.name}}-${{seed}}'.")


def _act(config: DictConfig, command: str, act: Act) -> int:
    """One run, and its status. For an exception Hydra would print a traceback.

    A sweep goes on where the settings of one run do not suit each other, and ends for all else.
    """
    try:
        settings, run_dir = _read(config)
        status = act(settings, run_dir)
    except ConfigError as error:
        print(error, *_changed(error), *zoo_hint(error, _zoo(config)), sep="\n", file=sys.stderr)
        if HydraConfig.get().mode is not RunMode.MULTIRUN:
            sys.exit(2)
        print(f"This run of the sweep is left out: {' '.join(_words())}", file=sys.stderr)
        return 2
    except (EvomergeError, OSError) as error:
        print(f"evomerge {command}: {error}", file=sys.stderr)
        sys.exit(1)
    if status:
        sys.exit(status)
    return 0


def _zoo(config: DictConfig) -> str:
    try:
        return str(config.zoo)
    except OmegaConfBaseException:  # which is what was complained of
        return "zoo"


def _read(config: DictConfig) -> tuple[Settings, Path]:
    try:
        tree = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as complaint:
        raise in_our_words(complaint, _KEYS) from None
    assert isinstance(tree, dict)
    if not (folder := str(tree.pop("run_dir") or "")):
        raise ConfigError.at("run_dir", "names no folder. Name one, or leave the key out.")
    run_dir = Path(folder)
    asked_for = any(word.startswith("run_dir=") for word in _words())
    if HydraConfig.get().mode is RunMode.MULTIRUN and not asked_for:
        run_dir = Path(HydraConfig.get().runtime.output_dir)
    tree.pop("zoo")
    return rooted(parse(Settings, {**tree, "files": _files()}, "settings"), Path.cwd()), run_dir


def _words() -> list[str]:
    """What was written on the command line, of this run in a sweep."""
    words = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    assert isinstance(words, list)
    return words


def _files() -> dict[str, str]:
    """Names of the documents that were chosen."""
    choices = HydraConfig.get().runtime.choices
    return {group: f"{GROUPS[group]}/{choices[group]}.yaml" for group in ("search_space", "fitness")}


def _changed(error: ConfigError) -> Iterator[str]:
    """A remark on every file that has a problem and says something else than the command line."""
    for group, file in _files().items():
        changes = [word for word in _words() if word.lstrip("+~").startswith(f"{group}.")]
        if changes and any(problem.where.startswith(file) for problem in error.problems):
            yield f"{file} was read as changed on the command line: {' '.join(changes)}"
