from typing import Any

import numpy as np
import yaml

from evomerge.documents import parse
from evomerge.fitness import FitnessSpec
from evomerge.fitness.rivals import rivals, scored_against, unknown_rivals

SHOWN = """
evomerge: fitness/1
tasks:
  a: {task: a, metric: acc}
  like: {task: a, metric: {name: agreement, with: math}}
objectives:
  mean: [a, like]
  kept: {forgetting: [a], of: base}
constraints:
  - {task: a, at_least: 0.5}
  - {task: a, at_least: 0.9, of: math}
"""


def spec(**changes: Any) -> FitnessSpec:
    return parse(FitnessSpec, yaml.safe_load(SHOWN) | changes, "f.yaml")


def test_every_model_that_is_compared_with_is_named_once() -> None:
    assert rivals(spec()) == ("math", "base")
    plain = {"tasks": {"a": {"task": "a", "metric": "acc"}}, "objectives": {"mean": ["a"]}, "constraints": []}
    assert rivals(spec(**plain)) == ()


def test_every_place_that_names_no_model_is_told() -> None:
    assert not list(unknown_rivals(spec(), ["base", "math", "ja"], "f.yaml"))
    assert [str(problem) for problem in unknown_rivals(spec(), ["maths", "ja"], "f.yaml")] == [
        'f.yaml: tasks.like.metric.with: "math" is not a model of the search space. Did you mean "maths"?',
        'f.yaml: objectives.kept.of: "base" is not a model of the search space. Allowed: ja, maths.',
        'f.yaml: constraints[1].of: "math" is not a model of the search space. Did you mean "maths"?',
    ]


def test_agreement_is_made_of_two_models_answers() -> None:
    ours = {"a": np.float32([1, 0, 1]), "like": np.float32([2, 16777215, 3])}
    math = {"a": np.float32([0, 0, 0]), "like": np.float32([2, 5, 3])}
    scores = scored_against(spec(), ours, {"math": math, "base": ours})
    assert {label: scores_I.tolist() for label, scores_I in scores.items()} == {"a": [1, 0, 1], "like": [1, 0, 1]}
    own = scored_against(spec(), math, {"math": math, "base": ours})
    assert own["like"].tolist() == [1, 1, 1]
    assert ours["like"].tolist() == [2, 16777215, 3]
