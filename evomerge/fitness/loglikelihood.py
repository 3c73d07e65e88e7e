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

Answered: TypeAlias = tuple[float, bool]
"""Log-likelihood of a continuation in nats, and whether greedy decoding would give it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of a batch's logits answer which requests. R logits that matter, K tokens of continuations.

    Attributes:
        rows_R: Where in the batch the logits that predict a continuation stand.
        places_R: Where in their row.
        sources_K: Which of the R logits predicts each token.
        targets_K: The tokens themselves.
        spans: Number of each request, and the part of the K tokens that is its continuation.
    """

    rows_R: torch.Tensor
    places_R: torch.Tensor
    sources_K: torch.Tensor
    targets_K: torch.Tensor
    spans: tuple[tuple[int, int, int], ...]

    def answers(self, logits_BTV: torch.Tensor) -> Iterator[tuple[int, Answered]]:
        """Each request with its answer, from the logits of the batch."""
        log_probs_RV = torch.log_softmax(logits_BTV[self.rows_R, self.places_R], dim=-1)
        hits_K = (log_probs_RV.argmax(dim=-1)[self.sources_K] == self.targets_K).cpu()
        log_probs_K = log_probs_RV[self.sources_K, self.targets_K].cpu()
        for number, start, stop in self.spans:
            yield number, (float(log_probs_K[start:stop].sum()), bool(hits_K[start:stop].all()))


class Wanting:
    """Collects which logits of a batch are wanted, row by row."""

    def __init__(self) -> None:
        self._logits: list[tuple[int, int]] = []
        self._sources: list[int] = []
        self._targets: list[int] = []
        self._spans: list[tuple[int, int, int]] = []

    def logits(self, row: int, places: Sequence[int]) -> int:
        """Want the logits at these places of a row; the number of the first of them."""
        self._logits += [(row, place) for place in places]
        return len(self._logits) - len(places)

    def request(self, number: int, sources: Sequence[int], continuation: Sequence[int]) -> None:
        """Answer a request by these of the wanted logits, one per token of its continuation."""
        self._spans.append((number, len(self._targets), len(self._targets) + len(continuation)))
        self._sources += sources
        self._targets += continuation

    def collected(self, device: torch.device) -> Wanted:
        """All that was wanted."""
        as_tensor = functools.partial(torch.tensor, device=device)
        rows_R, places_R = as_tensor(self._logits).T
        return Wanted(rows_R, places_R, as_tensor(self._sources), as_tensor(self._targets), tuple(self._spans))


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests that one forward pass answers. B rows, T tokens.

    Attributes:
        tokens_BT: int64, padded with 0 on the right.
        num_tokens: How many they are without the padding.
        wanted: Where the answers stand.
    """

    tokens_BT: torch.Tensor
    num_tokens: int
    wanted: Wanted

    def answers(self, model: torch.nn.Module) -> Iterator[tuple[int, Answered]]:
        """Each request with its answer, by a causal language model of transformers."""
        return self.wanted.answers(model(self.tokens_BT, use_cache=False).logits)


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
    wanting = Wanting()
    for row, (shared, sharing) in enumerate(rows):
        kept = shared[-max_length:]
        tokens.append(kept + (0,) * (width - len(kept)))
        longest = len(requests[_longest(requests, sharing)][1])
        end = wanting.logits(row, range(len(kept) - longest, len(kept))) + longest
        for number in sharing:
            continuation = requests[number][1]
            wanting.request(number, range(end - len(continuation), end), continuation)
    num_tokens = sum(min(len(shared), max_length) for shared, _ in rows)
    return Batch(torch.tensor(tokens, device=device), num_tokens, wanting.collected(device))
