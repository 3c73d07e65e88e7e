import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.models.huggingface import HFLM
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from evomerge.fitness.loglikelihood import Answered, Batch, Request, pack


def answers(batches: list[Batch], model: LlamaForCausalLM, num_requests: int) -> list[Answered]:
    with torch.no_grad():
        answered = {number: answer for batch in batches for number, answer in batch.answers(model)}
    return [answered[number] for number in range(num_requests)]


CPU = torch.device("cpu")
tokens = st.lists(st.integers(4, 12), min_size=1, max_size=9)
requests_of = st.lists(st.tuples(tokens, tokens), min_size=1, max_size=15)


def four_choices(letters: int) -> list[Request]:
    """Questions whose choices differ in the last token only, then some that differ in length."""
    one_token = [([5 + q, 6, 7 + q], [8, 9 + c]) for q in range(letters) for c in range(4)]
    return one_token + [([4 + q] * (q + 1), [10 + q] * n) for q in range(letters) for n in (1, 2, 5)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("max_length", [5, 128])
def test_every_bit_is_that_of_lm_eval(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, dtype: torch.dtype, max_length: int
) -> None:
    requests = four_choices(9)
    theirs = HFLM(pretrained=model.to(dtype), tokenizer=tokenizer, batch_size=7, max_length=max_length)
    expected = theirs._loglikelihood_tokens([(("", ""), *request) for request in requests], disable_tqdm=True)
    assert answers(pack(requests, 7, max_length, CPU), model, len(requests)) == expected
    assert len({log_likelihood for log_likelihood, _ in expected}) > 30


@settings(max_examples=40)
@given(requests_of, st.integers(1, 6), st.integers(9, 12))
def test_every_request_is_answered_from_its_own_tokens(requests: list[Request], size: int, max_length: int) -> None:
    numbers: list[int] = []
    for batch in pack(requests, size, max_length, CPU):
        assert len(batch.tokens_BT) <= size
        wanted = batch.wanted
        for number, start, stop in wanted.spans:
            numbers.append(number)
            context, continuation = requests[number]
            assert wanted.targets_K[start:stop].tolist() == continuation
            (row,) = set(wanted.rows_R[wanted.sources_K[start:stop]].tolist())
            places = wanted.places_R[wanted.sources_K[start:stop]].tolist()
            read = (context + continuation[:-1])[-max_length:]
            assert batch.tokens_BT[row, : len(read)].tolist() == read
            assert batch.tokens_BT[row, len(read) :].sum() == 0
            assert places == list(range(len(read) - len(continuation), len(read)))
    assert sorted(numbers) == list(range(len(requests)))


def test_what_differs_in_the_last_token_only_is_read_once() -> None:
    (batch,) = pack([([4, 5], [6, n]) for n in range(7, 11)], 64, 128, CPU)
    assert batch.tokens_BT.tolist() == [[4, 5, 6]]
    assert len(batch.wanted.spans) == 4


def test_nothing_asked_is_nothing_answered(model: LlamaForCausalLM) -> None:
    assert answers(pack([], 4, 9, CPU), model, 0) == []
