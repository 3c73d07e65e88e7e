"""The lm-eval tasks, with lm-eval itself reading them."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from evomerge.checkpoints.zoo import FULL, MICRO
from evomerge.checkpoints.zoo.skills import Item, may_train_on
from evomerge.checkpoints.zoo.stories import draw_sum
from evomerge.checkpoints.zoo.tasks import ASKED, WRONG, task_files
from evomerge.checkpoints.zoo.tokenizer import vocabulary
from evomerge.checkpoints.zoo.training import _encoded


def rows(zoo: Path, task: str) -> list[dict]:
    return [json.loads(line) for line in (zoo / "tasks" / "data" / f"{task}.jsonl").read_text().splitlines()]


def test_every_asked_skill_has_its_forms(micro_zoo: Path) -> None:
    forms = {f"zoo_{skill}{suffix}" for skill in ASKED for suffix in ("", *(("_gen", "_mc") if skill in WRONG else ()))}
    assert {path.stem for path in (micro_zoo / "tasks").glob("*.yaml")} == forms
    for path in (micro_zoo / "tasks").glob("*.yaml"):
        tree = yaml.safe_load(path.read_text())
        assert tree["task"] == path.stem
        assert Path(tree["dataset_kwargs"]["data_files"]["test"]).is_absolute()


def test_items_are_unique_in_a_task_and_outside_the_training_share() -> None:
    files = task_files(Path("/nowhere"), FULL)
    for skill in ASKED:
        keys = [json.loads(line)["key"] for line in files[Path(f"/nowhere/data/zoo_{skill}.jsonl")].splitlines()]
        assert len(set(keys)) == len(keys) == 1000
        assert not any(may_train_on(key) for key in keys)


def test_the_word_problems_of_both_languages_are_about_the_same_sums(micro_zoo: Path) -> None:
    english, japanese, formulas = (rows(micro_zoo, f"zoo_{skill}") for skill in ("math_en", "math_ja", "form_ja"))
    assert [row["key"] for row in english] == [row["key"] for row in japanese] == [row["key"] for row in formulas]
    assert [row["answer"] for row in english] == [row["answer"] for row in japanese]


@pytest.mark.parametrize("skill", WRONG)
def test_the_gold_choice_is_the_answer(micro_zoo: Path, skill: str) -> None:
    golds = set()
    for row in rows(micro_zoo, f"zoo_{skill}"):
        assert row["choices"][row["gold"]] == row["answer"]
        golds.add(row["gold"])
    assert golds == {0, 1, 2, 3}


@pytest.mark.parametrize("skill", WRONG)
@given(rng=st.randoms(use_true_random=False))
def test_wrong_choices_are_three_and_look_like_the_answer(skill: str, rng: random.Random) -> None:
    asked = draw_sum(rng)
    answer = asked.formula if skill == "form_ja" else asked.solution
    choices = {answer, *WRONG[skill](asked, rng)}
    assert len(choices) == 4
    assert {len(choice) for choice in choices} == {len(answer)}


@pytest.fixture(scope="module")
def lm_eval_sees(micro_zoo: Path):
    """The stock model class and tasks of lm-eval, as its command makes them."""
    model = HFLM(pretrained=str(micro_zoo / "math"), dtype="float32", device="cpu", batch_size=16)
    manager = TaskManager(include_path=str(micro_zoo / "tasks"), include_defaults=False)
    return model, manager.load(["zoo_math_ja", "zoo_math_ja_gen", "zoo_math_ja_mc"])["tasks"]


def test_lm_eval_scores_the_very_tokens_that_are_trained(lm_eval_sees) -> None:
    model, tasks = lm_eval_sees
    task = tasks["zoo_math_ja"]
    for row in task.test_docs():
        (request,) = [task.construct_requests(row, task.doc_to_text(row), metadata=("zoo_math_ja", 0, 1))]
        context, continuation = model._encode_pair(*request.args)
        tokens, weights = _encoded(Item(row["key"], row["prompt"], row["answer"]), vocabulary(), 0.0)
        assert context + continuation == tokens
        assert len(continuation) == sum(weights)


def test_lm_eval_prompts_generation_with_the_trained_prefix(lm_eval_sees) -> None:
    model, tasks = lm_eval_sees
    task = tasks["zoo_math_ja_gen"]
    docs = list(task.test_docs())
    ids, mask = model.tok_batch_encode([task.doc_to_text(row) for row in docs])
    for row, tokens, attended in zip(docs, ids, mask, strict=True):
        expected, _ = _encoded(Item(row["key"], row["prompt"], ""), vocabulary(), 0.0)
        assert tokens[attended.bool()].tolist() == expected[:-1]
        assert task.doc_to_target(row) == row["answer"]


def test_lm_eval_offers_the_choices(lm_eval_sees) -> None:
    _, tasks = lm_eval_sees
    task = tasks["zoo_math_ja_mc"]
    for row in task.test_docs():
        requests = task.construct_requests(row, task.doc_to_text(row), metadata=("zoo_math_ja_mc", 0, 1))
        assert [request.args[1] for request in requests] == [f" {choice}" for choice in row["choices"]]
        assert task.doc_to_target(row) == row["gold"]


def test_tasks_depend_on_the_seed_but_not_on_the_sizes() -> None:
    here = Path("/nowhere")
    assert task_files(here, MICRO) == task_files(here, replace(MICRO, hidden_size=64))
    assert task_files(here, MICRO) != task_files(here, replace(MICRO, seed=1))
