"""`evomerge search`: a Hydra app over `conf/` and the rooms."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from evomerge.cli.session import begin
from evomerge.config.rooms import GROUPS, register
from evomerge.documents import parse
from evomerge.errors import ConfigError, EvomergeError
from evomerge.settings import Settings
from evomerge.shipped import shipped_root
from evomerge.study import rooted

Act: TypeAlias = Callable[[Settings, Path], int]
"""What is done with the settings and the run's folder; the exit status."""


def run(argv: Sequence[str]) -> int:
    """Compose the settings and search; with `-m`, once for every combination."""
    _check_folders(argv)
    return compose(argv, "search", begin)


def compose(argv: Sequence[str], command: str, act: Act) -> int:
    """Compose the settings as `evomerge search` does, and do something with them.

    Args:
        argv: Overrides and options of Hydra's.
        command: For messages.
        act: What is done, once for every combination.
    """
    register()

    def task(config: DictConfig) -> None:
        _act(config, command, act)

    app = hydra.main(version_base="1.3", config_path=str(shipped_root() / "conf"), config_name="search")(task)
    former = sys.argv
    sys.argv = [f"evomerge {command}", *argv, *(_examples(argv) if {"-h", "--help"} & {*argv} else ())]
    try:
        app()
    finally:
        sys.argv = former
    return 0


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


def _act(config: DictConfig, command: str, act: Act) -> None:
    """One run. Hydra would print a traceback for an exception and goes on to the next run of a sweep for none."""
    try:
        settings, run_dir = _read(config)
        status = act(settings, run_dir)
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except EvomergeError as error:
        print(f"evomerge {command}: {error}", file=sys.stderr)
        sys.exit(1)
    if status:
        sys.exit(status)


def _read(config: DictConfig) -> tuple[Settings, Path]:
    hydra_config = HydraConfig.get()
    tree = OmegaConf.to_container(config, resolve=True)
    assert isinstance(tree, dict)
    run_dir = Path(tree.pop("run_dir"))
    asked_for = any(override.startswith("run_dir=") for override in hydra_config.overrides.task)
    if hydra_config.mode is RunMode.MULTIRUN and not asked_for:
        run_dir = Path(hydra_config.runtime.output_dir)
    tree.pop("zoo")
    choices = hydra_config.runtime.choices
    files = {group: f"{GROUPS[group]}/{choices[group]}.yaml" for group in ("search_space", "fitness")}
    return rooted(parse(Settings, {**tree, "files": files}, "settings"), Path.cwd()), run_dir
