from collections.abc import Callable

import numpy as np
import pytest

from evomerge.fitness import FitnessSpec
from evomerge.fitness.fitness import Fitness
from evomerge.fitness.items import SPLITS


def test_a_document_opens_into_items_and_objectives(make_spec: Callable[..., FitnessSpec]) -> None:
    tasks = {
        "next": {"task": "toy_next", "metric": "acc"},
        "spare": {"task": "toy_choice", "metric": "acc"},
        "nats": {"task": "toy_next", "metric": "perplexity"},
    }
    spec = make_spec(tasks, objectives={"nats": ["nats"], "right": ["next"]}, splits={"by": ["key"]}, items={"test": 5})
    fitness = Fitness.open(spec, "fit.yaml")
    assert fitness.num_objectives == 2
    assert list(fitness.search_items) == ["next", "nats"]
    assert fitness.search_items["next"] == fitness.search_items["nats"] == fitness.items("search")["spare"]
    assert len(fitness.items("test")["spare"]) == 5
    rows = list(fitness.item_rows())
    assert (
        len({digest for *_, digest in rows})
        == len(rows)
        == sum(len(fitness.items(s)[t]) for s in SPLITS for t in tasks)
    )
    responses = {"next": np.array([1, 0, 1, 1], np.float32), "nats": np.array([2, 4], np.float32)}
    assert fitness.estimates(responses)["nats"].stderr == pytest.approx(1)
    assert fitness.worth(fitness.estimates(responses), {}).losses == pytest.approx((3, 0.25))
