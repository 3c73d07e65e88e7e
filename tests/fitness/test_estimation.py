"""The estimator and the selector of a fitness document."""

from typing import Any

import pytest

from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.fitness import FitnessSpec
from evomerge.fitness.estimation import chosen_selector
from evomerge.fitness.estimators.configs import MeanConfig, ParentConfig
from evomerge.fitness.selectors.configs import COptimalConfig, FisherConfig, RandomConfig

TREE: dict[str, Any] = {
    "evomerge": "fitness/1",
    "tasks": {
        "a": {"task": "t", "metric": "acc", "bank": "banks/a.safetensors"},
        "b": {"task": "t", "metric": "acc"},
        "c": {"task": "t", "metric": "acc"},
    },
    "objectives": {"first": ["a"], "second": ["b"]},
}
KNOWN = "mean, p_irt, gp_irt, mp_irt, gmp_irt, eap, parent"


def problems_of(**given: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(FitnessSpec, TREE | given, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_no_estimator_is_named_by_default() -> None:
    spec = parse(FitnessSpec, TREE, "f.yaml")
    assert spec.estimator is spec.selector is spec.racing is None
    assert chosen_selector(MeanConfig(), None).name == "random"


def test_an_estimator_brings_the_selector_that_suits_it() -> None:
    spec = parse(FitnessSpec, TREE | {"estimator": {"name": "parent", "items": 20, "widening": 2}}, "f.yaml")
    assert spec.estimator == ParentConfig(items=20, widening=2.0)
    assert chosen_selector(spec.estimator, spec.selector) == COptimalConfig(block=10, widening=2.0)


def test_a_selector_may_be_named() -> None:
    tasks = {"a": TREE["tasks"]["a"]}
    given = {"tasks": tasks, "objectives": {"first": ["a"]}, "estimator": {"name": "eap"}}
    spec = parse(FitnessSpec, TREE | given | {"selector": {"name": "fisher", "block": 5, "top": 30}}, "f.yaml")
    assert spec.selector == FisherConfig(block=5, top=30)


def test_a_plain_word_is_a_name_without_settings() -> None:
    spec = parse(FitnessSpec, TREE | {"estimator": "parent", "selector": "random"}, "f.yaml")
    assert (spec.estimator, spec.selector) == (ParentConfig(), RandomConfig())


def test_every_task_without_a_bank_is_told_with_all_other_problems() -> None:
    tasks = {label: {"task": "t", "metric": "acc"} for label in "abc"}
    found = problems_of(tasks=tasks, estimator="eap", batch_size=0)
    assert [problem.partition(":")[2].partition(":")[0] for problem in found] == [" tasks.a", " tasks.b", " batch_size"]


def test_all_problems_come_at_once() -> None:
    estimator = {"name": "parent", "items": 0, "widning": 2}
    assert problems_of(estimator=estimator, selector={"name": "c_optimal", "block": "ten"}, batch_size=0) == [
        'f.yaml: estimator: "widning" is not a known key. Did you mean "widening"?',
        "f.yaml: estimator.items: 0 is below 1. Give 1 or more.",
        "f.yaml: selector.block: ten is not a whole number.",
        "f.yaml: batch_size: 0 is below 1. Give 1 or more.",
    ]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"estimator": {"name": "parents"}}, 'estimator: there is no "parents". Did you mean "parent"?'),
        (
            {"estimator": {"items": 20}},
            f'estimator: "name" is missing. Write {{name: parent, items: 20}}. Allowed: {KNOWN}.',
        ),
        ({"estimator": "parents"}, 'estimator: there is no "parents". Did you mean "parent"?'),
        (
            {"estimator": ["parent"]},
            "estimator: [parent] is neither a name nor a mapping. Write {name: parent, items: 20}.",
        ),
        ({"selector": {"name": "random"}}, "selector: a selector without an estimator. Name both, or neither."),
        ({"racing": "halving it"}, 'racing: there is no racing "halving it". Did you mean "halving"?'),
        ({"racing": {"name": "halving", "keep": 1.5}}, "racing.keep: 1.5 is not below 1. Give less than 1."),
        ({"promotion": 40}, "promotion: 40 items are not more than the estimator's 40. Give more, or leave it out."),
        (
            {"estimator": {"name": "parent", "items": 8}, "racing": {"name": "halving", "first": 8}},
            "racing: the first rung asks 8 items, the estimator no more than 8. Ask fewer first.",
        ),
        ({"rotation": 0}, "rotation: 0 is not above 0. Give more than 0."),
        ({"selector": ["random"]}, "selector: [random] is neither a name nor a mapping. Write {name: c_optimal}."),
        (
            {"estimator": {"name": "mean"}, "selector": {"name": "c_optimal"}},
            'selector: "c_optimal" chooses items by the answers, and "mean" cannot weigh those. '
            "Take random, or leave the selector out.",
        ),
        (
            {"estimator": {"name": "eap"}, "selector": {"name": "random"}},
            'tasks.b: "eap" needs an item bank of every searched task, and this one has none. '
            "Name its file as `bank`; `evomerge calibrate items` fits one.",
        ),
        (
            {"estimator": {"name": "p_irt"}},
            'tasks.b: "p_irt" and "anchors" need an item bank of every searched task, and this one has none. '
            "Name its file as `bank`; `evomerge calibrate items` fits one.",
        ),
    ],
)
def test_what_is_wrong_is_told(given: dict[str, Any], problem: str) -> None:
    assert problems_of(**given) == [f"f.yaml: {problem}"]
