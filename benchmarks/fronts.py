"""How much of a front our evolutionary algorithms find, beside pymoo driven directly with the same settings.

Both start from the same first population and are judged by all candidates that they evaluated. What lies between them
is the mating over genes of any kind, six significant digits, and no genome twice. Random search and the CMA portfolio,
which pymoo does not have, are there for comparison.

    OMP_NUM_THREADS=1 python benchmarks/fronts.py
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import measure
import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.ctaea import CTAEA
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.core.population import Population
from pymoo.indicators.hv import HV
from pymoo.operators.crossover.sbx import SBX
from pymoo.problems import get_problem
from pymoo.termination import get_termination

from evomerge.optimizers.base import Scored
from evomerge.optimizers.lattice import largest_lattice
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import FloatGene, Genome
from evomerge.testing.optimizers import Loop

PROBLEMS = {
    "zdt1": (1.1, 7.0),
    "zdt2": (1.1, 7.0),
    "zdt3": (1.1, 7.0),
    "zdt6": (1.1, 10.0),
    "dtlz2": (2.5, 2.5, 2.5),
}
"""Reference points of the hypervolume. Number of variables and objectives are pymoo's defaults."""

POPULATION = 20


def direct(name: str, num_objectives: int, **first: Any) -> Any:
    """The algorithm as a user of pymoo would make it."""
    directions_KM = largest_lattice(num_objectives, POPULATION)
    match name:
        case "nsga2":
            return NSGA2(pop_size=POPULATION, **first)
        case "nsga3":
            return NSGA3(directions_KM, pop_size=POPULATION, **first)
        case "sms_emoa":
            return SMSEMOA(pop_size=POPULATION, crossover=SBX(prob=0.9, eta=15), **first)
        case _:
            return CTAEA(directions_KM, **first)


PAIRED = ("nsga2", "nsga3", "sms_emoa", "c_taea")


def ours(name: str, problem: Any, budget: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and losses of all candidates."""
    genes = [FloatGene(f"x{i}", float(problem.xl[i]), float(problem.xu[i])) for i in range(problem.n_var)]

    def judge(genome: Genome) -> Scored:
        return Scored(tuple(map(float, problem.evaluate(np.array(genome, dtype=float)))))

    settings = {"name": name} if name in ("random", "weighted_cma") else {"name": name, "population": POPULATION}
    optimizer = make_optimizer(settings, genes, problem.n_obj, seed, (), budget)
    points_ND = np.array(Loop(optimizer, judge).run(budget, workers=1), dtype=float)
    return points_ND, problem.evaluate(points_ND)


def theirs(name: str, problem: Any, budget: int, seed: int, first_PD: NDArray[np.float64]) -> NDArray[np.float64]:
    """Losses of all candidates."""
    algorithm = direct(name, problem.n_obj, sampling=Population.new(X=first_PD))
    algorithm.setup(problem, termination=get_termination("n_gen", 10**9), seed=seed)
    losses: list[NDArray[np.float64]] = []
    while sum(map(len, losses)) < budget:
        population = algorithm.ask()
        algorithm.evaluator.eval(problem, population)
        algorithm.tell(infills=population)
        losses.append(population.get("F"))
    return np.concatenate(losses)[:budget]


def spread(values: Sequence[float]) -> str:
    """Mean and its standard error."""
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / np.sqrt(len(values)):.3f}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    arguments.add_argument("--budget", type=int, default=400)
    arguments.add_argument("--seeds", type=int, default=20)
    given = arguments.parse_args()
    print(measure.heading("Fronts at small budgets", ("pymoo", "cmaes", "numpy")))
    print(f"{given.budget} evaluations, population {POPULATION}, {given.seeds} seeds. Hypervolume of all evaluated,")
    print("mean ± standard error; the difference is paired by seed and first population.\n")
    for name in given.problems:
        problem = get_problem(name)
        volume = HV(ref_point=np.array(PROBLEMS[name]))
        print(f"## {name}: {problem.n_var} variables, reference point {PROBLEMS[name]}\n", flush=True)
        rows = []
        for algorithm in (*PAIRED, "weighted_cma", "random"):
            mine, direct_ones = [], []
            for seed in range(given.seeds):
                points_ND, losses_NM = ours(algorithm, problem, given.budget, seed)
                mine.append(volume(losses_NM))
                if algorithm in PAIRED:
                    size = len(largest_lattice(problem.n_obj, POPULATION)) if algorithm == "c_taea" else POPULATION
                    direct_ones.append(volume(theirs(algorithm, problem, given.budget, seed, points_ND[:size])))
            if direct_ones:
                difference = spread(np.subtract(mine, direct_ones).tolist())
                rows.append([algorithm, spread(mine), spread(direct_ones), difference])
            else:
                rows.append([algorithm, spread(mine), "", ""])
        print(measure.table(["", "evomerge", "pymoo", "difference"], rows), flush=True)


if __name__ == "__main__":
    main()
