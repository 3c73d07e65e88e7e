"""The yardstick: one number for a whole contender, so that merges can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evomerge.fitness import Estimate, Fitness
from evomerge.fitness.goals import Cost, Forgetting
from evomerge.runs.results import Candidate, Contender, Results, mean

METRICS = {
    "acc": "accuracy",
    "acc_norm": "length-normalised accuracy",
    "exact_match": "exact matches",
    "perplexity": "nats per item",
}
"""Plain words for metrics of lm-eval; others go by their own names."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """The mean of several scores.

    Attributes:
        name: For axes and headings.
        directions: Whether higher is better, by what is averaged.
    """

    name: str
    directions: Mapping[str, bool]

    @property
    def higher_is_better(self) -> bool:
        """The direction of the mean."""
        return all(self.directions.values())

    @property
    def mixed(self) -> bool:
        """Whether some scores rise and others fall when a model gets better."""
        return len(set(self.directions.values())) > 1

    @property
    def axis(self) -> str:
        """Name and direction, for an axis."""
        return f"{self.name} ({'higher' if self.higher_is_better else 'lower'} is better)"

    def mean(self, scores: Mapping[str, Estimate]) -> Estimate:
        """The mean of the scores; of losses (1 - score where higher is better) where directions are mixed."""
        return mean([self._aligned(scores[name], up) for name, up in self.directions.items()])

    def gain(self, before: float, after: float) -> float:
        """By how much `after` is better than `before`."""
        return after - before if self.higher_is_better else before - after

    def _aligned(self, score: Estimate, up: bool) -> Estimate:
        return Estimate(1 - score.value, score.stderr, score.num_items) if self.mixed and up else score


def of_tasks(fitness: Fitness) -> Yardstick:
    """The mean of all tasks, also of those that no objective names.

    Where tasks are measured otherwise than by lm-eval's metrics, too (in nats, by their brevity), those are left out.
    """
    directions = directions_of_tasks(fitness)
    return _yardstick(directions, "task" if len(directions) == len(fitness.spec.tasks) else "lm-eval score")


def of_objectives(fitness: Fitness) -> Yardstick:
    """The mean of the objectives: what the search believes in."""
    return _yardstick(dict(fitness.objectives.higher_is_better), "objective")


def mean_of_objectives(results: Results, one: Candidate | Contender, split: str = "search") -> Estimate:
    """The mean of the objectives on one split."""
    return of_objectives(results.fitness).mean(results.values(one, split))


def directions_of_tasks(fitness: Fitness) -> dict[str, bool]:
    """Whether higher is better, by task, of those that merges are compared on as a whole."""
    directions = dict(fitness.objectives.directions)
    plain = {label: up for label, up in directions.items() if isinstance(fitness.spec.tasks[label].metric, str)}
    return plain or directions


def metric_of(fitness: Fitness, labels: tuple[str, ...]) -> str:
    """What the scores of some tasks are, in words."""
    metrics = dict.fromkeys(fitness.spec.tasks[label].metric_words for label in labels)
    return " and ".join(METRICS.get(metric, metric) for metric in metrics)


def words_of(fitness: Fitness, name: str) -> str:
    """What an objective's values are, in words."""
    match fitness.objectives.parts[name]:
        case Cost(cost=cost):
            return f"{cost}, of the donor's"
        case Forgetting(of=model, tasks=labels):
            return f"{metric_of(fitness, labels)} lost against {model}"
        case part:
            return metric_of(fitness, part.tasks)


def _yardstick(directions: dict[str, bool], noun: str) -> Yardstick:
    of = f"the {len(directions)} {noun}s" if len(directions) > 1 else f'{noun} "{next(iter(directions))}"'
    mixed = len(set(directions.values())) > 1
    name = f"mean loss of {of}" if mixed else f"mean of {of}" if len(directions) > 1 else of
    return Yardstick(name, directions)
