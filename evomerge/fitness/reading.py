"""Reading: how a resident model answers log-likelihood requests, fast where that gives lm-eval's numbers."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence

import torch
from transformers import PreTrainedModel

from evomerge.fitness.loglikelihood import Answered, Request, pack
from evomerge.fitness.sharing import REFUSALS, Family, encode, families, pack_family, reach, trials

_log = logging.getLogger(__name__)

_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}
"""Largest relative difference of log-likelihoods that are taken for equal, by dtype."""

_TOLERANCE_OF_HALVES = 0.05
"""The same for bfloat16 and float16, where lm-eval's own numbers move as much with its batch size."""

_NUM_COMPARED = 8


class Reader:
    """Answers requests with a model whose weights may change between calls.

    Prompts that requests share are read once, if the model gives the same log-likelihoods then. `decide` settles that
    for good. Where texts are longer than those that it tried, every call compares a few of its own requests, and shares
    nothing if they disagree: an answer depends on the weights and on what is asked beside it, not on what was asked
    before. Requests that do not share are read in the batches of lm-eval, to the last bit.

    Attributes:
        is_sharing: Whether shared prompts are read once.
        tokens_read: Put through the model for answers so far, without padding.
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
        self._tried_length = 0
        self.tokens_read = 0

    @torch.no_grad()
    def decide(self, requests: Sequence[Request]) -> None:
        """Share no prompts from now on if the model, as it is, answers such requests otherwise then.

        Args:
            requests: A few. Texts up to twice as long will not be compared again.
        """
        num_read = self.tokens_read
        twice, few = trials(requests, min(self._max_length, self._reach))
        longest = max(map(_length, few), default=0)
        if self.is_sharing and longest > self._tried_length:
            self._tried_length = longest
            if reason := next(filter(None, (self._difference(family, twice) for family in few)), ""):
                self.is_sharing = False
                kind = type(self._model).__name__
                _log.warning("%s cannot share prompts, which are read once per answer: %s.", kind, reason)
        self.tokens_read = num_read

    @torch.no_grad()
    def log_likelihoods(self, requests: Sequence[Request]) -> list[Answered]:
        """Answer requests.

        Returns:
            Per request, the log-likelihood of its continuation in nats, and whether greedy decoding would give it.
        """
        if self.is_sharing:
            shared, alone = families(requests, min(self._max_length, self._reach))
            if shared and self._is_safe(shared, requests):
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

    def _is_safe(self, shared: Sequence[Family], requests: Sequence[Request]) -> bool:
        """Whether texts are no longer than those that were tried, or get the same answers either way."""
        family = max(shared, key=_length)
        if _length(family) <= self._tried_length:
            return True
        few = Family(family.prefix, [max(family.questions, key=lambda question: question.length), family.questions[0]])
        if reason := self._difference(few, requests):
            _log.info("These weights read prompts of %d tokens once per answer: %s.", _length(family), reason)
        return not reason

    def _difference(self, few: Family, requests: Sequence[Request]) -> str:
        """What keeps the model from sharing the prompts of a few questions; empty: nothing."""
        tolerance = _TOLERANCE.get(self._model.dtype, _TOLERANCE_OF_HALVES)
        numbers = [number for question in few.questions for number in question.numbers[:_NUM_COMPARED]]
        separate = [one for one, _ in self._one_by_one([requests[number] for number in numbers])]
        if not all(map(math.isfinite, separate)):
            return "its log-likelihoods are not finite"
        try:
            together = dict(self._together(few, requests))
        except REFUSALS as refusal:
            return f"it refuses their mask or cache ({type(refusal).__name__}: {refusal})"
        pairs = zip((together[number][0] for number in numbers), separate, strict=True)
        apart = [abs(one - other) / max(abs(other), 1.0) for one, other in pairs]
        furthest = max(apart, key=lambda each: (math.isnan(each), each))  # a plain `max` may pass over NaN
        if furthest <= tolerance:
            return ""
        return f"log-likelihoods would differ by {furthest:.2g}, and may by {tolerance:g}"


def _length(family: Family) -> int:
    return max(question.length for question in family.questions)
