"""The forecast: costs, precision and prospects of a search, and of other ways to spend the same time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evomerge.fitness import Fitness
from evomerge.fitness.examiner import Examiner
from evomerge.fitness.goals import Cost
from evomerge.fitness.irt.model import Floats
from evomerge.fitness.items import SPLITS
from evomerge.fitness.power import best_of, smallest_difference, true_sd
from evomerge.foresight.designs import Prospect, designs_for, losses_of, prospect, spreads_of, worths_of
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
        finals_s: Of scoring finalists and references on all splits.
        finals_items: Answers that they give.
        means: By objective, mean value of the measured candidates.
        true_sd: By objective, standard deviation of their true values.
        models: By objective, the best model and its value.
        lead: By objective, how far the best of the chosen plan is expected ahead of that model.
        provable: By objective, the smallest true difference from a model that the test split shows with 80 % power.
        num_measured: Candidates behind all this.
        num_feasible: Those of them that hold all constraints.
        measured_items: Of each task.
        failures: What could not be measured, and why.
    """

    plans: Sequence[Plan]
    workers: int
    finals_s: float
    finals_items: int
    means: Mapping[str, float]
    true_sd: Mapping[str, float]
    models: Mapping[str, tuple[str, float]]
    lead: Mapping[str, float]
    provable: Mapping[str, float]
    num_measured: int
    num_feasible: int
    measured_items: Mapping[str, int]
    failures: Mapping[str, str]

    @property
    def chosen(self) -> Plan:
        """What was asked for."""
        return self.plans[0]

    @property
    def search_s(self) -> float:
        """Seconds of one worker that the search costs, the models' scoring included."""
        return _total_s(self.chosen.prospect, self.chosen.candidates)


def forecast(study: Study, whole: Fitness, measured: Measured, workers: int) -> Forecast:
    """Forecast a search.

    Candidates are taken to be drawn like the measured ones; a search that learns does better than the best of them, and
    its later candidates are more alike. What a merge costs is known without items and is left out.

    Args:
        study: Over the items that were measured.
        whole: The fitness of the search, with all its items.
        measured: A few candidates and the models.
        workers: Of the executor.
    """
    fitness, whole, settings = _of_items(study.fitness), _of_items(whole), study.settings
    sizes = {label: len(items) for label, items in whole.search_items.items()}
    costs = measured.costs
    prospects = [prospect(design, measured, settings.seed, sizes) for design in designs_for(fitness, measured)]
    examiner = measured.examiner(fitness, settings.seed)
    worths = worths_of(examiner, measured, measured.candidates)
    losses_CO = losses_of(worths)
    spread = _true_sds(fitness, measured, losses_CO)
    number = _candidates(study.budget, prospects[0])
    total_s = _total_s(prospects[0], number)
    others = [(other, _affordable(other, total_s)) for other in _different(prospects)]
    plans = [_plan(*paid, spread) for paid in [(prospects[0], number), *others]]
    num_finalists = settings.finalists + 1 + len(references(study.some_recipe))
    finals = {label: sum(len(whole.items(split)[label]) for split in SPLITS) for label in whole.spec.tasks}
    names = fitness.objectives.names
    mean_O, best = losses_CO.mean(0), _best_models(examiner, measured)
    ahead_O = np.array([loss for _, loss in best]) - mean_O
    value_O = fitness.objectives.from_losses(mean_O)
    best_O = fitness.objectives.from_losses([loss for _, loss in best])
    return Forecast(
        plans=plans,
        workers=workers,
        finals_s=num_finalists * (costs.merge_s + costs.seconds(finals)),
        finals_items=num_finalists * sum(finals.values()),
        means=dict(zip(names, value_O, strict=True)),
        true_sd=spread,
        models={name: (model, value) for name, (model, _), value in zip(names, best, best_O, strict=True)},
        lead={name: plans[0].gain[name] + ahead for name, ahead in zip(names, ahead_O.tolist(), strict=True)},
        provable=_provable(whole, measured),
        num_measured=len(worths),
        num_feasible=sum(all(violation <= 0 for violation in worth.violations) for worth in worths),
        measured_items={label: len(items) for label, items in fitness.search_items.items()},
        failures=measured.failures,
    )


def _of_items(fitness: Fitness) -> Fitness:
    """Without costs, and constraints on them."""
    parts = {name: part for name, part in fitness.objectives.parts.items() if not isinstance(part, Cost)}
    costs = set(fitness.objectives.parts) - set(parts)
    constraints = tuple(one for one in fitness.spec.constraints if one.objective not in costs)
    return dataclasses.replace(
        fitness,
        spec=fitness.spec.model_copy(update={"constraints": constraints}),
        objectives=dataclasses.replace(fitness.objectives, parts=parts),
    )


def _true_sds(fitness: Fitness, measured: Measured, losses_CO: Floats) -> dict[str, float]:
    """By objective, standard deviation of the candidates' true values."""
    spreads = spreads_of(measured, fitness)
    found = {}
    for losses_C, (name, shares) in zip(losses_CO.T, fitness.objectives.shares.items(), strict=True):
        sizes = {label: len(fitness.splits.search[label]) for label in shares}
        noise = sum(share**2 * spreads[label].unshared / sizes[label] for label, share in shares.items())
        found[name] = true_sd(losses_C, noise)
    return found


def _candidates(budget: Budget, prospect: Prospect) -> int:
    """How many the budget pays."""
    limits = [(budget.items, prospect.items), (budget.tokens, prospect.tokens), (budget.seconds, prospect.seconds)]
    paid = [int(limit / cost) for limit, cost in limits if limit is not None and cost]
    return max(1, min([budget.candidates, *paid]))


def _affordable(prospect: Prospect, total_s: float) -> int:
    """How many candidates of a design the time pays."""
    return max(1, int((total_s - prospect.models_s) / prospect.seconds)) if prospect.seconds else 1


def _total_s(prospect: Prospect, number: int) -> float:
    return number * prospect.seconds + prospect.models_s


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


def _best_models(examiner: Examiner, measured: Measured) -> list[tuple[str, float]]:
    """By objective, in their order, the best model and its loss."""
    names = list(measured.models)
    losses_MO = losses_of(worths_of(examiner, measured, list(measured.models.values())))
    best_O = losses_MO.argmin(0)
    return [(names[index], float(losses_M[index])) for index, losses_M in zip(best_O, losses_MO.T, strict=True)]


def _provable(whole: Fitness, measured: Measured) -> dict[str, float]:
    """By objective, the smallest true difference between a candidate and a model that the test split shows."""
    candidates = [measured.scores(whole.spec, answers) for answers in measured.candidates]
    models = [measured.scores(whole.spec, answers) for answers in measured.models.values()]

    def variance(label: str) -> float:
        pairs = [given[label] - model[label] for given in candidates for model in models]
        return float(np.mean([np.var(differences_I, ddof=1) for differences_I in pairs]))

    return {
        name: smallest_difference(
            math.sqrt(
                sum(share**2 * variance(label) / len(whole.splits.test[label]) for label, share in shares.items())
            )
        )
        for name, shares in whole.objectives.shares.items()
    }
