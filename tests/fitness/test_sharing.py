import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

from evomerge.fitness.loglikelihood import Request
from evomerge.fitness.sharing import Family, Question, encode, families, pack_family

CPU = torch.device("cpu")
EXAMPLES = [5 + i * 7 % 30 for i in range(50)]

token = st.integers(4, 12)
texts = st.lists(token, min_size=1, max_size=9)
contexts = st.tuples(st.booleans(), texts).map(lambda drawn: EXAMPLES * drawn[0] + drawn[1])
requests_of = st.lists(st.tuples(contexts, texts), min_size=1, max_size=40)


def quiz(num_questions: int, examples: list[int] = EXAMPLES) -> list[Request]:
    """Questions behind the same examples, with four answers each, of which some are one token long."""
    return [
        (examples + [4 + q % 30, 6, 9 + q % 7] * (1 + q % 3), [8 + c, *[10 + c + q % 3] * (c % 3)])
        for q in range(num_questions)
        for c in range(4)
    ]


def test_examples_and_contexts_are_read_once() -> None:
    found, alone = families(quiz(20), 128)
    (family,) = found
    assert (family.prefix, alone) == (tuple(EXAMPLES), [])
    assert len(family.questions) == 20
    contexts = sum(3 * (1 + q % 3) for q in range(20))
    assert family.num_tokens == 50 + contexts + 20 * (0 + 1 + 2 + 0)


def test_a_question_keeps_its_last_token_even_if_it_is_all_prefix() -> None:
    requests = [*quiz(20), (EXAMPLES, [7])]
    ((family,), _) = families(requests, 128)
    assert family.prefix == tuple(EXAMPLES[:-1])


def test_little_to_save_is_not_saved() -> None:
    few = [([5, 6, 7 + q], [8, 9 + c, 10]) for q in range(9) for c in range(4)]
    assert families(few, 128) == ([], list(range(36)))
    unlike = [([4 + q, *EXAMPLES], [8, 9]) for q in range(30)]
    assert families(unlike, 128) == ([], list(range(30)))


def test_what_is_cut_or_stands_alone_is_left_out() -> None:
    cut, alone = (EXAMPLES * 2, [5, 6, 7]), ([9, 8], [7])
    found, left = families([cut, *quiz(20), alone], 101)
    assert left == [0, 81]
    assert sum(len(question.numbers) for question in found[0].questions) == 80


def test_questions_that_only_share_their_answers_context_have_no_prefix() -> None:
    own = [([4 + q, *EXAMPLES], [8, 9 + c, 10]) for q in range(20) for c in range(4)]
    ((family,), alone) = families(own, 128)
    assert (family.prefix, alone) == ((), [])
    assert family.num_tokens == 20 * (51 + 4 * 2)


@settings(max_examples=60)
@given(requests_of, st.integers(20, 80))
def test_every_request_is_found_once(requests: list[Request], max_length: int) -> None:
    padded = [*requests, *quiz(12)]
    found, alone = families(padded, max_length)
    numbers = list(alone)
    for family in found:
        for question in family.questions:
            assert question.context[: len(family.prefix)] == family.prefix
            assert len(question.context) > len(family.prefix)
            for read, asking in question.answers.items():
                numbers += asking
                for number in asking:
                    context, continuation = padded[number]
                    assert (question.context, read) == (tuple(context), tuple(continuation[:-1]))
                    assert len(context) + len(read) <= max_length
    assert sorted(numbers) == list(range(len(padded)))


@pytest.mark.parametrize("size", [1, 6, 64])
def test_rows_end_with_what_is_asked_for(size: int) -> None:
    requests = quiz(20)
    ((family,), _) = families(requests, 128)
    batches = pack_family(family, requests, size, CPU)
    assert sum(len(batch.tokens_BT) for batch in batches) == 20
    assert 50 + sum(batch.num_tokens for batch in batches) == family.num_tokens
    for batch in batches:
        first = batch.tokens_BT.shape[1] - batch.num_logits
        for number, start, stop in batch.wanted.spans:
            (row,) = set(batch.wanted.rows_R[batch.wanted.sources_K[start:stop]].tolist())
            places = (first + batch.wanted.places_R[batch.wanted.sources_K[start:stop]]).tolist()
            context, continuation = requests[number]
            read = [context[-1], *continuation[:-1]]
            assert batch.tokens_BT[row, places].tolist() == read
            assert batch.positions_BT[row, places].tolist() == list(
                range(len(context) - 1, len(context) - 1 + len(read))
            )
            assert batch.wanted.targets_K[start:stop].tolist() == continuation


def test_an_answer_sees_its_context_and_itself() -> None:
    requests: list[Request] = [([5, 6], [7, 8, 9]), ([5, 6], [10, 11]), ([4, 5, 6, 7], [8, 9, 9])]
    family = Family((), [Question((5, 6), {(7, 8): [0], (10,): [1]}), Question((4, 5, 6, 7), {(8, 9): [2]})])
    (batch,) = pack_family(family, requests, 64, CPU)
    assert batch.tokens_BT.tolist() == [[4, 5, 6, 7, 8, 9], [5, 5, 6, 7, 8, 10]]
    assert batch.positions_BT.tolist() == [[0, 1, 2, 3, 4, 5], [0, 0, 1, 2, 3, 2]]
    assert batch.num_tokens == 11
    seen = batch._mask(2, torch.float32)[1, 0] == 0  # behind a prefix of two tokens
    assert seen.int().tolist() == [
        [1, 1, 1, 0, 0, 0, 0, 0],  # padding, seen by itself only
        [1, 1, 0, 1, 0, 0, 0, 0],
        [1, 1, 0, 1, 1, 0, 0, 0],
        [1, 1, 0, 1, 1, 1, 0, 0],
        [1, 1, 0, 1, 1, 1, 1, 0],
        [1, 1, 0, 1, 1, 0, 0, 1],
    ]


def test_a_prefix_is_not_changed_by_what_is_read_behind_it(model: LlamaForCausalLM) -> None:
    requests = quiz(20)
    ((family,), _) = families(requests, 128)
    with torch.no_grad():
        prefix = encode(family.prefix, model)
        first, second = (
            [dict(batch.answers(model, prefix)) for batch in pack_family(family, requests, 8, CPU)] for _ in range(2)
        )
    assert first == second
    assert prefix.get_seq_length() == 50
