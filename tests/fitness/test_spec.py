import pytest
import yaml

from evomerge.documents import parse, tree_of
from evomerge.errors import ConfigError
from evomerge.fitness import FitnessSpec
from evomerge.fitness.measures import Margin

SHOWN = """
evomerge: fitness/1
include: [zoo/tasks]
tasks:
  math_en: {task: zoo_math_en, metric: acc}
  math_ja: {task: zoo_math_ja, metric: acc, filter: none, num_fewshot: 0}
  form_ja: {task: zoo_form_ja, metric: acc}
objectives:
  japanese: [form_ja]
  math: [math_en]
splits: {search: 0.4, selection: 0.2, test: 0.4, by: [key]}
items: {search: 96, selection: 200, test: 300}
batch_size: 64
max_length: null
apply_chat_template: false
allow_code: false
"""


def problems_of(tree: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(FitnessSpec, tree, "fitness/x.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_document_reads_as_it_is_written() -> None:
    spec = parse(FitnessSpec, yaml.safe_load(SHOWN), "fitness/zoo.yaml")
    assert spec.tasks["math_ja"].filter == "none"
    assert spec.tasks["math_en"].num_fewshot is None
    assert list(spec.objectives) == ["japanese", "math"]
    assert spec.searched == ("math_en", "form_ja")
    assert (spec.splits.by, spec.items.test, spec.max_length) == (("key",), 300, None)


def test_what_is_left_out_has_a_default() -> None:
    spec = parse(
        FitnessSpec,
        {"evomerge": "fitness/1", "tasks": {"a": {"task": "t", "metric": "acc"}}, "objectives": {"o": ["a"]}},
        "f",
    )
    assert (spec.splits.search, spec.splits.selection, spec.splits.test, spec.splits.by) == (0.4, 0.2, 0.4, ())
    assert (spec.items.search, spec.batch_size, spec.allow_code, spec.include) == (None, 64, False, ())


def test_all_problems_come_at_once() -> None:
    tree = yaml.safe_load(SHOWN) | {
        "objectives": {"math": ["math_em", "math_en", "math_en"], "nothing": []},
        "splits": {"search": 0.7, "selection": 0.2, "test": 0.4},
        "items": {"search": 0},
        "batch_sise": 64,
    }
    tree["tasks"]["form_ja"] = {"metric": "acc", "few_shot": 2}
    assert problems_of(tree) == [
        'fitness/x.yaml: "batch_sise" is not a known key. Did you mean "batch_size"?',
        'fitness/x.yaml: tasks.form_ja: "few_shot" is not a known key. Did you mean "num_fewshot"?',
        'fitness/x.yaml: tasks.form_ja: "task" is missing. Add it.',
        'fitness/x.yaml: objectives.math[2]: "math_en" is named twice. Name each task once.',
        "fitness/x.yaml: objectives.nothing: an objective is the mean of at least one task. "
        "Name the labels of its tasks, or remove it.",
        "fitness/x.yaml: splits: the shares sum to 1.3. Together they are at most 1; lower one of them.",
        "fitness/x.yaml: items.search: 0 is below 1. Give 1 or more.",
    ]


def test_an_objective_of_an_unknown_task_is_told_the_nearest_one() -> None:
    tree = yaml.safe_load(SHOWN) | {"objectives": {"math": ["math_em"]}}
    assert problems_of(tree) == [
        'fitness/x.yaml: objectives.math[0]: "math_em" is not one of the tasks. Did you mean "math_en"?'
    ]


@pytest.mark.parametrize("change", [{"tasks": {}}, {"objectives": {}}, {"evomerge": "fitness/2"}])
def test_a_document_without_substance_is_refused(change: dict[str, object]) -> None:
    (problem,) = (text for text in problems_of(yaml.safe_load(SHOWN) | change) if "objectives.math[" not in text)
    assert problem.startswith(f"fitness/x.yaml: {next(iter(change))}")


def test_a_constrained_task_is_asked_in_the_search() -> None:
    tree = yaml.safe_load(SHOWN) | {
        "objectives": {"math": ["math_en"]},
        "constraints": [{"task": "form_ja", "at_least": 0.95, "of": "base"}, {"objective": "math", "at_least": 0.1}],
    }
    assert parse(FitnessSpec, tree, "f").searched == ("math_en", "form_ja")


def test_a_measure_is_a_mapping_and_a_metric_of_lm_eval_a_name() -> None:
    tree = yaml.safe_load(SHOWN)
    tree["tasks"]["math_en"]["metric"] = {"name": "margin", "softness": 1}
    tree["tasks"]["math_ja"]["metric"] = {"name": "agreement", "with": "math"}
    tasks = parse(FitnessSpec, tree, "f").tasks
    assert tasks["math_en"].metric == Margin(softness=1)
    assert [task.metric_name for task in tasks.values()] == ["margin", "agreement", "acc"]
    assert [task.metric_words for task in tasks.values()] == ["soft margin per byte", "agreement with math", "acc"]
    assert [task.agrees_with for task in tasks.values()] == [None, "math", None]
    assert parse(FitnessSpec, tree_of(parse(FitnessSpec, tree, "f")), "f").tasks == tasks


def test_problems_of_goals_and_measures_come_at_once() -> None:
    tree = yaml.safe_load(SHOWN) | {
        "objectives": {
            "one": {"tasks": ["math_em", "math_en"], "weights": [1, 2, 3]},
            "two": {"forgetting": ["form_jp"], "of": "base"},
            "three": {"tasks": ["math_en"], "weights": [0]},
            "four": {"mean": ["math_en"]},
            "five": {"forgetting": ["form_ja"]},
            "six": "math_en",
        },
    }
    tree["tasks"]["math_en"]["metric"] = {"name": "margn"}
    tree["tasks"]["math_ja"]["metric"] = {"name": "margin", "per": "token"}
    tree["tasks"]["form_ja"]["metric"] = {"name": "brevity"}
    forms = "[a, b], {tasks: [a, b], weights: [2, 1]}, {forgetting: [a], of: base} or {cost: parameters}"
    assert problems_of(tree) == [
        'fitness/x.yaml: tasks.math_en.metric: margn is not a measure. Did you mean "margin"?',
        'fitness/x.yaml: tasks.math_ja.metric.per: "token" is not allowed. Allowed: answer, byte, character.',
        'fitness/x.yaml: tasks.form_ja.metric: "half_length" is missing. Add it.',
        "fitness/x.yaml: objectives.three.weights[0]: 0 is not above 0. Give more than 0.",
        f"fitness/x.yaml: objectives.four: {{mean: [math_en]}} is not an objective. Write {forms}.",
        'fitness/x.yaml: objectives.five: "of" is missing. Add it.',
        f"fitness/x.yaml: objectives.six: math_en is not an objective. Write {forms}.",
    ]


def test_goals_name_tasks_and_objectives_that_there_are() -> None:
    tree = yaml.safe_load(SHOWN) | {
        "objectives": {
            "one": {"tasks": ["math_em", "math_en"], "weights": [1, 2, 3]},
            "two": {"forgetting": ["form_jp", "form_ja", "form_ja"], "of": "base"},
        },
    }
    assert problems_of(tree) == [
        'fitness/x.yaml: objectives.one.tasks[0]: "math_em" is not one of the tasks. Did you mean "math_en"?',
        "fitness/x.yaml: objectives.one.weights: 3 weights for 2 tasks. Give one for each, in their order.",
        'fitness/x.yaml: objectives.two.forgetting[0]: "form_jp" is not one of the tasks. Did you mean "form_ja"?',
        'fitness/x.yaml: objectives.two.forgetting[2]: "form_ja" is named twice. Name each task once.',
    ]


def test_problems_of_constraints_come_at_once() -> None:
    constraints = [
        {"task": "math_em", "at_least": 0.5},
        {"objective": "maths", "at_most": 0.5},
        {"task": "math_en", "at_least": 0.5},
    ]
    assert problems_of(yaml.safe_load(SHOWN) | {"constraints": constraints}) == [
        'fitness/x.yaml: constraints[0].task: "math_em" is not one of the tasks. Did you mean "math_en"?',
        'fitness/x.yaml: constraints[1].objective: "maths" is not one of the objectives. Did you mean "math"?',
    ]
    constraints = [
        {"task": "math_en"},
        {"task": "math_en", "objective": "math", "at_least": 0.5},
        {"at_least": 0.5},
        {"task": "math_en", "at_least": 0.5, "at_most": 0.6},
        {"task": "math_en", "at_least": -0.5, "of": "base"},
        {"task": "math_en", "at_least": 95, "of": "base"},
    ]
    assert problems_of(yaml.safe_load(SHOWN) | {"constraints": constraints}) == [
        "fitness/x.yaml: constraints[0]: give either `at_least` or `at_most`.",
        "fitness/x.yaml: constraints[1]: name either a `task` or an `objective`.",
        "fitness/x.yaml: constraints[2]: name either a `task` or an `objective`.",
        "fitness/x.yaml: constraints[3]: give either `at_least` or `at_most`.",
        "fitness/x.yaml: constraints[4]: -0.5 is no share of base's value. Give 0 or more, or leave `of` out.",
        "fitness/x.yaml: constraints[5]: 95 is that many times base's value. Give a share: 0.95 keeps 95 % of it.",
    ]


@pytest.mark.parametrize(
    ("metric", "constraint", "what"),
    [
        (
            "acc",
            {"task": "x", "at_least": 50},
            "at_least: 50 is no value of x, which lies in [0, 1]. Give a number from 0 to 1; 0.5 is 50 %.",
        ),
        (
            {"name": "margin", "softness": 0.1},
            {"objective": "o", "at_most": 1.05},
            "at_most: 1.05 is no value of o, which lies in [0, 1]. "
            "Give a number from 0 to 1; `of` makes it a share of a model's value.",
        ),
        (
            {"name": "brevity", "half_length": 9},
            {"objective": "lost", "at_most": -0.1},
            "at_most: -0.1 is no value of lost, which lies in [0, 1]. "
            "Give a number from 0 to 1; `of` makes it a share of a model's value.",
        ),
        ("exact_match", {"task": "x", "at_least": 1}, None),
        ("word_perplexity", {"task": "x", "at_most": 50}, None),
        ({"name": "margin"}, {"objective": "o", "at_least": -2}, None),
        ("acc", {"objective": "size", "at_most": 1.5}, None),
        ("acc", {"task": "x", "at_least": 1.5, "of": "base"}, None),
    ],
)
def test_a_bound_that_no_score_reaches_is_refused(metric: object, constraint: object, what: str | None) -> None:
    tree = {
        "evomerge": "fitness/1",
        "tasks": {"x": {"task": "t", "metric": metric}},
        "objectives": {"o": ["x"], "lost": {"forgetting": ["x"], "of": "base"}, "size": {"cost": "layers"}},
        "constraints": [constraint],
    }
    if what is None:
        assert len(parse(FitnessSpec, tree, "f").constraints) == 1
    else:
        assert problems_of(tree) == [f"fitness/x.yaml: constraints[0].{what}"]


def test_costs_alone_are_no_fitness() -> None:
    tree = yaml.safe_load(SHOWN) | {"objectives": {"size": {"cost": "parameters"}, "depth": {"cost": "width"}}}
    assert problems_of(tree) == [
        'fitness/x.yaml: objectives.depth.cost: "width" is not allowed. Allowed: layers, parameters.'
    ]
    tree["objectives"]["depth"] = {"cost": "layers"}
    assert problems_of(tree) == [
        "fitness/x.yaml: objectives: nothing is asked of a candidate. Add an objective that is made of tasks."
    ]
    tree["objectives"]["skill"] = ["math_en"]
    spec = parse(FitnessSpec, tree, "f")
    assert (spec.costs, spec.searched) == (("parameters", "layers"), ("math_en",))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"enable_thinking": False}, "it is told to a chat template, and none is used. Set apply_chat_template: true."),
        (
            {"enable_thinking": True, "apply_chat_template": True},
            "thoughts would count as the answer. Say by think_end_token what ends them, such as </think>.",
        ),
    ],
)
def test_thinking_needs_a_chat_and_an_end(given: dict[str, object], expected: str) -> None:
    assert problems_of(yaml.safe_load(SHOWN) | given) == [f"fitness/x.yaml: enable_thinking: {expected}"]
