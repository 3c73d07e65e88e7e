import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.errors import ConfigError
from evomerge.fitness.loading import load_tasks
from evomerge.fitness.spec import FitnessSpec

MakeSpec = Callable[..., FitnessSpec]
AddTask = Callable[..., None]
CHOICE = {"task": "toy_choice", "metric": "acc"}


def problems_of(spec: FitnessSpec) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_tasks(spec, "fit.yaml")
    return [str(problem) for problem in caught.value.problems]


def problem_of(make_spec: MakeSpec, task: dict[str, Any], **given: Any) -> str:
    (problem,) = problems_of(make_spec({"t": task}, **given))
    return problem


def test_tasks_come_ready(make_spec: MakeSpec, docs: list[dict[str, Any]]) -> None:
    tasks = load_tasks(
        make_spec(
            {
                "norm": CHOICE | {"metric": "acc_norm"},
                "next": {"task": "toy_next", "metric": "acc"},
                "nats": {"task": "toy_next", "metric": "perplexity"},
                "write": {"task": "toy_write", "metric": "exact_match", "filter": "first"},
            }
        ),
        "fit.yaml",
    )
    assert list(tasks) == ["norm", "next", "nats", "write"]
    assert tasks["norm"].documents == docs
    assert [tasks[label].filter for label in tasks] == ["none", "none", "none", "first"]
    assert [tasks[label].higher_is_better for label in tasks] == [True, True, False, True]
    assert [tasks[label].scale for label in tasks] == [1, 1, -1, 1]


@pytest.mark.parametrize(
    ("metric", "scale"), [("word_perplexity", -1), ("byte_perplexity", -1), ("bits_per_byte", -1 / math.log(2))]
)
def test_running_texts_have_a_score_each(
    make_spec: MakeSpec, add_task: AddTask, tmp_path: Path, metric: str, scale: float
) -> None:
    config = {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{answer}}"}
    add_task(tmp_path, "text", **config)
    spec = make_spec({"t": {"task": "text", "metric": metric}}, include=[str(tmp_path)])
    task = load_tasks(spec, "fit.yaml")["t"]
    assert (task.higher_is_better, task.scale) == (False, scale)
    entry = {"task": "text", "metric": "perplexity"}
    assert problem_of(make_spec, entry, include=[str(tmp_path)]) == (
        'fit.yaml: tasks.t.metric: "perplexity" is not a metric of text. Did you mean "word_perplexity"?'
    )


def test_a_fingerprint_changes_with_what_a_response_depends_on(
    make_spec: MakeSpec, add_task: AddTask, tmp_path: Path
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder in (here, elsewhere):
        folder.mkdir()
        add_task(folder, "plain", output_type="loglikelihood", doc_to_target="{{answer}}")
    entry = {"task": "plain", "metric": "acc"}

    def fingerprint(task: dict[str, Any] = entry, folder: Path = here, **given: Any) -> str:
        return load_tasks(make_spec({"t": task}, include=[str(folder)], **given), "fit.yaml")["t"].fingerprint

    first = fingerprint()
    assert first == fingerprint(batch_size=3) == fingerprint(folder=elsewhere)
    changed = [fingerprint(entry | {"metric": "perplexity"}), fingerprint(entry | {"num_fewshot": 1})]
    changed += [fingerprint(max_length=50), fingerprint(apply_chat_template=True)]
    changed += [fingerprint(system_instruction="be brief"), fingerprint(think_end_token="</think>")]
    (here / "plain.yaml").write_text((here / "plain.yaml").read_text().replace("question}}", "question}}!"))
    changed.append(fingerprint())
    assert len({first, *changed}) == 8


def test_only_tasks_that_write_take_words_on_writing(make_spec: MakeSpec) -> None:
    what = "toy_choice compares given answers, the model writes none. Leave the key out, or choose another task."
    assert (
        problem_of(make_spec, CHOICE | {"generation": {"max_gen_toks": 9}}) == f"fit.yaml: tasks.t.generation: {what}"
    )
    thinking = {"apply_chat_template": True, "enable_thinking": True, "think_end_token": "</think>"}
    assert problem_of(make_spec, CHOICE, **thinking) == f"fit.yaml: enable_thinking: {what}"


def test_unknown_tasks_are_told_the_nearest_and_shipped_ones_need_their_data(make_spec: MakeSpec) -> None:
    typo, group, distant, absent = problems_of(
        make_spec(
            {
                "typo": CHOICE | {"task": "toy_choise"},
                "group": CHOICE | {"task": "arc_eazy"},
                "distant": CHOICE | {"task": "/etc/passwd"},
                "absent": CHOICE | {"task": "arc_easy"},
            }
        )
    )
    assert typo.startswith('fit.yaml: tasks.typo.task: there is no lm-eval task "toy_choise". Did you mean toy_choice')
    assert "Did you mean arc_easy" in group
    assert "Your folders have: toy_blank, toy_choice, toy_next, toy_write. A group is named by its tasks." in distant
    assert absent.startswith("fit.yaml: tasks.absent.task: lm-eval cannot use ")
    assert "arc_easy.yaml" in absent
    assert absent.endswith("Mend the file, or fetch its data first.")


def test_a_file_that_is_not_yaml_is_named(make_spec: MakeSpec, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("task: [own\n", encoding="utf-8")
    problem = problem_of(make_spec, {"task": "own", "metric": "acc"}, include=[str(tmp_path)])
    assert problem.endswith(f"goes to `include`. {tmp_path}/bad.yaml is not YAML and was left out.")


def test_a_folder_that_is_not_there(make_spec: MakeSpec, tmp_path: Path) -> None:
    problem = problem_of(make_spec, CHOICE, include=[str(tmp_path / "gone")])
    assert problem.startswith(f"fit.yaml: include[0]: there is no folder {tmp_path}/gone. Check the path")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            CHOICE | {"metric": "ac"},
            'tasks.t.metric: "ac" is not a metric of toy_choice. Did you mean "acc"?',
        ),
        (
            CHOICE | {"metric": "bleu"},
            'tasks.t.metric: "bleu" is not a metric of toy_choice. Allowed: acc, acc_mutual_info, acc_norm.',
        ),
        (
            CHOICE | {"metric": "brier_score"},
            "tasks.t.metric: lm-eval does not average brier_score over items, so no item has a score of its own. "
            "Metrics of toy_choice that do: acc, acc_norm, acc_mutual_info.",
        ),
        (
            CHOICE | {"filter": "strict"},
            'tasks.t.filter: "strict" is not a filter of toy_choice. Allowed: none.',
        ),
        (
            {"task": "toy_write", "metric": "exact_match"},
            "tasks.t: toy_write has several filters. Choose one by `filter`: whole, first.",
        ),
        (
            CHOICE | {"num_fewshot": 48},
            "tasks.t.num_fewshot: toy_choice has 48 documents to take examples from. Ask for fewer than that.",
        ),
    ],
)
def test_what_the_task_does_not_have(make_spec: MakeSpec, entry: dict[str, Any], expected: str) -> None:
    assert problem_of(make_spec, entry) == f"fit.yaml: {expected}"


@pytest.mark.parametrize(
    ("config", "metric", "expected"),
    [
        (
            {
                "output_type": "generate_until",
                "doc_to_target": "x",
                "generation_kwargs": {"do_sample": True, "until": []},
            },
            "exact_match",
            "t.task: odd draws answers at random, which no run could repeat. Set generation: {do_sample: false}.",
        ),
        (
            {
                "output_type": "generate_until",
                "doc_to_target": "x",
                "generation_kwargs": {"temperature": 0.5, "until": []},
            },
            "exact_match",
            "t.task: odd draws answers at random, which no run could repeat. Set generation: {do_sample: false}.",
        ),
        (
            {"output_type": "generate_until", "doc_to_target": "x", "unsafe_code": True},
            "exact_match",
            "t.task: odd runs what the model writes. If that is safe on this machine, set allow_code: true.",
        ),
        (
            {"output_type": "loglikelihood", "doc_to_target": "{{answer}}", "doc_to_image": "question"},
            "acc",
            "t.task: odd shows images or sound. Choose a task of text.",
        ),
        (
            {"output_type": "loglikelihood", "doc_to_target": "{{answer}}", "num_fewshot": 0},
            "acc",
            "t.num_fewshot: odd is never shown with examples (its file says num_fewshot: 0). Leave the key out.",
        ),
        (
            {
                "output_type": "multiple_choice",
                "doc_to_choice": "{{choices}}",
                "doc_to_target": "gold",
                "metric_list": [{"metric": "brier_score", "aggregation": "brier_score", "higher_is_better": False}],
            },
            "brier_score",
            "t.metric: lm-eval does not average brier_score over items, so no item has a score of its own. "
            "Metrics of odd that do: none; choose another task.",
        ),
        (
            {
                "output_type": "multiple_choice",
                "doc_to_choice": "{{choices}}",
                "doc_to_target": "gold",
                "metric_list": [{"metric": "brier_score", "aggregation": "brier_score", "higher_is_better": False}],
            },
            "acc",
            't.metric: "acc" is not a metric of odd. It has none with a score per item; choose another task.',
        ),
    ],
)
def test_tasks_that_cannot_be_scored(
    make_spec: MakeSpec, add_task: AddTask, tmp_path: Path, config: dict[str, Any], metric: str, expected: str
) -> None:
    add_task(tmp_path, "odd", **config)
    entry = {"task": "odd", "metric": metric} | ({"num_fewshot": 2} if "num_fewshot" in config else {})
    assert problem_of(make_spec, entry, include=[str(tmp_path)]) == f"fit.yaml: tasks.{expected}"


def test_a_document_settles_how_answers_are_written(make_spec: MakeSpec, add_task: AddTask, tmp_path: Path) -> None:
    sampling = {"output_type": "generate_until", "generation_kwargs": {"until": ["?"], "do_sample": True}}
    add_task(tmp_path, "odd", doc_to_target="{{answer}}", **sampling)
    entry = {"task": "odd", "metric": "exact_match", "generation": {"do_sample": False, "max_gen_toks": 9}}
    task = load_tasks(make_spec({"t": entry}, include=[str(tmp_path)]), "fit.yaml")["t"].task
    assert task.config.generation_kwargs == {"until": ["?"], "do_sample": False, "max_gen_toks": 9}


def test_a_file_that_says_nonsense_is_named(make_spec: MakeSpec, add_task: AddTask, tmp_path: Path) -> None:
    add_task(tmp_path, "odd", output_type="loglikelihood", doc_to_target="{{no_such_field}}")
    problem = problem_of(make_spec, {"task": "odd", "metric": "acc"}, include=[str(tmp_path)])
    assert problem.startswith(f"fit.yaml: tasks.t.task: lm-eval cannot use {tmp_path}/odd.yaml: UndefinedError:")


CODE = """
import random
import numpy as np

def _mixed(doc):
    random.shuffle(doc["choices"])
    np.random.random()
    return doc

def mixed(dataset):
    return dataset.map(_mixed)
"""


@pytest.fixture
def coded(add_task: AddTask, tmp_path: Path) -> Path:
    add_task(tmp_path, "odd", output_type="loglikelihood", doc_to_target="{{answer}}")
    with (tmp_path / "odd.yaml").open("a") as file:
        file.write("process_docs: !function own.mixed\n")
    (tmp_path / "own.py").write_text(CODE)
    return tmp_path


def test_code_is_refused_unless_allowed(make_spec: MakeSpec, coded: Path) -> None:
    problem = problem_of(make_spec, {"task": "odd", "metric": "acc"}, include=[str(coded)])
    assert problem == (
        f"fit.yaml: tasks.t.task: the task runs code of its own ({coded}/odd.yaml:14: !function own.mixed). "
        "If you trust it, set allow_code: true."
    )


def test_allowed_code_finds_the_generators_of_the_command_and_leaves_ours_alone(
    make_spec: MakeSpec, coded: Path, docs: list[dict[str, Any]]
) -> None:
    spec = make_spec({"t": {"task": "odd", "metric": "acc"}}, include=[str(coded)], allow_code=True)
    before = random.getstate(), np.random.get_state()[1].tolist()
    first, second = (load_tasks(spec, "fit.yaml")["t"].documents for _ in range(2))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert first == second
    generator = random.Random(0)
    for doc, plain in zip(first, docs, strict=True):
        expected = list(plain["choices"])
        generator.shuffle(expected)
        assert doc["choices"] == expected
