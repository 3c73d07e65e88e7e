"""Every estimator on simulated merges: error, rank correlation, coverage and time, beside what was to be reached.

Four fixtures, S1 to S4, have 1,000 items, 60 merges of two parents and 40 calibration models (8 in S4). S2 looks like
real merges; in S1 merges owe their parents nothing but ability, S3 adds guessing. All candidates of a seed are asked
the same items, drawn anew `--draws` times, except by the adaptive selectors. `ms` is the CPU time of selection and
estimation per candidate, with what is prepared once for all candidates divided among them. Coverage is that of value
± 1.96 standard errors. Regret is the true accuracy lost by choosing the six (in the halving eight) that look best.

    OMP_NUM_THREADS=1 python benchmarks/estimators.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import measure
import numpy as np
from scipy.stats import spearmanr

from evomerge.fitness.answers import Answers, Pool
from evomerge.fitness.estimators import configs as estimators
from evomerge.fitness.estimators.base import Estimate, Estimator
from evomerge.fitness.estimators.registry import make_estimator
from evomerge.fitness.irt import Bank, fit_bank
from evomerge.fitness.selectors import Selector, collect
from evomerge.fitness.selectors import configs as selectors
from evomerge.fitness.selectors.registry import SELECTORS, Draw, make_selector
from evomerge.testing.responses import Scenario, Simulated, simulate

SCENARIOS = {
    "S1": Scenario(shared=0, ability_sd=0, violations=0, common=0),
    "S2": Scenario(),
    "S3": Scenario(guessing=0.25),
    "S4": Scenario(num_models=8),
}
NUMBERS = (10, 20, 50, 100)
TOP = 6
OURS, OURS_BARE = "parent, c-optimal, bank", "parent, c-optimal, no bank"


@dataclass(frozen=True, slots=True)
class Row:
    """An estimator with a selector, and the bank that they use: None, or the number of its dimensions."""

    estimator: estimators.EstimatorConfig
    selector: selectors.SelectorConfig
    dimensions: int | None = None


ROWS: dict[str, Row] = {
    "random": Row(estimators.MeanConfig(), selectors.RandomConfig()),
    "stratified by difficulty": Row(estimators.MeanConfig(), selectors.StratifiedConfig(), 1),
    "stratified by parents": Row(estimators.MeanConfig(), selectors.StratifiedConfig(by="parents")),
    "anchors, correctness": Row(estimators.MeanConfig(), selectors.AnchorsConfig(by="responses"), 1),
    "anchors, IRT": Row(estimators.MeanConfig(), selectors.AnchorsConfig(), 5),
    "p-IRT": Row(estimators.PIrtConfig(), selectors.AnchorsConfig(), 5),
    "gp-IRT": Row(estimators.GpIrtConfig(), selectors.AnchorsConfig(), 5),
    "MP-IRT": Row(estimators.MpIrtConfig(), selectors.RandomConfig(), 5),
    "GMP-IRT": Row(estimators.GmpIrtConfig(), selectors.RandomConfig(), 5),
    "EAP, parents' prior": Row(estimators.EapConfig(), selectors.RandomConfig(), 1),
    "EAP, adaptive Fisher": Row(estimators.EapConfig(), selectors.FisherConfig(), 1),
    "parent, stratified by parents": Row(estimators.ParentConfig(), selectors.StratifiedConfig(by="parents"), 1),
    "parent, widened, c-optimal, bank": Row(
        estimators.ParentConfig(widening=2), selectors.COptimalConfig(widening=2), 1
    ),
    OURS_BARE: Row(estimators.ParentConfig(), selectors.COptimalConfig()),
    OURS: Row(estimators.ParentConfig(), selectors.COptimalConfig(), 1),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one estimator on one seed, or their means over seeds."""

    error: float
    rank: float
    coverage: float
    bias: float
    regret: float
    optimism: float
    ms: float


Results = Mapping[tuple[str, int], Figures]
Check = tuple[str, Callable[[Results], float], str, float]


def banks_of(simulated: Simulated) -> dict[int | None, Bank | None]:
    """Banks of one and five dimensions, and none."""
    responses = {f"model {index}": row for index, row in enumerate(simulated.models_MN)}
    digests = [f"{index:016x}" for index in range(simulated.models_MN.shape[1])]
    names = {"task": "simulated", "task_version": "1", "metric": "acc"}
    flat = fit_bank(responses, digests, **names)
    return {None: None, 1: flat, 5: fit_bank(responses, digests, method="mirt", num_dimensions=5, **names)}


def parts(
    row: Row, simulated: Simulated, banks: Mapping[int | None, Bank | None], number: int, seed: int
) -> tuple[Selector, Estimator]:
    """A selector and an estimator for the candidates of a seed."""
    pool = Pool(simulated.parents_PN.shape[1], banks[row.dimensions], simulated.parents_PN)
    selector = make_selector(row.selector, pool, number, Draw(seed))
    return selector, make_estimator(row.estimator, pool, selector.design)


def assess(row: Row, simulated: Simulated, banks: Mapping[int | None, Bank | None], number: int, seed: int) -> Figures:
    """Estimate all candidates from so many items each."""
    began_s = time.process_time()
    selector, estimator = parts(row, simulated, banks, number, seed)
    estimates = [
        estimator.estimate(collect(selector, scores_N.__getitem__, number)) for scores_N in simulated.candidates_CN
    ]
    seconds = time.process_time() - began_s
    return figures(estimates, simulated.candidates_CN.mean(1), seconds)


def figures(estimates: Sequence[Estimate], true_C: np.ndarray, seconds: float) -> Figures:
    """How good estimates are."""
    values_C = np.array([estimate.value for estimate in estimates])
    errors_C = values_C - true_C
    within_C = np.abs(errors_C) <= 1.96 * np.array([estimate.stderr for estimate in estimates]) + 1e-12
    chosen = np.argsort(-values_C, kind="stable")[:TOP]
    return Figures(
        error=np.abs(errors_C).mean(),
        rank=spearmanr(values_C, true_C).statistic if np.ptp(values_C) else 0.0,
        coverage=within_C.mean(),
        bias=errors_C.mean(),
        regret=np.sort(true_C)[-TOP:].mean() - true_C[chosen].mean(),
        optimism=errors_C[chosen].mean(),
        ms=1000 * seconds / len(true_C),
    )


def halving(simulated: Simulated, banks: Mapping[int | None, Bank | None], seed: int, row: Row) -> tuple[float, float]:
    """Successive halving at 10, 20 and 40 items: items per candidate, and accuracy that the eight survivors lose."""
    selector, estimator = parts(row, simulated, banks, 40, seed)
    true_C = simulated.candidates_CN.mean(1)
    alive, asked = list(range(len(true_C))), dict.fromkeys(range(len(true_C)), Answers.none())
    for number, keep in ((10, 30), (20, 15), (40, 8)):
        for candidate in alive:
            while len(answers := asked[candidate]) < number:
                items_I = selector.next(answers, min(selector.block, number - len(answers)))
                asked[candidate] = answers.also(items_I, simulated.candidates_CN[candidate][items_I])
        alive = sorted(alive, key=lambda candidate: -estimator.estimate(asked[candidate]).value)[:keep]
    cost = sum(map(len, asked.values())) / len(asked)
    return cost, np.sort(true_C)[-8:].mean() - true_C[alive].mean()


def inexact(simulated: Simulated, banks: Mapping[int | None, Bank | None]) -> list[str]:
    """Estimators that are not exact once everything was asked."""
    num_items, wrong = simulated.parents_PN.shape[1], []
    for name, row in ROWS.items():
        _, estimator = parts(row, simulated, banks, 50, 0)
        for scores_N in simulated.candidates_CN[:5]:
            estimate = estimator.estimate(Answers.none().also(np.arange(num_items), scores_N))
            wrong += [name] * ((estimate.value, estimate.stderr) != (scores_N.mean(), 0.0))
    return wrong


def costs(simulated: Simulated) -> Iterator[tuple[str, float, str, float]]:
    """Of calibration, and of being exact."""
    began_s = time.process_time()
    banks = banks_of(simulated)
    yield "two banks, 40 models, CPU seconds", time.process_time() - began_s, "≤", 2.0
    yield "estimators that are not exact when all items were asked", len(inexact(simulated, banks)), "≤", 0


def halvings(scenario: Scenario, seeds: Sequence[int]) -> list[tuple[str, float, str, float]]:
    """Print what successive halving costs and loses."""
    found, rows = [], []
    for name in (OURS, OURS_BARE):
        each = []
        for seed in seeds:
            simulated = simulate(scenario, seed)
            each.append(halving(simulated, banks_of(simulated), seed, ROWS[name]))
        cost, regret = np.mean(each, 0)
        spread = np.std([regret for _, regret in each], ddof=1) / np.sqrt(len(each))
        rows.append([name, f"{cost:.1f}", f"{regret:.4f} ± {spread:.4f}"])
        found += [(f"halving, {name}, items", cost, "≤", 20), (f"halving, {name}, regret", regret, "≤", 0.004)]
    print(f"## Successive halving at 10, 20 and 40 items, S2, {len(seeds)} seeds\n")
    print(measure.table(["estimator", "items per candidate", "regret of eight"], rows))
    return found


def measured(scenario: Scenario, seeds: Sequence[int], num_draws: int) -> dict[tuple[str, int], Figures]:
    """Means over seeds and draws, by estimator and number of items."""
    found: dict[tuple[str, int], list[Figures]] = {}
    for seed in seeds:
        simulated = simulate(scenario, seed)
        banks = banks_of(simulated)
        for name, row in ROWS.items():
            draws = range(seed, seed + (1 if SELECTORS[row.selector.name].adapts else num_draws))
            for number in NUMBERS:
                found.setdefault((name, number), []).extend(
                    assess(row, simulated, banks, number, draw) for draw in draws
                )
    return {
        key: Figures(*(float(np.mean([getattr(one, field) for one in all_])) for field in Figures.__slots__))
        for key, all_ in found.items()
    }


def checks() -> Iterator[Check]:
    """What S2 must show: the published estimators as good as in a first implementation of them, and our targets."""

    def of(name: str, number: int, field: str) -> Callable[[Results], float]:
        return lambda results: abs(getattr(results[name, number], field))

    for name, bar in (("p-IRT", 0.040), ("gp-IRT", 0.040), ("MP-IRT", 0.055), ("GMP-IRT", 0.055)):
        yield f"parity: {name}, MAE at 50", of(name, 50, "error"), "≤", bar
        yield f"parity: {name}, Spearman at 50", of(name, 50, "rank"), "≥", 0.78
        yield f"parity: {name}, MAE at 100", of(name, 100, "error"), "≤", 0.033
        yield f"parity: {name}, Spearman at 100", of(name, 100, "rank"), "≥", 0.87
    for number, error, rank in ((10, 0.035, 0.80), (20, 0.025, 0.88), (50, 0.018, 0.93)):
        yield f"{OURS}, MAE at {number}", of(OURS, number, "error"), "≤", error
        yield f"{OURS}, Spearman at {number}", of(OURS, number, "rank"), "≥", rank
        yield f"{OURS}, coverage at {number}", of(OURS, number, "coverage"), "≥", 0.92
    yield f"{OURS}, regret of the best six at 50", of(OURS, 50, "regret"), "≤", 0.004
    yield f"{OURS}, optimism of the best six at 20", of(OURS, 20, "optimism"), "≤", 0.015
    yield f"{OURS_BARE}, MAE at 50", of(OURS_BARE, 50, "error"), "≤", 0.022
    yield f"{OURS_BARE}, Spearman at 50", of(OURS_BARE, 50, "rank"), "≥", 0.91
    for number in (10, 20, 50):
        yield f"{OURS_BARE}, coverage at {number}", of(OURS_BARE, number, "coverage"), "≥", 0.92
    for name in ROWS:
        yield f"{name}, ms a candidate at 50", of(name, 50, "ms"), "≤", 15


def adverse_checks() -> Iterator[Check]:
    """What S1 must show, where merges do not take after their parents."""
    for number in (10, 20, 50):
        yield (
            f"S1: {OURS}, Spearman at {number} less random's",
            lambda results, number=number: results[OURS, number].rank - results["random", number].rank,
            "≥",
            0.0,
        )
        yield (
            f"S1: {OURS}, MAE at {number} over random's",
            lambda results, number=number: results[OURS, number].error / results["random", number].error,
            "≤",
            1.1,
        )


def verdicts(found: Sequence[tuple[str, float, str, float]]) -> str:
    """A table of what was to be reached."""
    rows = []
    for what, value, relation, bar in found:
        met = value <= bar if relation == "≤" else value >= bar
        rows.append([what, f"{value:.4f}", f"{relation} {bar:g}", "met" if met else "**missed**"])
    return measure.table(["what", "measured", "bar", ""], rows)


def table(results: Results) -> str:
    """Figures of a scenario, best of a column in bold."""

    def cells(field: str, digits: int, best: Callable[..., float] | None) -> list[list[str]]:
        columns = []
        for number in NUMBERS:
            column = [round(getattr(results[name, number], field), digits) for name in ROWS]
            top = best(column) if best else None
            texts = [f"{value:.{digits}f}".removeprefix("0") for value in column]
            columns.append([f"**{t}**" if v == top else t for v, t in zip(column, texts, strict=True)])
        return [" · ".join(row) for row in zip(*columns, strict=True)]

    numbers = "/".join(map(str, NUMBERS))
    shown = zip(
        ROWS,
        cells("error", 3, min),
        cells("rank", 2, max),
        cells("coverage", 2, None),
        cells("regret", 4, min),
        cells("ms", 1, None),
        strict=True,
    )
    return measure.table(["estimator", f"MAE at {numbers}", "Spearman", "coverage", "regret of six", "ms"], list(shown))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--draws", type=int, default=3)
    arguments.add_argument("--first-seed", type=int, default=1000)
    arguments.add_argument("--items", type=int, default=1000)
    given = arguments.parse_args()
    print(measure.heading("Estimators on simulated merges", ("numpy", "scipy")))
    seeds, found = range(given.first_seed, given.first_seed + given.seeds), []
    for name in given.scenarios:
        results = measured(replace(SCENARIOS[name], num_items=given.items), seeds, given.draws)
        print(f"## {name}\n\n{table(results)}")
        wanted = {"S1": adverse_checks, "S2": checks}.get(name, lambda: iter(()))
        found += [(what, value(results), relation, bar) for what, value, relation, bar in wanted()]
    scenario = replace(SCENARIOS["S2"], num_items=given.items)
    found += [*costs(simulate(scenario, given.first_seed)), *halvings(scenario, range(500, 500 + 2 * given.seeds))]
    print(f"## What was to be reached\n\n{verdicts(found)}")


if __name__ == "__main__":
    main()
