from collections.abc import Callable, Sequence

import numpy as np
import pytest

from evomerge.errors import EvomergeError
from evomerge.execution import Job, Outcome
from evomerge.foresight import measure
from evomerge.foresight.measure import _costs, _line, _Record
from evomerge.study import Study


class Clockwork:
    """An executor whose every second is known: merging takes 2 s, a request 0.5 s, an item 0.1 s."""

    def __init__(self, capacity: int = 1, failing: Sequence[int] = ()) -> None:
        self.capacity, self.jobs = capacity, list[Job]()
        self._flying: list[Job] = []
        self._held: str | None = None
        self._recipes: list[str] = []
        self._failing = failing

    def submit(self, job: Job) -> None:
        self.jobs.append(job)
        self._flying.append(job)

    def wait(self, timeout_s: float | None = None) -> Sequence[Outcome]:
        job, digest = (held := self._flying.pop(0)), held.recipe.digest
        if digest not in self._recipes:
            self._recipes.append(digest)
        if self._recipes.index(digest) in self._failing:
            return [Outcome(job.number, failure="it fell over")]
        ((label, items),) = job.items.items()
        cold_s = 9.0 if len(self._recipes) == 1 else 0.0
        scores = np.array([(int(digest[:4], 16) >> item % 11) % 2 for item in items], np.float32)
        merge_s = 0.0 if digest == self._held else 2.0 + cold_s
        self._held = digest
        score_s = 0.5 + 0.1 * len(items) + cold_s
        return [Outcome(job.number, job.items, {label: scores}, None, merge_s, score_s, tokens=7)]

    def close(self) -> None:
        self._flying.clear()


def quiet(what: str, done: int, total: int) -> None: ...


@pytest.mark.parametrize("capacity", [1, 3])
def test_candidates_and_models_are_scored_on_all_search_items(make_study: Callable[..., Study], capacity: int) -> None:
    study, executor = make_study(), Clockwork(capacity)
    seen: list[tuple[str, int, int]] = []
    measured = measure(study, executor, 4, lambda *step: seen.append(step))
    assert (len(measured.candidates), list(measured.models)) == (4, ["math", "ja"])
    optimizer = study.optimizer()
    for answers in measured.candidates:
        genome = optimizer.ask()
        assert genome is not None
        digest = study.space.decode(genome).digest
        for label, positions in study.fitness.search_items.items():
            expected = [(int(digest[:4], 16) >> item % 11) % 2 for item in positions]
            assert answers[label].tolist() == expected
    assert seen[-1][1:] == (len(executor.jobs), len(executor.jobs))
    test = {label: set(items) for label, items in study.fitness.splits.test.items()}
    assert not any(test[label] & set(items) for job in executor.jobs for label, items in job.items.items())


def test_the_costs_are_those_of_warm_caches(make_study: Callable[..., Study]) -> None:
    costs = measure(make_study(), Clockwork(), 3, quiet).costs
    assert costs.merge_s == 2.0
    assert costs.job_s == pytest.approx(0.5)
    assert costs.item_s == pytest.approx({"math": 0.1, "ja": 0.1, "unseen": 0.1})
    assert costs.item_tokens == pytest.approx({"math": 14 / 20, "ja": 14 / 20, "unseen": 14 / 18})
    assert costs.seconds({"math": 10, "unseen": 5}) == pytest.approx(1.5)


def test_the_first_recipe_tells_no_costs() -> None:
    records = [
        _Record({"math": Outcome(0, {"math": (0,)}, {"math": np.ones(1, np.float32)}, None, merge_s, 1.0, tokens=1)})
        for merge_s in (9.0, 2.0, 4.0)
    ]
    assert _costs(records).merge_s == 3.0


def test_two_requests_of_one_length_tell_what_an_item_costs_and_no_more() -> None:
    first, rest = (
        Outcome(number, {"math": (number,)}, {"math": np.ones(1, np.float32)}, None, 2.0, 0.6, tokens=7)
        for number in (0, 1)
    )
    assert _line(_Record({"math": first}, {"math": rest}), "math") == (0.0, 0.6, 7.0)


def test_who_fails_is_named_and_the_others_count(make_study: Callable[..., Study]) -> None:
    measured = measure(make_study(), Clockwork(failing=[1, 3]), 4, quiet)
    assert measured.failures == {"ja": "it fell over", "candidate 1": "it fell over"}
    assert (len(measured.candidates), list(measured.models)) == (3, ["math"])
    assert measured.costs.seconds({"unseen": 10}) == pytest.approx(1.0)  # nobody was asked: as the others


def test_too_few_are_an_error_with_the_reasons(make_study: Callable[..., Study]) -> None:
    with pytest.raises(EvomergeError, match=r"Too few .* candidate 0: it fell over"):
        measure(make_study(), Clockwork(failing=[2, 3]), 3, quiet)
