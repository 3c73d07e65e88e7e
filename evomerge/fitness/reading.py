"""Reading: how a resident model answers log-likelihood requests, fast where that gives lm-eval's numbers."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from transformers import PreTrainedModel

from evomerge.fitness.loglikelihood import Answered, Request, pack
from evomerge.fitness.sharing import REFUSALS, Family, Question, encode, families, pack_family, reach

_log = logging.getLogger(__name__)

_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}
"""Largest relative difference of log-likelihoods that are taken for equal, by dtype."""

_TOLERANCE_OF_HALVES = 0.05
"""The same for bfloat16 and float16, where lm-eval's own numbers move as much with its batch size."""

_NUM_COMPARED = 8


class Reader:
    """Answers requests with a model whose weights may change between calls.

    Prompts that requests share are read once, if the model gives the same log-likelihoods then: that is tried with the
    first requests that share enough, and again with longer ones when they come. Where it does not, and where nothing
    is to be gained, requests are read in the batches of lm-eval, to the last bit.

    Attributes:
        is_sharing: Whether shared prompts are read once.
        tokens_read: Put through the model so far, without padding.
    """

    def __init__(self, model: PreTrainedModel, batch_size: int, max_length: int, is_sharing: bool) -> None:
        """Prepare to read.

        Args:
            model: A causal language model, where it is to run.
            batch_size: Rows of a batch.
            max_length: Longest row in tokens.
            is_sharing: Whether to share prompts at all.
        """
        self._model = model
        self._batch_size = batch_size
        self._max_length = max_length
        self._reach = reach(model) if is_sharing else 0
        self.is_sharing = self._reach > 0
        self._tried_tokens = 0
        self.tokens_read = 0

    @torch.no_grad()
    def log_likelihoods(self, requests: Sequence[Request]) -> list[Answered]:
        """Answer requests.

        Returns:
            Per request, the log-likelihood of its continuation in nats, and whether greedy decoding would give it.
        """
        if self.is_sharing:
            shared, alone = families(requests, min(self._max_length, self._reach))
            if shared and self._can_share(shared, requests):
                answered = dict(zip(alone, self._one_by_one([requests[number] for number in alone]), strict=True))
                for family in shared:
                    answered |= self._together(family, requests)
                return [answered[number] for number in range(len(requests))]
        return self._one_by_one(requests)

    def _one_by_one(self, requests: Sequence[Request]) -> list[Answered]:
        answered: dict[int, Answered] = {}
        for batch in pack(requests, self._batch_size, self._max_length, self._model.device):
            answered |= batch.answers(self._model)
            self.tokens_read += batch.num_tokens
        return [answered[number] for number in range(len(requests))]

    def _together(self, family: Family, requests: Sequence[Request]) -> Iterator[tuple[int, Answered]]:
        prefix = encode(family.prefix, self._model) if family.prefix else None
        self.tokens_read += len(family.prefix)
        for batch in pack_family(family, requests, self._batch_size, self._model.device):
            yield from batch.answers(self._model, prefix)
            self.tokens_read += batch.num_tokens

    def _can_share(self, shared: Sequence[Family], requests: Sequence[Request]) -> bool:
        """Whether requests get the same answers either way; tried again whenever texts are longer than ever before."""
        longest, family = max(((_longest(family).num_tokens, family) for family in shared), key=lambda pair: pair[0])
        if longest > self._tried_tokens:
            few = Family(family.prefix, [_longest(family), family.questions[0]])
            numbers = [number for question in few.questions for number in question.numbers[:_NUM_COMPARED]]
            separate = self._one_by_one([requests[number] for number in numbers])
            if not all(math.isfinite(log_likelihood) for log_likelihood, _ in separate):
                return False  # a broken candidate says nothing about the model's code; the next will
            self._tried_tokens = longest
            self.is_sharing = self._agrees(few, requests, dict(zip(numbers, separate, strict=True)))
        return self.is_sharing

    def _agrees(self, few: Family, requests: Sequence[Request], separate: Mapping[int, Answered]) -> bool:
        tolerance = _TOLERANCE.get(self._model.dtype, _TOLERANCE_OF_HALVES)
        try:
            together = dict(self._together(few, requests))
        except REFUSALS as refusal:
            reason = f"it refuses their mask or cache ({type(refusal).__name__}: {refusal})"
        else:
            pairs = [(together[number][0], alone) for number, (alone, _) in separate.items()]
            apart = [abs(one - other) / max(abs(other), 1.0) for one, other in pairs]
            furthest = max(apart, key=lambda each: (math.isnan(each), each))  # a plain `max` may pass over NaN
            if furthest <= tolerance:
                return True
            reason = f"log-likelihoods would differ by {furthest:.2g}, and may by {tolerance:g}"
        _log.warning("%s cannot share prompts, which are read once per answer: %s.", type(self._model).__name__, reason)
        return False


def _longest(family: Family) -> Question:
    return max(family.questions, key=lambda question: question.num_tokens)
