import pytest
import yaml

from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.fitness import FitnessSpec

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
