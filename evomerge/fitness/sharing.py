"""Shared prompts: what questions have in common, and what the answers to one of them have, is read once.

The examples at the head of a task's questions are encoded once and kept as keys and values. Behind them, a question is
one row: its context, then its answers side by side, each of which sees the context and itself.
"""

from __future__ import annotations

import copy
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import Cache, DynamicCache, PreTrainedModel

from evomerge.fitness.loglikelihood import Answered, Request, Wanted, Wanting

_BEGINNING = 32
"""Questions that agree in so many tokens at their beginning may share a prefix."""

_WORTH_TOKENS, _WORTH_SHARE = 512, 0.25
"""What sharing must save, in tokens and of all tokens, before it is done: short prompts are read as lm-eval does."""

_BATCH_TOKENS = 8192
"""Tokens of a forward pass, padding included, above which larger batches were no faster."""

_MOST_ANSWER_TOKENS = 1024
"""A question with more of them is read one answer after the other: in a row each would be masked from all others."""


_LENGTH_DEPENDENT = ("dynamic", "longrope")
"""Kinds of rotary embeddings that change with the length of what is read."""

_WINDOWS = ("sliding_window", "attention_chunk_size", "window_size", "attention_window_size")
"""Keys of a config that say how far a token sees."""

REFUSALS = (TypeError, ValueError, RuntimeError, AttributeError, LookupError)
"""What the code of a model raises for a mask or a cache that it does not know."""


@dataclass(frozen=True, slots=True)
class Question:
    """Requests with one context.

    Attributes:
        context: Its tokens, at least one.
        answers: Numbers of requests by what is read after the context: their continuation without its last token.
    """

    context: tuple[int, ...]
    answers: dict[tuple[int, ...], list[int]]

    @property
    def num_answer_tokens(self) -> int:
        """Tokens of all answers."""
        return sum(map(len, self.answers))

    @property
    def num_tokens(self) -> int:
        """Tokens of context and answers, each read once."""
        return len(self.context) + self.num_answer_tokens

    @property
    def length(self) -> int:
        """Tokens of the longest text: the context and one answer."""
        return len(self.context) + max(map(len, self.answers))

    @property
    def numbers(self) -> list[int]:
        """Of all its requests."""
        return [number for numbers in self.answers.values() for number in numbers]


@dataclass(frozen=True, slots=True)
class Family:
    """Questions that begin alike.

    Attributes:
        prefix: The tokens that all contexts begin with, but for their last one; may be empty.
        questions: At least one.
    """

    prefix: tuple[int, ...]
    questions: list[Question]

    @property
    def num_tokens(self) -> int:
        """Tokens that are read for all questions."""
        return len(self.prefix) + sum(question.num_tokens - len(self.prefix) for question in self.questions)


def families(requests: Sequence[Request], max_length: int) -> tuple[list[Family], list[int]]:
    """Sort requests by what they share.

    Args:
        requests: To be answered.
        max_length: Longest row in tokens. Longer ones lose their beginning, so they share nothing.

    Returns:
        What is worth being read together, and the numbers of the requests that are read one by one: all, where little
        would be saved.
    """
    alike: dict[tuple[int, ...], list[Question]] = defaultdict(list)
    for question in _questions(requests, max_length):
        alike[question.context[:_BEGINNING]].append(question)
    found: list[Family] = []
    rest: list[Question] = []
    for members in alike.values():
        family = Family(_common(members), members)
        if is_worth(Family((), members).num_tokens - family.num_tokens, family.num_tokens):
            found.append(family)
        else:
            rest += [question for question in members if len(question.answers) > 1]
    if rest:
        found.append(Family((), rest))
    num_shared = sum(family.num_tokens for family in found)
    num_separate = sum(_num_separate(question) for family in found for question in family.questions)
    if not is_worth(num_separate - num_shared, num_separate):
        return [], list(range(len(requests)))
    shared = {number for family in found for question in family.questions for number in question.numbers}
    return found, [number for number in range(len(requests)) if number not in shared]


def trials(requests: Sequence[Request], max_length: int) -> tuple[list[Request], list[Family]]:
    """Make of few requests what tells whether a model can share prompts, in texts twice as long where they may be.

    Args:
        requests: Too few, maybe, for their sharing to be worth it.
        max_length: Longest row in tokens; what fills a batch alone is left out, as its mask would be large.

    Returns:
        Requests, and families of them that put questions into one row and behind a prefix; none where none can share.
    """
    most = min(max_length, _BATCH_TOKENS) + 1 - max((len(continuation) for _, continuation in requests), default=0)
    twice = [((context * 2)[:most], continuation) for context, continuation in requests] if most > 0 else []
    questions = [question for question in _questions(twice, max_length) if question.num_tokens <= _BATCH_TOKENS]
    if not questions:
        return twice, []
    longest = max(questions, key=lambda question: question.length)
    beside = Family(_common([longest, questions[0]]), [longest, questions[0]])
    behind = Family(longest.context[: len(longest.context) // 2], [longest])
    return twice, [beside] if beside.prefix else [beside, behind]


def _questions(requests: Sequence[Request], max_length: int) -> Iterator[Question]:
    """Requests by context, without those that cannot be in one row or gain nothing from it."""
    by_context: dict[tuple[int, ...], dict[tuple[int, ...], list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, (context, continuation) in enumerate(requests):
        if len(context) + len(continuation) - 1 <= max_length:
            by_context[tuple(context)][tuple(continuation[:-1])].append(number)
    for context_tokens, answers in by_context.items():
        question = Question(context_tokens, dict(answers))
        num_saved = _num_separate(question) - question.num_tokens
        if len(answers) == 1 or (
            num_saved >= _WORTH_SHARE * question.num_tokens and question.num_answer_tokens <= _MOST_ANSWER_TOKENS
        ):
            yield question


def _num_separate(question: Question) -> int:
    return len(question.context) * len(question.answers) + question.num_answer_tokens


def _common(questions: Sequence[Question]) -> tuple[int, ...]:
    """The beginning of all contexts, of which each has a token more."""
    contexts = [question.context for question in questions]
    first, last = min(contexts), max(contexts)
    most = min(map(len, contexts)) - 1
    return first[: next((place for place in range(most) if first[place] != last[place]), most)]


def is_worth(num_saved: int, num_all: int) -> bool:
    """Whether sharing saves enough tokens.

    Args:
        num_saved: How many need not be read.
        num_all: How many they are compared with.
    """
    return num_saved >= max(_WORTH_TOKENS, _WORTH_SHARE * num_all)


def may_be_worth(num_common: int, num_tokens: int) -> bool:
    """Whether enough texts of so many tokens, of which they have some in common, would be worth sharing."""
    return num_common >= _WORTH_SHARE * (num_tokens - num_common)


@dataclass(frozen=True, slots=True)
class SharedBatch:
    """Questions of one family that one forward pass answers. B rows, T tokens behind a prefix of P.

    Attributes:
        tokens_BT: int64, padded on the left.
        num_tokens: How many they are without the padding.
        branches_BT: int64: 0 in the context, 1, 2, … in the answers, -1 in the padding.
        positions_BT: int64, of each token in its own text, the prefix included.
        num_logits: How many places at the end of a row hold all logits that matter.
        wanted: Where in these last places the answers stand.
    """

    tokens_BT: torch.Tensor
    num_tokens: int
    branches_BT: torch.Tensor
    positions_BT: torch.Tensor
    num_logits: int
    wanted: Wanted

    def answers(self, model: PreTrainedModel, prefix: DynamicCache | None) -> Iterator[tuple[int, Answered]]:
        """Each request with its answer.

        Args:
            model: A causal language model of transformers.
            prefix: Keys and values of the family's prefix, from `encode`.
        """
        length = prefix.get_seq_length() if prefix else 0
        logits_BTV = model(
            self.tokens_BT,
            attention_mask=self._mask(length, model.dtype),
            position_ids=self.positions_BT,
            past_key_values=repeated(prefix, len(self.tokens_BT)) if prefix else None,
            use_cache=prefix is not None,
            logits_to_keep=self.num_logits,
        ).logits
        return self.wanted.answers(logits_BTV)

    def _mask(self, length: int, dtype: torch.dtype) -> torch.Tensor:
        """Added to attention scores, shape (B, 1, T, P + T): 0 where a token may look, else a large negative."""
        asking, asked = self.branches_BT[:, :, None], self.branches_BT[:, None, :]
        places = torch.arange(self.tokens_BT.shape[1], device=self.tokens_BT.device)
        sees_BTT = (places[:, None] >= places) & ((asking == asked) | ((asked == 0) & (asking > 0)))
        mask_BTT = torch.zeros(sees_BTT.shape, dtype=dtype, device=places.device)
        mask_BTT.masked_fill_(~sees_BTT, torch.finfo(dtype).min)
        return torch.nn.functional.pad(mask_BTT, (length, 0))[:, None]


def pack_family(
    family: Family, requests: Sequence[Request], batch_size: int, device: torch.device
) -> list[SharedBatch]:
    """Put the questions of a family into batches of similar length, longest first.

    Args:
        family: From `families`.
        requests: All of them.
        batch_size: Most rows of a batch.
        device: Where the model is.
    """
    questions = sorted(family.questions, key=lambda question: (-question.num_tokens, question.context))
    batches = []
    while questions:
        width = questions[0].num_tokens - len(family.prefix)
        size = max(1, min(batch_size, _BATCH_TOKENS // width))
        batches.append(_shared_batch(questions[:size], len(family.prefix), width, requests, device))
        questions = questions[size:]
    return batches


def _shared_batch(
    questions: Sequence[Question], skipped: int, width: int, requests: Sequence[Request], device: torch.device
) -> SharedBatch:
    num_logits = 1 + max(question.num_answer_tokens for question in questions)
    rows: list[tuple[list[int], list[int], list[int]]] = []
    wanting = Wanting()
    for row, question in enumerate(questions):
        context = question.context[skipped:]
        padding = width + skipped - question.num_tokens
        tokens = [context[0]] * padding + list(context)  # padded by what is read anyway, not by a token of its own
        branches = [-1] * padding + [0] * len(context)
        positions = [skipped] * padding + list(range(skipped, skipped + len(context)))
        last = wanting.logits(row, [len(tokens) - 1 - width + num_logits])
        for branch, (read, numbers) in enumerate(question.answers.items(), start=1):
            start = len(tokens) - width + num_logits
            first = wanting.logits(row, range(start, start + len(read)))
            for number in numbers:
                wanting.request(number, [last, *range(first, first + len(read))], requests[number][1])
            tokens += read
            branches += [branch] * len(read)
            positions += range(len(question.context), len(question.context) + len(read))
        rows.append((tokens, branches, positions))
    tokens_BT, branches_BT, positions_BT = torch.tensor(rows, device=device).unbind(1)
    num_tokens = sum(question.num_tokens - skipped for question in questions)
    return SharedBatch(tokens_BT, num_tokens, branches_BT, positions_BT, num_logits, wanting.collected(device))


def encode(prefix: Sequence[int], model: PreTrainedModel) -> DynamicCache:
    """Keys and values of a text, in all layers."""
    tokens_BT = torch.tensor([prefix], device=model.device)
    cache = DynamicCache()  # without the config: windows are the mask's matter
    model(tokens_BT, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return cache


def repeated(prefix: DynamicCache, num_rows: int) -> Cache:
    """The same for every row of a batch, without a copy."""
    layers = [copy.copy(layer) for layer in prefix.layers]
    for layer in layers:
        layer.keys, layer.values = (part.expand(num_rows, -1, -1, -1) for part in (layer.keys, layer.values))
    return Cache(layers=layers)


def reach(model: PreTrainedModel) -> int:
    """The longest text in which every token sees all before it, whatever the text's length; 0: there is none."""
    config = model.config.get_text_config(decoder=True)
    rotary = getattr(config, "rope_parameters", None) or {}
    kinds = [part.get("rope_type") for part in (rotary, *rotary.values()) if isinstance(part, dict)]
    if config._attn_implementation not in ("eager", "sdpa") or any(kind in _LENGTH_DEPENDENT for kind in kinds):
        return 0
    windows = [getattr(config, name, None) for name in _WINDOWS]
    return min((window for window in windows if window), default=sys.maxsize)
