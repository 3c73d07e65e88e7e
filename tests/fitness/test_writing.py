import logging
import math
from collections import Counter
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from evomerge.errors import CandidateFailed
from evomerge.fitness.resident_lm import ResidentLM
from evomerge.fitness.writing import Prompts, Writer

Tokenizer = PreTrainedTokenizerFast
texts = st.lists(st.integers(4, 9), min_size=1, max_size=8)
EXAMPLES = "".join(f"{i}+{i * 3 % 7}={i + i * 3 % 7}. " for i in range(9))
QUESTIONS = [f"{i * 7 % 31}+{i}{' more' * (i % 3)}=" for i in range(16)]


def left_padded(rows: list[list[int]]) -> Prompts:
    width = max(map(len, rows))
    tokens = [[0] * (width - len(row)) + row for row in rows]
    is_read = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return Prompts(torch.tensor(tokens), torch.tensor(is_read))


def writing(model: PreTrainedModel, tokenizer: Tokenizer, *, is_sharing: bool = True) -> ResidentLM:
    lm = ResidentLM(pretrained=model, tokenizer=tokenizer, batch_size=32, max_length=128)
    lm.writer = Writer(model, tokenizer, 128, is_sharing)
    return lm


def asking(prompts: list[str], stops: list[str], num_tokens: int = 12, **given: Any) -> list[Instance]:
    options = {"until": stops, "max_gen_toks": num_tokens, "do_sample": False} | given
    return [Instance("generate_until", {}, (prompt, dict(options)), 0) for prompt in prompts]


def written(lm: HFLM, prompts: list[str], stops: list[str], num_tokens: int = 12, **given: Any) -> list[str]:
    asked = asking(prompts, stops, num_tokens, **given)
    answers: list[str] = lm.generate_until(asked, disable_tqdm=True)
    return answers


@settings(max_examples=60)
@given(texts, st.lists(texts, min_size=1, max_size=6))
def test_what_rows_have_in_common_goes_before_the_padding(head: list[int], tails: list[list[int]]) -> None:
    prompts = left_padded([head + tail for tail in tails])
    length = prompts.num_common()
    assert len(head) <= length < len(head) + min(map(len, tails))
    moved = prompts.padded_behind(length)
    assert moved.num_tokens == prompts.num_tokens
    assert moved.is_read_BT[:, :length].all()
    for row, tail in enumerate(tails):
        text = head + tail
        assert moved.tokens_BT[row][moved.is_read_BT[row] == 1].tolist() == text
        assert moved.tokens_BT[row, :length].tolist() == text[:length]
        rest = len(text) - length
        assert moved.is_read_BT[row, -rest:].all()


@given(st.lists(texts, min_size=1, max_size=4), st.integers(1, 20))
def test_prompts_written_two_times_begin_as_they_did(rows: list[list[int]], most: int) -> None:
    twice = left_padded(rows).twice(most)
    assert [tokens[read == 1].tolist() for tokens, read in zip(twice.tokens_BT, twice.is_read_BT, strict=True)] == [
        (row + row)[:most] for row in rows
    ]
    assert twice.is_read_BT.shape[1] == min(most, 2 * max(map(len, rows)))
    assert twice.is_read_BT[:, -1].all()


def test_every_row_ends_at_its_own_stop_string_as_if_it_were_alone(
    model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    lm = writing(model, tokenizer)
    free = written(lm, QUESTIONS, [], num_tokens=24)
    stops = [letter for letter, _ in Counter("".join(text[2:] for text in free)).most_common(2)]
    lm.writer.tokens_written = 0
    answers = written(lm, QUESTIONS, stops, num_tokens=24)
    alone = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, max_length=128)
    assert answers == written(alone, QUESTIONS, stops, num_tokens=24)
    assert len(set(map(len, answers))) > 2
    together = lm.writer.tokens_written
    assert together < sum(map(len, QUESTIONS)) + 16 * 24
    lm.writer.tokens_written = 0
    for question in QUESTIONS:
        written(lm, [question], stops, num_tokens=24)
    assert lm.writer.tokens_written == together


def test_common_beginnings_are_read_once_and_nothing_else_is_written(
    model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    shared, separate = writing(model, tokenizer), writing(model, tokenizer, is_sharing=False)
    prompts = [EXAMPLES + question for question in QUESTIONS]
    answers = written(separate, prompts, ["."])
    assert written(shared, prompts, ["."]) == answers
    assert len(set(answers)) > 3
    first = shared.writer.tokens_written
    shared.decide(asking(prompts[:2], ["."]))
    assert shared.writer.tokens_written == first  # a decision is for no answer
    assert written(shared, prompts, ["."]) == answers
    assert shared.writer.tokens_written - first == separate.writer.tokens_written - 15 * (len(EXAMPLES))


def test_nothing_is_tried_with_prompts_that_begin_too_differently(
    model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    lm, calls = writing(model, tokenizer), []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    lm.decide(asking(QUESTIONS[:2], ["."]))
    assert not calls
    lm.decide(asking([EXAMPLES + question for question in QUESTIONS[:2]], ["."]))
    assert calls


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_read_every_prompt(model: LlamaForCausalLM, tokenizer: Tokenizer, dtype: torch.dtype) -> None:
    model.to(dtype)
    prompts = [EXAMPLES + question for question in QUESTIONS]
    lm = writing(model, tokenizer)
    assert written(lm, prompts, ["."]) == written(writing(model, tokenizer, is_sharing=False), prompts, ["."])
    assert lm.writer.tokens_written > sum(map(len, prompts))


def test_a_model_that_takes_no_cache_is_found_out_and_told(
    tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"vocab_size": 46, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4, "pad_token_id": 0}
        model = transformers.MambaForCausalLM(transformers.MambaConfig(**sizes, bos_token_id=1, eos_token_id=2)).eval()
    prompts = [EXAMPLES + question for question in QUESTIONS]
    lm = writing(model, tokenizer)
    with caplog.at_level(logging.WARNING, "evomerge"):
        for _ in range(2):
            lm.decide(asking(prompts[:2], ["."]))
            answers = written(lm, prompts, ["."])
    (message,) = [record.getMessage() for record in caplog.records if record.name.startswith("evomerge")]
    assert message.startswith("MambaForCausalLM reads the beginning of every prompt anew: ")
    assert answers == written(writing(model, tokenizer, is_sharing=False), prompts, ["."])


def test_a_model_that_fails_with_a_shared_cache_only_is_not_blamed(
    model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    def spoil(model: PreTrainedModel, args: Any, options: dict[str, Any], output: Any) -> None:
        if type(options.get("past_key_values")) is transformers.Cache:  # by itself it would take a DynamicCache
            output.logits[:] = math.nan

    prompts = [EXAMPLES + question for question in QUESTIONS]
    lm, decided = writing(model, tokenizer), writing(model, tokenizer)
    handle = model.register_forward_hook(spoil, with_kwargs=True)
    decided.decide(asking(prompts[:2], ["."]))
    answers = [written(each, prompts, ["."]) for each in (lm, decided)]
    handle.remove()
    assert answers == 2 * [written(writing(model, tokenizer, is_sharing=False), prompts, ["."])]


def test_beams_are_searched_as_lm_eval_does(model: LlamaForCausalLM, tokenizer: Tokenizer) -> None:
    lm = writing(model, tokenizer)
    theirs = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=32, max_length=128)
    answers = written(lm, QUESTIONS, [], num_beams=2)
    assert answers == written(theirs, QUESTIONS, [], num_beams=2)
    assert lm.writer.tokens_written > 2 * sum(map(len, QUESTIONS))


@pytest.mark.parametrize("given", [{}, {"num_beams": 2}])
def test_what_is_not_a_number_in_the_common_beginning_only_is_a_failure(
    model: LlamaForCausalLM, tokenizer: Tokenizer, given: dict[str, Any]
) -> None:
    lm = writing(model, tokenizer)
    prompts = ["z" * 50 + question for question in QUESTIONS]
    written(lm, prompts, ["."], **given)
    with torch.no_grad():
        model.model.embed_tokens.weight[tokenizer.convert_tokens_to_ids("z")] = math.nan
    with pytest.raises(CandidateFailed, match="logits are not finite"):
        written(lm, prompts, ["."], **given)
