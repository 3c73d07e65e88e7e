import copy
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lm_eval import evaluator
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import LlamaForCausalLM

from evomerge.errors import CandidateFailed, ConfigError, EvomergeError
from evomerge.fitness.harness import Harness
from evomerge.fitness.loading import load_tasks
from tests.fitness.beside_lm_eval import ITEMS, TASKS, AddTask, MakeSpec, Tokenizer, by_lm_eval, harness, logged


@pytest.mark.parametrize("label", TASKS)
def test_scores_are_those_of_lm_eval(
    label: str, make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    spec = make_spec({label: TASKS[label]}, batch_size=4)
    (scores_I,) = harness(spec, model, tokenizer).score({label: ITEMS}).values()
    expected = logged(by_lm_eval(spec, label, model, tokenizer, ITEMS), spec, label)
    scale = -1 if label == "nats" else 1
    assert (scale * scores_I).tolist() == expected
    assert scores_I.dtype == np.float32
    assert len(set(expected)) > 1  # or nothing is told apart


def test_all_tasks_of_one_document_agree_with_one_call_of_simple_evaluate(
    make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path
) -> None:
    labels = ("choice", "next", "begin")
    spec = make_spec({label: TASKS[label] for label in labels})
    scores = harness(spec, model, tokenizer).score(dict.fromkeys(labels, ITEMS))
    results = evaluator.simple_evaluate(
        HFLM(pretrained=model, tokenizer=tokenizer, batch_size=64),
        tasks=[TASKS[label]["task"] for label in labels],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        samples={TASKS[label]["task"]: ITEMS for label in labels},
        bootstrap_iters=0,
    )
    for label in labels:
        assert scores[label].tolist() == logged(results, spec, label)
        entry = spec.tasks[label]
        printed = results["results"][entry.task][f"{entry.metric},{entry.filter or 'none'}"]
        assert sum(scores[label].tolist()) / len(ITEMS) == printed


@pytest.mark.parametrize("labels", [("choice", "norm"), ("nats", "next"), ("write", "begin")])
def test_two_metrics_of_a_task_are_read_once(
    labels: tuple[str, str], make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    spec = make_spec({label: TASKS[label] for label in labels})
    alone = [harness(spec, model, tokenizer) for _ in labels]
    expected = [ready.score({label: ITEMS})[label].tolist() for label, ready in zip(labels, alone, strict=True)]
    ready = harness(spec, model, tokenizer)
    scores = ready.score(dict.fromkeys(labels, ITEMS))
    assert [scores[label].tolist() for label in labels] == expected
    assert ready.tokens_read == alone[0].tokens_read == alone[1].tokens_read > 0
    once = ready.tokens_read
    ready.score({labels[0]: ITEMS, labels[1]: ITEMS[1:]})  # another batch may have other last bits
    assert ready.tokens_read > 2.5 * once
    model.model.norm.weight.data *= 3
    changed = ready.score(dict.fromkeys(labels, ITEMS))
    fresh = harness(spec, model, tokenizer).score(dict.fromkeys(labels, ITEMS))
    assert [changed[label].tolist() for label in labels] == [fresh[label].tolist() for label in labels]


def test_examples_are_those_of_a_run_over_the_whole_task(
    make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    spec = make_spec({"nats": TASKS["nats"] | {"num_fewshot": 3}})
    ready = harness(spec, model, tokenizer)
    whole = logged(by_lm_eval(spec, "nats", model, tokenizer, None), spec, "nats")
    few, rest = ITEMS[::2], [item for item in range(48) if item not in ITEMS[::2]]
    for items in (few, rest, few):
        scores_I = ready.score({"nats": items})["nats"]
        assert scores_I == pytest.approx([-whole[item] for item in items], rel=1e-5)  # other batches, other last bits
    assert len(set(whole)) == 48


TEXT: dict[str, Any] = {
    "output_type": "loglikelihood_rolling",
    "doc_to_text": "",
    "doc_to_target": "{{question}} {{answer}}{{key}} {{' the quick brown fox jumps'[:gold * 8]}}",  # up to four windows
}


@pytest.mark.parametrize("metric", ["word_perplexity", "byte_perplexity", "bits_per_byte"])
@pytest.mark.parametrize("batching", ["shared", "lm_eval"])
def test_running_texts_are_scored_as_by_lm_eval(
    metric: str,
    batching: str,
    make_spec: MakeSpec,
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    add_task: AddTask,
    tmp_path: Path,
) -> None:
    add_task(tmp_path, "text", **TEXT)
    task = {"task": "text", "metric": metric}
    spec = make_spec({"t": task}, include=[str(tmp_path)], batch_size=3, max_length=12, batching=batching)
    scores_I = harness(spec, model, tokenizer).score({"t": list(range(48))})["t"]
    results = by_lm_eval(spec, "t", model, tokenizer, None)
    odds_I, lengths_I = np.array(logged(results, spec, "t")).T
    unit = -math.log(2) if metric == "bits_per_byte" else -1
    assert scores_I.tolist() == pytest.approx((odds_I / lengths_I / unit).tolist(), rel=1e-6)
    weighted = np.average(scores_I, weights=lengths_I)
    printed = results["results"]["text"][f"{metric},none"]
    assert (weighted if metric == "bits_per_byte" else math.exp(weighted)) == pytest.approx(printed, rel=1e-5)


def test_a_text_without_tokens_is_refused(
    make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer, add_task: AddTask, tmp_path: Path
) -> None:
    add_task(tmp_path, "text", [{"answer": "12"}, {"answer": ""}], **TEXT | {"doc_to_target": "{{answer}}"})
    spec = make_spec({"t": {"task": "text", "metric": "bits_per_byte"}}, include=[str(tmp_path)])
    ready = harness(spec, model, tokenizer)
    assert ready.score({"t": [0]})["t"].shape == (1,)
    with pytest.raises(ConfigError, match=r"tasks\.t: document 1 has no text to read\. Mend the task's data\."):
        ready.score({"t": [0, 1]})


@pytest.mark.parametrize("batching", ["shared", "lm_eval"])
def test_tokens_are_counted_without_padding(
    batching: str, make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer, docs: list[dict[str, Any]]
) -> None:
    spec = make_spec({"next": TASKS["next"], "write": TASKS["write"]}, batching=batching)
    ready = harness(spec, model, tokenizer)
    assert ready.tokens_read == 0
    ready.score({"next": ITEMS, "write": []})
    read = sum(len(docs[item]["question"]) + len(docs[item]["answer"]) - 1 for item in ITEMS)  # a token per character
    assert ready.tokens_read == read
    ready.score({"write": ITEMS})
    prompts = sum(len(docs[item]["question"]) for item in ITEMS)
    assert read + prompts + len(ITEMS) <= ready.tokens_read <= read + prompts + 4 * len(ITEMS)


def test_an_empty_prompt_is_the_prefix_token(
    make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer, add_task: AddTask, tmp_path: Path
) -> None:
    config = {"output_type": "loglikelihood", "doc_to_text": "", "doc_to_target": "{{choices[2]}}{{answer}}"}
    add_task(tmp_path, "bare", metric_list=[{"metric": "perplexity"}], **config)
    add_task(tmp_path, "marked", metric_list=[{"metric": "perplexity"}], **config | {"doc_to_target": "<s>{{answer}}"})
    tasks = {name: {"task": name, "metric": "perplexity"} for name in ("bare", "marked")}
    spec = make_spec(tasks, include=[str(tmp_path)])
    scores = harness(spec, model, tokenizer).score({"bare": ITEMS, "marked": ITEMS})
    for label in tasks:
        assert (-scores[label]).tolist() == logged(by_lm_eval(spec, label, model, tokenizer, ITEMS), spec, label)


def test_weights_may_change_between_calls(
    make_spec: MakeSpec, make_model: Callable[[int], LlamaForCausalLM], model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    labels = ("nats", "write", "norm")
    spec = make_spec({label: TASKS[label] for label in labels})
    items = dict.fromkeys(labels, ITEMS)
    other = make_model(1)
    ready, expected = harness(spec, model, tokenizer), harness(spec, other, tokenizer).score(items)
    first = ready.score(items)
    original = copy.deepcopy(model.state_dict())
    model.load_state_dict(other.state_dict())
    second = ready.score(items)
    model.load_state_dict(original)
    third = ready.score(items)
    for label in labels:
        assert second[label].tolist() == expected[label].tolist() != first[label].tolist()
        assert third[label].tolist() == first[label].tolist()


def test_order_of_asking_does_not_matter_and_nothing_is_nothing(
    make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    spec = make_spec({"choice": TASKS["choice"], "write": TASKS["write"]})
    ready = harness(spec, model, tokenizer)
    late = ready.score({"choice": [40, 41], "write": []})
    ready.score({"choice": [2, 3, 40]})
    assert ready.score({"choice": [40, 41]})["choice"].tolist() == late["choice"].tolist()
    assert (late["write"].shape, late["write"].dtype) == ((0,), np.float32)


def test_nothing_is_drawn_and_nothing_is_printed(
    make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer, capfd: pytest.CaptureFixture[str]
) -> None:
    def states() -> list[object]:
        return [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]

    before = states()
    spec = make_spec({"nats": TASKS["nats"] | {"num_fewshot": 2}, "write": TASKS["write"]})
    ready = harness(spec, model, tokenizer)
    ready.score({"nats": ITEMS, "write": ITEMS})
    assert states() == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("label", ["choice", "write"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_a_failure(
    label: str, value: float, make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    ready = harness(make_spec({label: TASKS[label]}), model, tokenizer)
    assert np.isfinite(ready.score({label: ITEMS})[label]).all()
    with torch.no_grad():
        model.model.norm.weight[3] = value
    with pytest.raises(CandidateFailed, match="logits are not finite"):
        ready.score({label: ITEMS})


@pytest.mark.parametrize("items", [[3, 2], [2, 2]])
def test_items_come_in_order(
    items: list[int], make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    ready = harness(make_spec({"next": TASKS["next"]}), model, tokenizer)
    with pytest.raises(EvomergeError, match="Items of task next must be ascending and unique"):
        ready.score({"next": items})


def test_what_the_model_cannot_read_is_refused(
    make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer, add_task: AddTask, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        harness(make_spec({"write": TASKS["write"]}, max_length=4), model, tokenizer)
    assert str(caught.value) == (
        "tasks.write: answers may have 4 tokens, but the model reads 4 with the prompt. "
        "Lower its generation.max_gen_toks, or raise max_length."
    )
    rows = [{"question": "1", "answer": "1234"}, {"question": "2", "answer": "12345"}, {"question": "3", "answer": ""}]
    add_task(tmp_path, "long", rows, output_type="loglikelihood", doc_to_target="{{answer}}")
    spec = make_spec({"long": {"task": "long", "metric": "acc"}}, include=[str(tmp_path)], max_length=4)
    ready = harness(spec, model, tokenizer)
    assert len(ready.score({"long": [0]})["long"]) == 1
    for item, length in ((1, 5), (2, 0)):
        with pytest.raises(ConfigError) as caught:
            ready.score({"long": [item]})
        assert str(caught.value) == (
            f"tasks.long: document {item} has an answer of {length} tokens. One that can be scored has 1 to 4. "
            "Mend the task's data."
        )


def test_long_prompts_are_cut_as_in_lm_eval_and_the_user_is_told(
    make_spec: MakeSpec,
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    docs: list[dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    spec = make_spec({"nats": TASKS["nats"]}, max_length=6)
    num_long = sum(len(docs[item]["question"] + docs[item]["answer"]) > 7 for item in ITEMS)  # a token per character
    ready = harness(spec, model, tokenizer)
    caplog.clear()
    scores_I = ready.score({"nats": ITEMS})["nats"]
    assert [record.getMessage() for record in caplog.records] == [
        f"tasks.nats: {num_long} of 11 prompts are longer than 6 tokens and lose their beginning, as in lm-eval."
    ]
    assert (-scores_I).tolist() == logged(by_lm_eval(spec, "nats", model, tokenizer, ITEMS), spec, "nats")
    caplog.clear()
    ready.score({"nats": ITEMS})
    assert not caplog.records
    assert num_long > 0


JUDGE = """
def judge(doc, results):
    number = int(doc["key"].split()[1])
    if number == 0:
        return {"odd": 1}
    return {1: {}, 2: {"odd": float("nan")}}.get(number, {"odd": number % 2})
"""


def test_a_metric_must_be_there_and_finite(
    make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer, add_task: AddTask, tmp_path: Path
) -> None:
    metrics = [{"metric": "odd", "aggregation": "mean", "higher_is_better": False}]
    add_task(tmp_path, "judged", output_type="loglikelihood", doc_to_target="{{answer}}", metric_list=metrics)
    with (tmp_path / "judged.yaml").open("a") as file:
        file.write("process_results: !function own.judge\n")
    (tmp_path / "own.py").write_text(JUDGE)
    spec = make_spec({"t": {"task": "judged", "metric": "odd"}}, include=[str(tmp_path)], allow_code=True)
    tasks = load_tasks(spec, "fit.yaml")
    assert tasks["t"].higher_is_better is False
    ready = Harness(tasks, spec, model, tokenizer)
    assert ready.score({"t": [0, 3, 4]})["t"].tolist() == [1, 1, 0]
    with pytest.raises(EvomergeError, match="Task t: lm-eval gave a document no value of odd"):
        ready.score({"t": [0, 1]})
    with pytest.raises(CandidateFailed, match=r"task t: the scores \(odd\) are not finite"):
        ready.score({"t": [0, 2]})


@pytest.mark.gpu
def test_a_gpu_gives_the_scores_of_lm_eval_there(
    make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    labels = ("choice", "next", "write")
    spec = make_spec({label: TASKS[label] for label in labels})
    model.to("cuda")
    scores = harness(spec, model, tokenizer).score(dict.fromkeys(labels, ITEMS))
    for label in labels:
        assert scores[label].tolist() == logged(by_lm_eval(spec, label, model, tokenizer, ITEMS), spec, label)
