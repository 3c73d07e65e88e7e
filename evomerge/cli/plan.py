"""`evomerge plan`: a search's cost, precision and better uses of its time, from a few candidates scored for real."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from evomerge.cli import parser
from evomerge.cli.bars import progress_bar
from evomerge.cli.search import compose, overrides
from evomerge.errors import ConfigError
from evomerge.foresight import Forecast, forecast, measure
from evomerge.foresight.advice import sentences
from evomerge.report import pages
from evomerge.settings import Settings
from evomerge.study import Study, assemble, open_fitness, with_filled_starts

_ENOUGH: Final = 200
"""Items of each task that are measured: they tell variances within some 10 %."""


def run(argv: Sequence[str]) -> int:
    """Measure, forecast and print. Nothing is written but what --json names."""
    example = "evomerge plan search_space=zoo fitness=zoo_mean optimizer=nsga2 candidates=400"
    arguments = parser("plan", epilog=f"Example: {example}")
    arguments.add_argument("--measure", type=int, default=5, metavar="N", help="candidates to measure (default: 5)")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    arguments.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for `evomerge search`")
    given = arguments.parse_intermixed_args(overrides(argv))
    if given.measure < 2:
        raise ConfigError.at("evomerge plan: --measure", "one candidate alone shows no spread. Measure two or more.")
    return compose(given.overrides, "plan", lambda settings, _: _plan(settings, given))


def _plan(settings: Settings, given: argparse.Namespace) -> int:
    study = assemble(with_filled_starts(settings))
    study.check_machine()
    whole = study.fitness
    study = _lightened(study)
    executor = study.executor()
    try:
        with progress_bar("measuring") as progress:
            measured = measure(study, executor, given.measure, progress)
        found = forecast(study, whole, measured, executor.capacity)
    finally:
        executor.close()
    console = Console()
    for name in found.means:
        console.print(_table(found, name))
    for sentence in sentences(found):
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    if given.json:
        pages.write(given.json, json.dumps(dataclasses.asdict(found), indent=1) + "\n")
        print(f"Data: {given.json}")
    return 0


def _lightened(study: Study) -> Study:
    """The study with fewer search items where there are thousands; twice those that the estimator asks at least."""
    estimator = study.fitness.spec.estimator
    most = max(_ENOUGH, 2 * (estimator.items or 0) if estimator else 0)
    if all(len(items) <= most for items in study.fitness.search_items.values()):
        return study
    caps = {**study.settings.fitness.get("items", {}), "search": most}
    settings = study.settings.model_copy(update={"fitness": {**study.settings.fitness, "items": caps}})
    return dataclasses.replace(study, settings=settings, fitness=open_fitness(settings))


def _table(found: Forecast, name: str) -> Table:
    """One row per design, the chosen one first, as far as one objective goes."""
    table = Table(
        title=f"{name}: the same time, spent in different ways", box=SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    table.add_column("asked", no_wrap=True)
    for heading in ("items", "seconds", "candidates", "tells apart", "gain", "flattery"):
        table.add_column(heading, justify="right")
    for plan in found.plans:
        prospect = plan.prospect
        cost = (f"{prospect.items:.0f}", f"{prospect.seconds:.2g}", str(plan.candidates))
        worth = (prospect.precision[name].paired, plan.gain[name], plan.optimism[name])
        table.add_row(prospect.name, *cost, *(f"{number:.3f}" for number in worth))
    return table
