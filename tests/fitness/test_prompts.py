"""How prompts are written and read: what they share is read once, and chats are those of the lm_eval command."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from evomerge.errors import CandidateFailed, ConfigError
from tests.fitness.beside_lm_eval import ITEMS, TASKS, AddTask, MakeSpec, Tokenizer, by_lm_eval, harness, logged
from tests.fitness.conftest import BASICS

SHOTS: dict[str, Any] = {"num_fewshot": 9, "fewshot_config": {"sampler": "first_n"}}  # the same for all questions
LATER = list(range(12, 44))


@pytest.fixture(scope="module")
def shots(add_task: AddTask, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of tasks whose questions all begin with the same examples."""
    folder = tmp_path_factory.mktemp("shots")
    for name, config in BASICS.items():
        if name != "toy_write":
            add_task(folder, f"{name}_shots", **config | SHOTS)
    return str(folder)


@pytest.mark.parametrize("label", ["choice", "norm", "mutual", "blank", "next", "nats"])
def test_shared_prompts_give_the_scores_of_lm_eval_from_fewer_tokens(
    label: str, make_spec: MakeSpec, make_model: Callable[..., LlamaForCausalLM], tokenizer: Tokenizer, shots: str
) -> None:
    model = make_model(0)
    task = TASKS[label] | {"task": f"{TASKS[label]['task']}_shots", "num_fewshot": 9}
    spec = make_spec({label: task}, include=[shots], max_length=120)
    shared, exact = (harness(s, model, tokenizer) for s in (spec, spec.model_copy(update={"batching": "lm_eval"})))
    expected = logged(by_lm_eval(spec, label, model, tokenizer, LATER), spec, label)
    scale = -1 if label == "nats" else 1
    assert (scale * exact.score({label: LATER})[label]).tolist() == expected
    scores_I = scale * shared.score({label: LATER})[label]
    assert scores_I.tolist() == (pytest.approx(expected, rel=1e-5) if label == "nats" else expected)
    assert len(set(expected)) > 1 or label == "next"  # behind so many examples no sum is right
    first = shared.tokens_read
    for block in (LATER[:11], LATER[11:]):
        start = LATER.index(block[0])
        again = scale * shared.score({label: block})[label]
        assert again.tolist() == pytest.approx(scores_I[start : start + len(block)].tolist(), rel=1e-5)
    assert 3 * (shared.tokens_read - first) < exact.tokens_read


def test_short_prompts_are_not_written_to_find_out_whether_to_share(
    make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    calls: list[int] = []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    harness(make_spec({"write": TASKS["write"]}), model, tokenizer)
    assert not calls


@pytest.mark.parametrize("label", ["nats", "write"])
def test_no_candidate_decides_how_those_after_it_are_read(
    label: str, make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer, add_task: AddTask, tmp_path: Path
) -> None:
    """Whoever is scored first, and with whatever trouble, a candidate's scores are the same to the last bit."""
    name = str(TASKS[label]["task"])
    add_task(tmp_path, "shots", **BASICS[name] | SHOTS)
    spec = make_spec({label: TASKS[label] | {"task": "shots", "num_fewshot": 9}}, include=[str(tmp_path)])
    weight = model.model.norm.weight

    def spoil(module: torch.nn.Module, args: Any, options: dict[str, Any], output: Any) -> None:
        past = options.get("past_key_values")
        if weight[0] > 1.5 and past is not None and past.get_seq_length() > output.logits.shape[1]:
            output.logits[..., 5:9] += 50  # one candidate is at odds with what is kept of its prefix

    model.register_forward_hook(spoil, with_kwargs=True)

    def outcomes(marks: list[float]) -> dict[float, tuple[list[float], int]]:
        weight.data[0] = 1.0
        ready, found = harness(spec, model, tokenizer), {}
        for mark in marks:
            weight.data[0] = mark
            before = ready.tokens_read
            found[mark] = (ready.score({label: LATER})[label].tolist(), ready.tokens_read - before)
        return found

    assert outcomes([1.0, 1.25, 2.0]) == outcomes([2.0, 1.25, 1.0])


def test_what_is_not_a_number_in_the_examples_only_is_a_failure(
    make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer, add_task: AddTask, tmp_path: Path
) -> None:
    add_task(tmp_path, "described", **BASICS["toy_choice"] | {"description": "z" * 60})
    spec = make_spec({"t": {"task": "described", "metric": "acc"}}, include=[str(tmp_path)])
    ready = harness(spec, model, tokenizer)
    ready.score({"t": ITEMS})
    assert ready.tokens_read < 60 * len(ITEMS)  # the description is read once, and again to see whether it may be
    with torch.no_grad():
        model.model.embed_tokens.weight[tokenizer.convert_tokens_to_ids("z")] = float("nan")
    with pytest.raises(CandidateFailed, match="logits are not finite"):
        ready.score({"t": ITEMS})


def test_chats_are_written_as_the_command_does(
    make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    spec = make_spec({"choice": TASKS["choice"] | {"num_fewshot": 1}}, apply_chat_template=True, max_length=90)
    scores_I = harness(spec, model, tokenizer).score({"choice": list(range(48))})["choice"]
    given = {"apply_chat_template": True, "fewshot_as_multiturn": True}
    assert scores_I.tolist() == logged(by_lm_eval(spec, "choice", model, tokenizer, None, **given), spec, "choice")
    plain = make_spec({"choice": TASKS["choice"] | {"num_fewshot": 1}}, max_length=90)
    assert scores_I.tolist() != harness(plain, model, tokenizer).score({"choice": list(range(48))})["choice"].tolist()


ASIDE = {"system_instruction": "answer 7"}


@pytest.mark.parametrize("chat", [{}, {"apply_chat_template": True, "fewshot_as_multiturn": True}])
def test_a_system_instruction_is_read_as_by_the_command(
    chat: dict[str, Any], make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    tasks = {"nats": TASKS["nats"] | {"num_fewshot": 1}}
    spec = make_spec(tasks, apply_chat_template=bool(chat), max_length=90, batching="lm_eval", **ASIDE)
    scores_I = harness(spec, model, tokenizer).score({"nats": list(range(48))})["nats"]
    expected = logged(by_lm_eval(spec, "nats", model, tokenizer, None, **chat, **ASIDE), spec, "nats")
    assert (-scores_I).tolist() == expected
    plain = make_spec(tasks, apply_chat_template=bool(chat), max_length=90, batching="lm_eval")
    assert scores_I.tolist() != harness(plain, model, tokenizer).score({"nats": list(range(48))})["nats"].tolist()


def test_answers_may_be_longer_and_thoughts_left_out_as_by_the_command(
    make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    """A letter that many answers have stands for the end of thoughts."""
    entry = {"task": "toy_write", "metric": {"name": "brevity", "half_length": 1}, "filter": "whole"}
    thinking = copy.deepcopy(tokenizer)
    thinking.chat_template = "{{ 'think' if enable_thinking else 'say' }}" + str(tokenizer.chat_template)
    whole = make_spec({"t": entry | {"generation": {"max_gen_toks": 12}}}, apply_chat_template=True, max_length=90)
    given = {"enable_thinking": True, "think_end_token": "a"}
    kept: list[list[str]] = []
    for spec in (whole, whole.model_copy(update=given)):
        results = by_lm_eval(spec, "t", model, thinking, None, apply_chat_template=True)
        rows = [row["resps"][0][0] for row in results["samples"]["toy_write"] if row["filter"] == "whole"]
        scores_I = harness(spec, model, thinking).score({"t": list(range(48))})["t"]
        assert scores_I == pytest.approx([1 / (1 + len(row.strip())) for row in rows])
        kept.append(rows)
    assert max(map(len, kept[0])) > 4  # as many as the task's file allows
    assert any("a" in row for row in kept[0])
    assert not any("a" in row for row in kept[-1])


def test_a_chat_needs_a_template(make_spec: MakeSpec, model: LlamaForCausalLM, tokenizer: Tokenizer) -> None:
    plain = copy.deepcopy(tokenizer)
    plain.chat_template = None
    with pytest.raises(ConfigError, match=r"apply_chat_template: the tokenizer has no chat template\. Set it to false"):
        harness(make_spec({"next": TASKS["next"]}, apply_chat_template=True), model, plain)
