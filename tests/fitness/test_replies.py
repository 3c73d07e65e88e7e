"""Measures on the answers of a real model, beside lm-eval's own metrics of the same answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from evomerge.errors import ConfigError
from evomerge.fitness import FitnessSpec, Harness, load_tasks

MakeSpec = Callable[..., FitnessSpec]
AddTask = Callable[..., None]
CHOICE = {"task": "toy_choice", "metric": "acc"}
WRITE = {"task": "toy_write", "metric": "exact_match", "filter": "whole"}
LIKE = {"name": "agreement", "with": "math", "per": "answer"}
ITEMS = list(range(48))


@pytest.fixture
def score(
    make_spec: MakeSpec, make_model: Callable[[int], LlamaForCausalLM], tokenizer: PreTrainedTokenizerFast
) -> Callable[..., dict[str, list[float]]]:
    """Scores of the items on tasks by label, of the model that a seed gives."""

    def run(seed: int = 0, include: Path | None = None, **tasks: dict[str, Any]) -> dict[str, list[float]]:
        spec = make_spec(tasks, **({"include": [str(include)]} if include else {}))
        harness = Harness(load_tasks(spec, "fit.yaml"), spec, make_model(seed), tokenizer)
        return {label: scores_I.tolist() for label, scores_I in harness.score(dict.fromkeys(tasks, ITEMS)).items()}

    return run


@pytest.mark.parametrize(("metric", "per"), [("acc", "answer"), ("acc_norm", "character"), ("acc_norm", "byte")])
def test_a_margin_is_above_zero_where_lm_eval_counts_an_answer_as_right(
    score: Callable[..., dict[str, list[float]]], metric: str, per: str
) -> None:
    margin = {"name": "margin", "per": per}
    scores = score(acc=CHOICE | {"metric": metric}, margin=CHOICE | {"metric": margin}, soft=CHOICE | {
        "metric": margin | {"softness": 0.5}
    })  # fmt: skip
    assert [float(one > 0) for one in scores["margin"]] == scores["acc"]
    assert 0 < sum(scores["acc"]) < len(ITEMS)
    assert scores["soft"] == pytest.approx(1 / (1 + np.exp(-2 * np.array(scores["margin"]))), abs=1e-6)


def test_the_right_choice_may_be_a_text_or_among_several(
    score: Callable[..., dict[str, list[float]]], add_task: AddTask, docs: list[dict[str, Any]], tmp_path: Path
) -> None:
    rows = [row | {"text": row["choices"][row["gold"]], "golds": [row["gold"], 3, 9]} for row in docs]
    shared = {"output_type": "multiple_choice", "doc_to_choice": "{{choices}}"}
    for name, target in (("number", "gold"), ("words", "text"), ("several", "golds")):
        add_task(tmp_path, name, rows, doc_to_target=target, **shared)
    measured = {name: {"task": name, "metric": {"name": "margin"}} for name in ("number", "words", "several")}
    scores = score(include=tmp_path, **measured)
    assert scores["words"] == scores["number"]
    gold_I = np.array([row["gold"] for row in docs])
    assert (np.array(scores["several"]) >= scores["number"]).all()
    assert np.array(scores["several"])[gold_I == 3].tolist() == np.array(scores["number"])[gold_I == 3].tolist()


def test_choices_may_be_the_prompts(score: Callable[..., dict[str, list[float]]]) -> None:
    blank = {"task": "toy_blank", "metric": "acc"}
    scores = score(acc=blank, margin=blank | {"metric": {"name": "margin", "per": "answer"}})
    assert [float(one > 0) for one in scores["margin"]] == scores["acc"]


def test_brevity_and_language_read_the_whole_answer_and_agreement_what_the_filter_took(
    score: Callable[..., dict[str, list[float]]],
) -> None:
    begin = WRITE | {"filter": "first"}
    scores = score(
        right=begin,
        whole=WRITE | {"metric": {"name": "brevity", "half_length": 4}},
        begin=begin | {"metric": {"name": "brevity", "half_length": 4}},
        latin=begin | {"metric": {"name": "language", "scripts": ["Latin"]}},
        like_whole=WRITE | {"metric": LIKE},
        like_begin=begin | {"metric": LIKE},
    )
    assert scores["whole"] == scores["begin"]
    assert set(scores["whole"]) <= {np.float32(4 / (4 + length)).item() for length in range(5)}
    assert all(0 <= share <= 1 for share in scores["latin"])
    assert len(set(scores["latin"])) > 1
    assert scores["like_whole"] != scores["like_begin"]
    assert len(set(scores["like_whole"])) > 20


def test_answers_agree_with_themselves_and_differ_between_models(
    score: Callable[..., dict[str, list[float]]],
) -> None:
    asked = {"choice": CHOICE | {"metric": LIKE}, "write": WRITE | {"metric": LIKE}}
    one, again, other = score(**asked), score(**asked), score(seed=1, **asked)
    assert one == again
    assert all(one[label] != other[label] for label in asked)
    assert set(one["choice"]) <= {0, 1, 2, 3}


def test_a_fingerprint_has_the_measure_and_its_settings(make_spec: MakeSpec) -> None:
    metrics: list[Any] = ["acc", {"name": "margin"}, {"name": "margin", "per": "answer"}]
    metrics += [{"name": "margin", "softness": 1}, LIKE]
    spec = make_spec({f"t{index}": CHOICE | {"metric": metric} for index, metric in enumerate(metrics)})
    assert len({task.fingerprint for task in load_tasks(spec, "f").values()}) == len(metrics)
    tasks = load_tasks(
        make_spec({"a": CHOICE | {"metric": {"name": "margin"}}, "b": CHOICE | {"metric": metrics[1]}}), "f"
    )
    assert tasks["a"].fingerprint == tasks["b"].fingerprint


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            WRITE | {"metric": {"name": "margin"}},
            "tasks.t.metric: margin is measured on tasks of multiple_choice, and toy_write is one of generate_until. "
            "Choose another task or measure.",
        ),
        (
            {"task": "toy_next", "metric": LIKE},
            "tasks.t.metric: agreement is measured on tasks of multiple_choice or generate_until, and toy_next is one "
            "of loglikelihood. Choose another task or measure.",
        ),
        (
            CHOICE | {"metric": "margin"},
            "tasks.t.metric: toy_choice has no metric of that name. For evomerge's measure write {name: margin}.",
        ),
    ],
)
def test_a_measure_that_a_task_does_not_suit(make_spec: MakeSpec, entry: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_tasks(make_spec({"t": entry}), "fit.yaml")
    assert str(caught.value) == f"fit.yaml: {expected}"


def test_a_document_without_a_right_choice_is_named(
    score: Callable[..., dict[str, list[float]]], add_task: AddTask, docs: list[dict[str, Any]], tmp_path: Path
) -> None:
    rows = [row | {"gold": 9 if index == 5 else 0} for index, row in enumerate(docs)]
    given = {"output_type": "multiple_choice", "doc_to_choice": "{{choices}}", "doc_to_target": "gold"}
    add_task(tmp_path, "odd", rows, **given)
    with pytest.raises(ConfigError) as caught:
        score(include=tmp_path, t={"task": "odd", "metric": {"name": "margin"}})
    assert str(caught.value).startswith("tasks.t: document 5: 0 of 4 choices are right.")
