"""Log-likelihoods of continuations: requests packed into batches, each answered by one forward pass."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

Request: TypeAlias = tuple[list[int], list[int]]
"""Tokens of the context and of its continuation; neither is empty."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests that one forward pass answers. B rows, T tokens, R logits that matter, K tokens of continuations.

    Attributes:
        tokens_BT: int64, padded with 0 on the right.
        rows_R: Where in the batch the logits that predict a continuation stand.
        places_R: Where in their row.
        sources_K: Which of the R logits predicts each token.
        targets_K: The tokens themselves.
        spans: Number of each request, and the part of the K tokens that is its continuation.
    """

    tokens_BT: torch.Tensor
    rows_R: torch.Tensor
    places_R: torch.Tensor
    sources_K: torch.Tensor
    targets_K: torch.Tensor
    spans: tuple[tuple[int, int, int], ...]


def pack(requests: Sequence[Request], batch_size: int, max_length: int, device: torch.device) -> list[Batch]:
    """Put requests into batches of similar length, longest first.

    Requests that differ in their last token only share a row. Rows, their order and the batches are those of lm-eval,
    so that the numbers agree to the last bit.

    Args:
        requests: To be answered.
        batch_size: Rows of a batch.
        max_length: Longest row in tokens; longer ones lose tokens on the left.
        device: Where the model is.
    """
    sharing: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, (context, continuation) in enumerate(requests):
        sharing[(*context, *continuation[:-1])].append(number)
    rows = sorted(sharing.items(), key=lambda row: _order(requests, row[1]))
    return [
        _batch(rows[start : start + batch_size], requests, max_length, device)
        for start in range(0, len(rows), batch_size)
    ]


def answers(batches: Sequence[Batch], model: torch.nn.Module, num_requests: int) -> list[tuple[float, bool]]:
    """Answer all requests of some batches.

    Args:
        batches: From `pack`.
        model: A causal language model of transformers.
        num_requests: How many requests the batches hold.

    Returns:
        Per request, the log-likelihood of its continuation in nats, and whether greedy decoding would give it.
    """
    answered: dict[int, tuple[float, bool]] = {}
    with torch.no_grad():
        for batch in batches:
            answered |= _answer(batch, model(batch.tokens_BT, use_cache=False).logits)
    return [answered[number] for number in range(num_requests)]


def _answer(batch: Batch, logits_BTV: torch.Tensor) -> Iterator[tuple[int, tuple[float, bool]]]:
    log_probs_RV = torch.log_softmax(logits_BTV[batch.rows_R, batch.places_R], dim=-1)
    hits_K = (log_probs_RV.argmax(dim=-1)[batch.sources_K] == batch.targets_K).cpu()
    log_probs_K = log_probs_RV[batch.sources_K, batch.targets_K].cpu()
    for number, start, stop in batch.spans:
        yield number, (float(log_probs_K[start:stop].sum()), bool(hits_K[start:stop].all()))


def _order(requests: Sequence[Request], sharing: list[int]) -> tuple[int, list[int]]:
    context, continuation = requests[_longest(requests, sharing)]
    return -len(context) - len(continuation), context + continuation


def _longest(requests: Sequence[Request], sharing: list[int]) -> int:
    return max(sharing, key=lambda number: len(requests[number][1]))


def _batch(
    rows: Sequence[tuple[tuple[int, ...], list[int]]],
    requests: Sequence[Request],
    max_length: int,
    device: torch.device,
) -> Batch:
    width = min(len(rows[0][0]), max_length)
    tokens: list[tuple[int, ...]] = []
    logits: list[tuple[int, int]] = []
    sources: list[int] = []
    targets: list[int] = []
    spans: list[tuple[int, int, int]] = []
    for row, (shared, sharing) in enumerate(rows):
        kept = shared[-max_length:]
        tokens.append(kept + (0,) * (width - len(kept)))
        longest = len(requests[_longest(requests, sharing)][1])
        logits += [(row, place) for place in range(len(kept) - longest, len(kept))]
        for number in sharing:
            continuation = requests[number][1]
            spans.append((number, len(targets), len(targets) + len(continuation)))
            sources += range(len(logits) - len(continuation), len(logits))
            targets += continuation
    rows_R, places_R = torch.tensor(logits, device=device).T
    as_tensor = functools.partial(torch.tensor, device=device)
    return Batch(as_tensor(tokens), rows_R, places_R, as_tensor(sources), as_tensor(targets), tuple(spans))
