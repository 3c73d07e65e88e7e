"""What each driver makes of the tiny zoo at the same cost, and what it believed beside what the test items show.

Two skills, math_en and form_ja. Every candidate answers the same search items, so that equal candidates are equal
items. Drivers of one objective search the mean of the two skills. Judged are a run's finalists, which were chosen by
their search scores: the hypervolume that they cover below losses of (1, 1), and the mean of the one that is best on the
selection items. "Believed" is the same, told from the search items. Results are appended to a JSON file, and what is in
it already is not run again.

    evomerge zoo build /tmp/zoo
    OMP_NUM_THREADS=1 python benchmarks/drivers_on_zoo.py --zoo /tmp/zoo --candidates 200 --items 96 --seeds 3
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import measure
import numpy as np
from pymoo.indicators.hv import HV

from evomerge import shipped
from evomerge.optimizers.registry import OPTIMIZERS
from evomerge.runs import RunLog
from evomerge.runs.results import Contender, Results
from evomerge.settings import load_settings
from evomerge.study import open_fitness

SKILLS = ("math_en", "form_ja")
VOLUME = HV(ref_point=np.ones(len(SKILLS)))
ONE_OBJECTIVE = (
    "~fitness.objectives.math",
    "~fitness.objectives.japanese",
    f"fitness.objectives.mean=[{','.join(SKILLS)}]",
)
KEY = ("driver", "space", "candidates", "items", "finalists", "seed", "zoo")


@dataclass(frozen=True, slots=True)
class Driver:
    """One row of the table.

    Attributes:
        name: Of the optimiser.
        space: What it searches.
        options: Further words of the command.
    """

    name: str
    space: str = "zoo"
    options: tuple[str, ...] = ()


DRIVERS = {
    driver.name: driver
    for driver in (
        Driver("random"),
        Driver("cma_lr", options=ONE_OBJECTIVE),
        Driver("cma_es", options=ONE_OBJECTIVE),
        Driver("nsga2"),
        Driver("weighted_cma"),
        Driver("map"),
        Driver("mm_mo"),
        Driver("tpe"),
        Driver("screened"),
        Driver("m2n2", space="zoo_breed"),
    )
}


def missing(driver: Driver) -> str | None:
    """Why a driver cannot run here."""
    if driver.name not in OPTIMIZERS:
        return "there is no such optimiser"
    if driver.space not in shipped.names("search_spaces"):
        return f"there is no search space {driver.space}"
    if driver.name == "tpe" and find_spec("optuna") is None:
        return "optuna is not installed"
    return None


def run(driver: Driver, seed: int, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Search, and judge the finalists."""
    command = [
        *(sys.executable, "-m", "evomerge.cli", "search", f"search_space={driver.space}", "fitness=zoo_two_skills"),
        *(f"optimizer={driver.name}", f"zoo={given.zoo}", f"run_dir={folder}", f"seed={seed}"),
        *(f"candidates={given.candidates}", f"finalists={given.finalists}", f"fitness.items.search={given.items}"),
        *driver.options,
        *given.override,
    ]
    usage = measure.run(command, folder.with_suffix(".log"))
    fitness = open_fitness(load_settings(folder))
    with RunLog.read(folder) as log:
        results = Results(log, fitness)
    finalists = [finalist for finalist in results.finalists if finalist.complete("test")]
    best = max(finalists, key=lambda finalist: skill(finalist, "selection"))
    return {
        "asked": len(results.candidates),
        "believed_volume": volume(finalists, "search"),
        "volume": volume(finalists, "test"),
        "believed_mean": skill(best, "search"),
        "mean": skill(best, "test"),
        "references": {one.name: skill(one, "test") for one in results.references},
        "cpu_s": usage.cpu_s,
    }


def volume(finalists: Sequence[Contender], split: str) -> float:
    """Hypervolume of the two skills."""
    losses = [[1 - finalist.estimates[split][label].value for label in SKILLS] for finalist in finalists]
    return float(VOLUME(np.array(losses)))


def skill(contender: Contender, split: str) -> float:
    """Mean of the two skills."""
    return float(np.mean([contender.estimates[split][label].value for label in SKILLS]))


def plan(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What identifies each run that can be made here."""
    for seed in range(given.seeds):
        for name in given.drivers:
            if reason := missing(DRIVERS[name]):
                print(f"{name} is left out: {reason}.", file=sys.stderr)
                continue
            values = (name, DRIVERS[name].space, given.candidates, given.items, given.finalists, seed, str(given.zoo))
            yield dict(zip(KEY, values, strict=True))


def rows(results: Sequence[Mapping[str, Any]], planned: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    """A row of the table per driver, means over seeds with their standard errors."""
    wanted = [one for one in results if {key: one[key] for key in KEY} in planned]
    for name in dict.fromkeys(one["driver"] for one in wanted):
        runs = [one for one in wanted if one["driver"] == name]
        columns = ("believed_volume", "volume", "believed_mean", "mean")
        yield [name, str(len(runs)), *(spread([one[column] for one in runs]) for column in columns), spread_s(runs)]


def spread(values: Sequence[float]) -> str:
    """Mean and its standard error."""
    error = f" ± {np.std(values, ddof=1) / np.sqrt(len(values)):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{error}"


def spread_s(runs: Sequence[Mapping[str, Any]]) -> str:
    """Mean CPU seconds."""
    return f"{np.mean([one['cpu_s'] for one in runs]):.0f}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--zoo", type=Path, default=Path("/tmp/zoo"))
    arguments.add_argument("--drivers", nargs="+", choices=DRIVERS, default=list(DRIVERS))
    arguments.add_argument("--candidates", type=int, default=200)
    arguments.add_argument("--items", type=int, default=96, help="search items per skill")
    arguments.add_argument("--finalists", type=int, default=8)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--override", nargs="*", default=[], help="further words for evomerge search")
    arguments.add_argument("--json", type=Path, default=Path("drivers_on_zoo.json"), help="results; appended to")
    given = arguments.parse_args()
    results = json.loads(given.json.read_text()) if given.json.is_file() else []
    planned = list(plan(given))
    for key in planned:
        if any({name: one[name] for name in KEY} == key for one in results):
            continue
        with tempfile.TemporaryDirectory() as folder:
            results.append({**key, **run(DRIVERS[key["driver"]], key["seed"], given, Path(folder) / "run")})
        given.json.write_text(json.dumps(results, indent=1))
        print({name: results[-1][name] for name in ("driver", "seed", "volume", "mean")}, file=sys.stderr, flush=True)
    print(measure.heading("Drivers on the zoo", ("pymoo", "cma", "cmaes", "scikit-learn", "numpy")))
    print(f"{given.candidates} candidates, {given.items} search items per skill, {given.finalists} finalists, ", end="")
    print(f"{given.seeds} seeds. Hypervolume below losses of (1, 1); mean over seeds ± standard error.\n")
    names = ["driver", "runs", "volume believed", "volume on test", "best mean believed", "best mean on test", "CPU s"]
    print(measure.table(names, list(rows(results, planned))))


if __name__ == "__main__":
    main()
