"""The comparison of runs: what each found, believed and spent, and differences on the test items that they share."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from evomerge.documents import tree_of
from evomerge.fitness import Estimate, subset_mean
from evomerge.fitness.rivals import rivals
from evomerge.report.gap import believed_of
from evomerge.report.reading import Run
from evomerge.report.verdict import chosen
from evomerge.report.yardstick import mean_of_objectives
from evomerge.runs.front import Losses, held_losses, hypervolume, reference_point
from evomerge.runs.results import Contender, Results


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One run beside others.

    Attributes:
        run: The run.
        num_items: Items that candidates of the search were asked.
        seconds: Spent on merging and scoring them, all workers together.
        chosen: The finalist that is best on the selection split; None before the finals.
        believed: What the search thought of it: the mean of the objectives; None for one that it never scored.
        test: The same on test items.
        volume: Hypervolume on test items of the front found on selection items; None where runs have different
            objectives, or only one, whose value says as much.
        gain: By how much the chosen merge is better than the first run's, on the test items that both answered; None
            where there are none.
    """

    run: Run
    num_items: int
    seconds: float
    chosen: Contender | None
    believed: Estimate | None
    test: Estimate | None
    volume: float | None
    gain: Estimate | None


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ by their seed only.

    Attributes:
        lines: Of the runs.
        believed: Mean over the runs, with the standard error of that mean.
        test: The same of the test scores.
        volume: The same of the hypervolumes.
    """

    lines: tuple[Line, ...]
    believed: Estimate | None
    test: Estimate | None
    volume: Estimate | None


def compare(runs: Sequence[Run]) -> tuple[list[Line], Losses | None]:
    """Compare runs with the first of them.

    Returns:
        One line per run, and the reference point of all hypervolumes: the worst corner of any run; None where the runs
        do not have the same objectives.
    """
    first, point = runs[0].results, common_point([run.results for run in runs])
    return [_line(run, first, point) for run in runs], point


def groups(lines: Sequence[Line]) -> list[Group]:
    """Lines of runs that differ by their seed only, wherever there are two seeds or more.

    Runs of one seed are one run over again, and say nothing of the luck of seeds: the first of them counts.
    """
    alike: dict[str, dict[int, Line]] = defaultdict(dict)
    for line in lines:
        tree = {name: value for name, value in tree_of(line.run.settings).items() if name != "seed"}
        alike[json.dumps(tree, sort_keys=True)].setdefault(line.run.settings.seed, line)
    return [
        Group(
            some,
            _over_runs([line.believed.value for line in some if line.believed]),
            _over_runs([line.test.value for line in some if line.test]),
            _over_runs([line.volume for line in some if line.volume is not None]),
        )
        for some in map(tuple, map(dict.values, alike.values()))
        if len(some) > 1
    ]


def common_point(several: Sequence[Results]) -> Losses | None:
    """The worst of the runs' reference points; None where their objectives differ."""
    if any(results.fitness.objectives.parts != several[0].fitness.objectives.parts for results in several):
        return None
    return tuple(max(column) for column in zip(*map(reference_point, several), strict=True))


def paired_gain(one: Results, other: Results) -> Estimate | None:
    """By how much the chosen merge of one run is better than another's, on test items that both answered.

    It is the mean of the objectives where the runs have the same, else of the tasks that both have (see `_weights`).
    The standard error is that of paired differences, item by item; tasks are taken to err independently. None where
    nothing is shared.
    """
    here, there = chosen(one), chosen(other)
    if here is None or there is None or not (here.complete("test") and there.complete("test")):
        return None
    differences = {
        label: difference for label in one.fitness.spec.tasks if (difference := _difference(label, one, other))
    }
    weights = _weights(one, other, list(differences))
    if not weights:
        return None
    value = math.fsum(weight * differences[label].value for label, weight in weights.items())
    variance = math.fsum((weight * differences[label].stderr) ** 2 for label, weight in weights.items())
    return Estimate(value, math.sqrt(variance), sum(differences[label].num_items for label in weights))


def _line(run: Run, first: Results, point: Losses | None) -> Line:
    results = run.results
    best = chosen(results)
    tested = best is not None and best.complete("test")
    members = [member for member in results.front() if member.complete("test")]
    losses = held_losses(results, members, "test")
    return Line(
        run,
        results.progress.spent.items,
        results.progress.spent.seconds,
        best,
        believed_of(results, best) if best else None,
        mean_of_objectives(results, best, "test") if best and tested else None,
        hypervolume(losses, point) if members and point and len(point) > 1 else None,
        paired_gain(results, first) if results is not first else None,
    )


def _difference(label: str, one: Results, other: Results) -> Estimate | None:
    """One task's mean difference over the items with the same digest, that is of the same content and scoring."""
    here, there = _test_scores(label, one), _test_scores(label, other)
    common = [digest for digest in here if digest in there]
    if not common:
        return None
    return subset_mean(np.array([here[digest] - there[digest] for digest in common], np.float32))


def _test_scores(label: str, results: Results) -> dict[str, float]:
    """Scores of the chosen merge by the digest of the item."""
    best = chosen(results)
    if best is None or label not in results.fitness.spec.tasks:
        return {}
    digests, items = results.fitness.splits.digests[label], results.fitness.items("test")[label]
    return dict(zip((digests[item] for item in items), best.responses["test"][label].tolist(), strict=True))


def _weights(one: Results, other: Results, labels: list[str]) -> dict[str, float]:
    """What each task's difference counts, negative where lower is better.

    As in the objectives' mean, where both runs have the same and they compare with no model; else all tasks alike.
    """
    objectives, theirs = one.fitness.objectives, other.fitness.objectives
    signs = {label: 1 if objectives.directions[label] else -1 for label in labels}
    named = {label for members in objectives.members.values() for label in members}
    if objectives.parts != theirs.parts or rivals(one.fitness.spec) or not named <= set(labels):
        return {label: sign / len(labels) for label, sign in signs.items()}
    weights: dict[str, float] = defaultdict(float)
    for shares in objectives.shares.values():
        for label, share in shares.items():
            weights[label] += signs[label] * share / len(objectives.parts)
    return weights


def _over_runs(values: Sequence[float]) -> Estimate | None:
    if len(values) < 2:
        return None
    return Estimate(fmean(values), stdev(values) / math.sqrt(len(values)), len(values))
