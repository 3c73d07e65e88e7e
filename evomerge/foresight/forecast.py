"""The forecast: costs, precision and prospects of a search, and of other ways to spend the same time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evomerge.execution import Responses
from evomerge.finals import models_in
from evomerge.fitness import Fitness
from evomerge.fitness.irt.model import Floats
from evomerge.fitness.items import SPLITS
from evomerge.fitness.power import best_of, smallest_difference, true_sd
from evomerge.foresight.designs import Prospect, designs_for, prospect, spreads_of
from evomerge.foresight.measure import Measured
from evomerge.recipe.references import references
from evomerge.runs.budget import Budget
from evomerge.study import Study


@dataclass(frozen=True, slots=True)
class Plan:
    """A design, and how far the time of the chosen budget goes with it.

    Attributes:
        prospect: What a candidate costs and tells.
        candidates: How many the time pays.
        gain: By objective, expected true value of the best above the mean, in the objective's unit.
        optimism: By objective, how much better than that it is expected to look.
    """

    prospect: Prospect
    candidates: int
    gain: Mapping[str, float]
    optimism: Mapping[str, float]

    @property
    def mean_gain(self) -> float:
        """Over the objectives."""
        return float(np.mean(list(self.gain.values())))


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is to be expected. Seconds are those of one worker; `workers` of them share the work.

    Attributes:
        plans: What was asked for, then other ways to spend the same time.
        workers: How many score at once.
        models_s: Seconds of scoring the models first, where a design needs it.
        finals_s: Of scoring finalists and references on all splits.
        finals_items: Answers that they give.
        means: By objective, mean value of the measured candidates.
        true_sd: By objective, standard deviation of their true values.
        models: By objective, the best model and its value.
        lead: By objective, how far the best of the chosen plan is expected ahead of that model.
        provable: By objective, the smallest true difference from a model that the test split shows with 80 % power.
        num_measured: Candidates behind all this.
        measured_items: Of each task.
        failures: What could not be measured, and why.
    """

    plans: Sequence[Plan]
    workers: int
    models_s: float
    finals_s: float
    finals_items: int
    means: Mapping[str, float]
    true_sd: Mapping[str, float]
    models: Mapping[str, tuple[str, float]]
    lead: Mapping[str, float]
    provable: Mapping[str, float]
    num_measured: int
    measured_items: Mapping[str, int]
    failures: Mapping[str, str]

    @property
    def chosen(self) -> Plan:
        """What was asked for."""
        return self.plans[0]

    @property
    def search_s(self) -> float:
        """Seconds of one worker that the search costs, the models' scoring included."""
        return _total_s(self.chosen.prospect, self.chosen.candidates, self.models_s)


def forecast(study: Study, whole: Fitness, measured: Measured, workers: int) -> Forecast:
    """Forecast a search.

    Candidates are taken to be drawn like the measured ones; a search that learns does better than the best of them, and
    its later candidates are more alike.

    Args:
        study: Over the items that were measured.
        whole: The fitness of the search, with all its items.
        measured: A few candidates and the models.
        workers: Of the executor.
    """
    fitness, settings = study.fitness, study.settings
    sizes = {label: len(items) for label, items in whole.search_items.items()}
    costs = measured.costs
    prospects = [prospect(design, measured, settings.seed, sizes) for design in designs_for(fitness, measured.models)]
    models = models_in(study.some_recipe)
    models_s = len(models) * (costs.merge_s + costs.seconds(sizes) + len(sizes) * costs.job_s)
    values = _values(fitness, measured, measured.candidates)
    spread = _true_sds(fitness, measured, values)
    number = _candidates(study.budget, prospects[0])
    total_s = _total_s(prospects[0], number, models_s)
    plans = [_plan(prospects[0], number, spread)]
    for other in _different(prospects):
        plans.append(_plan(other, _affordable(other, total_s, models_s), spread))
    num_finalists = settings.finalists + 1 + len(references(study.some_recipe))
    finals = {label: sum(len(getattr(whole.splits, split)[label]) for split in SPLITS) for label in whole.spec.tasks}
    means = {name: float(column.mean()) for name, column in values.items()}
    best = _best_models(fitness, measured)
    better = {name: 1 if is_up else -1 for name, is_up in fitness.objectives.higher_is_better.items()}
    return Forecast(
        plans=plans,
        workers=workers,
        models_s=models_s,
        finals_s=num_finalists * (costs.merge_s + costs.seconds(finals)),
        finals_items=num_finalists * sum(finals.values()),
        means=means,
        true_sd=spread,
        models=best,
        lead={name: plans[0].gain[name] + better[name] * (means[name] - best[name][1]) for name in means},
        provable=_provable(whole, measured),
        num_measured=len(measured.candidates),
        measured_items={label: len(items) for label, items in fitness.search_items.items()},
        failures=measured.failures,
    )


def _values(fitness: Fitness, measured: Measured, answers: Sequence[Responses]) -> dict[str, Floats]:
    """By objective, values on all measured items."""
    losses = [fitness.worth(fitness.estimates(responses), measured.models).losses for responses in answers]
    rows = np.array([fitness.objectives.from_losses(row) for row in losses])
    return dict(zip(fitness.objectives.names, rows.T, strict=True))


def _true_sds(fitness: Fitness, measured: Measured, values: Mapping[str, Floats]) -> dict[str, float]:
    """By objective, standard deviation of the candidates' true values."""
    spreads = spreads_of(measured, fitness)
    sizes = {label: len(items) for label, items in fitness.search_items.items()}
    noise = {
        name: sum(spreads[label].unshared / sizes[label] for label in labels) / len(labels) ** 2
        for name, labels in fitness.objectives.members.items()
    }
    return {name: true_sd(values[name], variance) for name, variance in noise.items()}


def _candidates(budget: Budget, prospect: Prospect) -> int:
    """How many the budget pays."""
    limits = [(budget.items, prospect.items), (budget.tokens, prospect.tokens), (budget.seconds, prospect.seconds)]
    paid = [int(limit / cost) for limit, cost in limits if limit is not None and cost]
    return max(1, min([budget.candidates, *paid]))


def _affordable(prospect: Prospect, total_s: float, models_s: float) -> int:
    """How many candidates of a design the time pays."""
    left_s = total_s - (models_s if prospect.needs_models else 0.0)
    return max(1, int(left_s / prospect.seconds)) if prospect.seconds else 1


def _total_s(prospect: Prospect, number: int, models_s: float) -> float:
    return number * prospect.seconds + (models_s if prospect.needs_models else 0.0)


def _different(prospects: Sequence[Prospect]) -> Iterator[Prospect]:
    """All but the first, without those that ask and tell the same as one before."""
    seen = {(prospects[0].items, tuple(prospects[0].precision.values()))}
    for other in prospects[1:]:
        if (key := (other.items, tuple(other.precision.values()))) not in seen:
            seen.add(key)
            yield other


def _plan(prospect: Prospect, number: int, spread: Mapping[str, float]) -> Plan:
    choices = {name: best_of(number, spread[name], precision.noise) for name, precision in prospect.precision.items()}
    return Plan(
        prospect,
        number,
        {name: choice.gain for name, choice in choices.items()},
        {name: choice.optimism for name, choice in choices.items()},
    )


def _best_models(fitness: Fitness, measured: Measured) -> dict[str, tuple[str, float]]:
    names = list(measured.models)
    values = _values(fitness, measured, list(measured.models.values()))
    best = {
        name: int(column.argmax() if fitness.objectives.higher_is_better[name] else column.argmin())
        for name, column in values.items()
    }
    return {name: (names[index], float(values[name][index])) for name, index in best.items()}


def _provable(whole: Fitness, measured: Measured) -> dict[str, float]:
    """By objective, the smallest true difference between a candidate and a model that the test split shows."""
    variances = {
        label: float(
            np.mean(
                [
                    np.var(answers[label] - model[label], ddof=1)
                    for answers in measured.candidates
                    for model in measured.models.values()
                ]
            )
            / len(whole.splits.test[label])
        )
        for label in whole.search_items
    }
    return {
        name: smallest_difference(math.sqrt(sum(variances[label] for label in labels)) / len(labels))
        for name, labels in whole.objectives.members.items()
    }
