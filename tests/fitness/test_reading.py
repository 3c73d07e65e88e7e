import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from evomerge.fitness.loglikelihood import Request
from evomerge.fitness.reading import Reader

EXAMPLES = [5 + i * 7 % 30 for i in range(50)]
SMALL = {"vocab_size": 45, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def quiz(num_questions: int = 20, examples: list[int] = EXAMPLES) -> list[Request]:
    return [
        (examples + [4 + q % 30, 6, 9 + q % 7] * (1 + q % 3), [8 + c, *[10 + c + q % 3] * (c % 3)])
        for q in range(num_questions)
        for c in range(4)
    ]


def reader(model: PreTrainedModel, *, is_sharing: bool = True, batch_size: int = 16, max_length: int = 128) -> Reader:
    return Reader(model, batch_size, max_length, is_sharing)


def built(name: str, **given: Any) -> PreTrainedModel:
    """A random model of an architecture."""
    config = getattr(transformers, f"{name}Config")(**given)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: PreTrainedModel = transformers.AutoModelForCausalLM.from_config(config).eval()
    return model


def assert_same(model: PreTrainedModel, requests: list[Request], shared: Reader) -> None:
    together, separate = shared.log_likelihoods(requests), reader(model, is_sharing=False).log_likelihoods(requests)
    assert [one for one, _ in together] == pytest.approx([one for one, _ in separate], rel=1e-5)
    assert [hit for _, hit in together] == [hit for _, hit in separate]
    assert len({round(one, 6) for one, _ in separate}) > 40


def test_shared_prompts_give_the_same_answers_from_fewer_tokens(model: LlamaForCausalLM) -> None:
    shared, separate = reader(model), reader(model, is_sharing=False)
    requests = [*quiz(), ([9, 8], [7]), (EXAMPLES * 2, [4] * 40)]  # and one alone, and one that is cut
    separate.log_likelihoods(requests)
    assert_same(model, requests, shared)
    compared = shared.tokens_read
    shared.decide(quiz(1))
    assert shared.tokens_read == compared  # a decision is for no answer
    shared.log_likelihoods(requests)  # now that it is made nothing is tried
    assert compared > shared.tokens_read - compared
    assert 5 * (shared.tokens_read - compared) < separate.tokens_read


def test_answers_do_not_depend_on_what_else_is_asked(model: LlamaForCausalLM) -> None:
    requests = quiz()
    shared = reader(model)
    whole = [one for one, _ in shared.log_likelihoods(requests)]
    for start, stop in ((0, 4), (20, 60), (4, 80)):
        part = [one for one, _ in shared.log_likelihoods(requests[start:stop])]
        assert part == pytest.approx(whole[start:stop], rel=1e-5)
    backwards = [one for one, _ in shared.log_likelihoods(requests[::-1])]
    assert backwards == pytest.approx(whole[::-1], rel=1e-5)


def test_short_prompts_are_read_as_lm_eval_does_to_the_last_bit(model: LlamaForCausalLM) -> None:
    requests = quiz(20, examples=[])
    shared = reader(model)
    assert shared.log_likelihoods(requests) == reader(model, is_sharing=False).log_likelihoods(requests)
    assert shared.tokens_read == sum(map(len, {(*context, *continuation[:-1]) for context, continuation in requests}))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_agree_as_well_as_they_do_with_other_batches(model: LlamaForCausalLM, dtype: torch.dtype) -> None:
    model.to(dtype)
    shared = reader(model)
    together = [one for one, _ in shared.log_likelihoods(quiz())]
    separate = [one for one, _ in reader(model, is_sharing=False).log_likelihoods(quiz())]
    assert shared.is_sharing
    assert together == pytest.approx(separate, rel=0.05, abs=0.05)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("GPT2", {"vocab_size": 45, "n_embd": 32, "n_layer": 2, "n_head": 2}),
        ("GPTNeoX", SMALL | {"intermediate_size": 48}),
        ("Qwen3", SMALL | {"intermediate_size": 48, "num_key_value_heads": 1, "head_dim": 16}),
        ("Gemma2", SMALL | {"intermediate_size": 48, "num_key_value_heads": 1, "head_dim": 16, "sliding_window": 100}),
    ],
)
def test_architectures_that_can_share(name: str, given: dict[str, Any]) -> None:
    model = built(name, **given, initializer_range=0.3, pad_token_id=0)
    shared = reader(model)
    assert_same(model, quiz(), shared)
    assert shared.is_sharing


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("Bloom", {"vocab_size": 45, "hidden_size": 32, "n_layer": 2, "n_head": 2, "initializer_range": 0.3}),
        ("Mpt", {"vocab_size": 45, "d_model": 32, "n_layers": 2, "n_heads": 2, "initializer_range": 0.3}),
        ("Mamba", {"vocab_size": 45, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
    ],
)
def test_architectures_that_cannot_share_are_found_out_and_told(
    name: str, given: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    model = built(name, **given)
    shared, undecided = reader(model), reader(model)
    for _ in range(2):
        shared.decide(quiz(2))
        for either in (shared, undecided):
            assert either.log_likelihoods(quiz()) == reader(model, is_sharing=False).log_likelihoods(quiz())
    (message,) = [record.getMessage() for record in caplog.records if record.name.startswith("evomerge")]
    assert message.startswith(f"{name}ForCausalLM cannot share prompts, which are read once per answer: ")
    assert not shared.is_sharing


def test_one_answer_that_is_not_a_number_is_enough_not_to_share(model: LlamaForCausalLM) -> None:
    def spoil(model: PreTrainedModel, args: Any, options: dict[str, Any], output: Any) -> None:
        if options.get("attention_mask") is not None:  # only what is shared comes with one
            output.logits[-1] = math.nan

    shared, undecided = reader(model), reader(model)
    handle = model.register_forward_hook(spoil, with_kwargs=True)
    shared.decide(quiz(2))
    answers = undecided.log_likelihoods(quiz())
    handle.remove()
    assert not shared.is_sharing
    assert answers == reader(model, is_sharing=False).log_likelihoods(quiz())


def give_window(model: LlamaForCausalLM, window: int) -> None:
    """The model's own attention becomes that of a window; a mask that comes from outside is not."""

    def with_window(module: torch.nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        if given.get("attention_mask") is None:
            places = torch.arange(given["hidden_states"].shape[1] if "hidden_states" in given else args[0].shape[1])
            ahead = places[:, None] - places
            mask = torch.zeros(len(places), len(places)).masked_fill((ahead < 0) | (ahead >= window), -1e30)
            given["attention_mask"] = mask[None, None]
        return args, given

    for layer in model.model.layers:
        layer.self_attn.register_forward_pre_hook(with_window, with_kwargs=True)


def test_a_window_that_the_config_does_not_tell_is_found_out_with_texts_twice_as_long(
    model: LlamaForCausalLM, caplog: pytest.LogCaptureFixture
) -> None:
    give_window(model, 64)
    shared = reader(model)
    shared.decide(quiz(2))
    assert "LlamaForCausalLM cannot share prompts" in caplog.text
    assert not shared.is_sharing


def test_texts_longer_than_any_that_was_tried_are_compared_each_time(
    model: LlamaForCausalLM, make_model: Callable[[int], LlamaForCausalLM]
) -> None:
    shared, separate = reader(model), reader(model, is_sharing=False)
    shared.decide(quiz(2, examples=EXAMPLES[:25]))
    longer = quiz(20, examples=EXAMPLES + EXAMPLES[:30])
    give_window(model, 64)
    for _ in range(2):
        assert shared.log_likelihoods(longer) == separate.log_likelihoods(longer)
    assert shared.is_sharing  # of other weights and shorter texts that says nothing
    before, num_separate = shared.tokens_read, separate.tokens_read
    shared.log_likelihoods(quiz())
    assert 5 * (shared.tokens_read - before) < num_separate // 2


def test_texts_longer_than_a_window_are_read_separately(caplog: pytest.LogCaptureFixture) -> None:
    given = SMALL | {"intermediate_size": 48, "num_key_value_heads": 1, "sliding_window": 40, "initializer_range": 0.3}
    model = built("Mistral", **given)
    shared = reader(model)
    assert shared.log_likelihoods(quiz()) == reader(model, is_sharing=False).log_likelihoods(quiz())
    assert shared.is_sharing
    assert not caplog.records


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_positions_that_depend_on_the_length_are_not_shared(kind: str) -> None:
    factors = {"long_factor": [1.0] * 8, "short_factor": [1.0] * 8, "original_max_position_embeddings": 32}
    rope = {"rope_type": kind, "rope_theta": 100.0, "factor": 4.0} | (factors if kind == "longrope" else {})
    config = LlamaConfig(**SMALL, intermediate_size=48, max_position_embeddings=128, rope_parameters=rope)
    assert not reader(LlamaForCausalLM(config)).is_sharing


def test_a_broken_candidate_does_not_decide(
    model: LlamaForCausalLM, make_model: Callable[[int], LlamaForCausalLM], caplog: pytest.LogCaptureFixture
) -> None:
    shared = reader(model)
    with torch.no_grad():
        model.model.norm.weight[3] = math.nan
    assert all(math.isnan(one) for one, _ in shared.log_likelihoods(quiz()))
    model.load_state_dict(make_model(0).state_dict())
    assert_same(model, quiz(), shared)
    assert shared.is_sharing
    assert not caplog.records


def test_what_is_not_a_number_in_the_prefix_only_spoils_all_behind_it(model: LlamaForCausalLM) -> None:
    shared = reader(model)
    requests = quiz(20, examples=[40, *EXAMPLES])
    shared.log_likelihoods(requests)
    with torch.no_grad():
        model.model.embed_tokens.weight[40] = math.nan  # no question has this token
    assert all(math.isnan(one) for one, _ in shared.log_likelihoods(requests))


def test_nothing_asked_is_nothing_answered(model: LlamaForCausalLM) -> None:
    assert reader(model).log_likelihoods([]) == []
