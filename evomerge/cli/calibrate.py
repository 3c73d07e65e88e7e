"""`evomerge calibrate`: what is measured before a search, so that candidates need not."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar

from evomerge.checkpoints import Checkpoint
from evomerge.cli import parser
from evomerge.cli.bars import progress_bar
from evomerge.cli.words import device
from evomerge.config.files import read_resolved
from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.merging.statistics.measure import calibrate
from evomerge.recipe import Recipe
from evomerge.recipe.calibration import STATISTICS, Calibration, StatisticKind
from evomerge.recipe.measures import measured_models
from evomerge.spaces import SpaceFile, measured_in, parse_space
from evomerge.spaces.lineage import is_breed

_Job = tuple[Path, Calibration, list[StatisticKind]]


def run(argv: Sequence[str]) -> int:
    """Measure statistics, or fit item banks, and keep them."""
    given = _arguments(argv)
    status: int = given.action(given)
    return status


def _measure_statistics(given: argparse.Namespace) -> int:
    jobs = [job for model in given.models for job in _jobs(model, given)]
    torch.set_num_threads(given.threads)
    disable_progress_bar()  # of transformers
    for folder, calibration, kinds in jobs:
        with progress_bar(str(folder)) as progress:
            measured = calibrate(Checkpoint(folder), calibration, kinds, progress, given.device)
        known = [kind for kind in kinds if kind not in measured]
        parts = [f"measured {', '.join(measured)}"] if measured else []
        parts += [f"knew {', '.join(known)}"] if known else []
        print(f"{folder} on {calibration.data}: {'; '.join(parts)}")
    return 0


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    arguments = parser("calibrate")
    commands = arguments.add_subparsers(required=True, metavar="statistics|items")
    _add_statistics(commands)
    _add_items(commands)
    return arguments.parse_args(argv)


def _add_statistics(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "statistics",
        help="Gram matrices, activations and gradients of models",
        description="Kept in $XDG_CACHE_HOME/evomerge/statistics by what models and data contain.",
        epilog="; ".join(f"{kind}: {what}" for kind, what in STATISTICS.items()),
    )
    command.add_argument(
        "models", nargs="+", type=Path, metavar="MODEL", help="folders; or recipes and search spaces that name theirs"
    )
    command.add_argument("--data", help="one text per line, or .jsonl with a text in each line")
    command.add_argument("--kinds", default="gram,act_mean,act_sq,fisher", help="default: %(default)s")
    command.add_argument("--samples", type=int, default=256, help="texts, from the first on (default: %(default)s)")
    command.add_argument("--tokens", type=int, default=512, help="of each text (default: %(default)s)")
    command.add_argument("--labels", default="data", help="data, or sampled: the true Fisher (default: data)")
    command.add_argument("--seed", type=int, default=0, help="of sampled labels")
    command.add_argument("--zoo", default="zoo", help="what ${zoo} stands for in search spaces")
    command.add_argument("--device", type=device, default="cpu", help="cpu, cuda:0 or auto (default: cpu)")
    command.add_argument("--threads", type=int, default=1)
    command.set_defaults(action=_measure_statistics)


def _add_items(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "items",
        help="item banks, for estimators that tell a score from few answers",
        description="One bank per task, of its search items: candidates are estimated on no others, and the test items "
        "stay unseen.",
    )
    command.add_argument("fitness", help="a name in fitness/, or a file")
    command.add_argument("--models", nargs="+", default=[], type=Path, help="to score now: checkpoints or recipes")
    command.add_argument("--runs", nargs="+", default=[], type=Path, help="folders of runs, whose responses are taken")
    command.add_argument("--banks", nargs="+", default=[], type=Path, help="earlier banks, whose responses are taken")
    command.add_argument("--task", action="append", help="label; may be repeated (default: all that objectives name)")
    command.add_argument(
        "--kind", choices=("1pl", "2pl", "3pl", "mirt"), default="2pl", help="the response model (default: 2pl)"
    )
    command.add_argument("--dimensions", type=int, default=5, help="of the abilities of mirt (default: 5)")
    command.add_argument("--seed", type=int, default=0, help="of the fit of mirt")
    command.add_argument(
        "--out", type=Path, help="folder (default: where the fitness document says, else banks/LABEL.safetensors)"
    )
    command.add_argument("--device", type=device, default="cpu", help="cpu, cuda:0 or auto (default: cpu)")
    command.add_argument("--threads", type=int, default=1)
    command.add_argument("--zoo", default="zoo", help="what ${zoo} stands for in the file")
    command.set_defaults(action=_fit_banks)


def _fit_banks(given: argparse.Namespace) -> int:
    from evomerge.cli.banks import fit_banks  # lm-eval takes seconds to import

    return fit_banks(given)


def _jobs(model: Path, given: argparse.Namespace) -> Iterator[_Job]:
    """What to measure of one model, or all that a recipe reads."""
    if model.suffix in (".yaml", ".yml"):
        yield from _needs(model, given.zoo)
        return
    if given.data is None:
        raise ConfigError.at("calibrate", f"--data says on what to measure {model}. Name a file of texts.")
    options = {name: getattr(given, name) for name in ("data", "samples", "tokens", "labels", "seed")}
    yield model, parse(Calibration, options, "calibrate"), _kinds(given.kinds)


def _needs(file: Path, zoo: str) -> Iterator[_Job]:
    """All that a recipe or a search space reads."""
    tree = read_resolved(file, zoo)
    document: SpaceFile | Recipe
    if is_breed(tree):
        raise ConfigError.at(
            str(file), "breeds models, which reads no statistics, so that there is nothing to measure."
        )
    if tree.get("evomerge") == "space/1":
        document = parse_space(tree, str(file))
        pairs = measured_in(document, str(file))
    else:
        document = parse(Recipe, tree, str(file))
        pairs = list(measured_models(document.canonical.blends))
    if not pairs:
        raise ConfigError.at(str(file), "reads no statistics, so that there is nothing to measure.")
    for name in dict.fromkeys(name for name, _ in pairs):
        kinds = [kind for model, kind in pairs if model == name]
        yield Path(document.models[name].path), (document.calibration or {})[name], kinds


def _kinds(text: str) -> list[StatisticKind]:
    named = [name.strip() for name in text.split(",")]
    if unknown := [name for name in named if name not in STATISTICS]:
        what = f'"{unknown[0]}" is no statistic. Allowed: {", ".join(STATISTICS)}.'
        raise ConfigError.at("calibrate: --kinds", what)
    return [kind for kind in STATISTICS if kind in named]
