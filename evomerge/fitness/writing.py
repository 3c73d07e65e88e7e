"""Writing: how a resident model continues prompts, every row up to its own stop string."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
)

from evomerge.errors import CandidateFailed
from evomerge.fitness.sharing import REFUSALS, encode, is_worth, may_be_worth, reach, repeated

NOT_FINITE = "The model's logits are not finite, so it has no score. Smaller weights may help."

_NUM_COMPARED = 2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prompts:
    """Texts to be continued. B rows, T tokens.

    Attributes:
        tokens_BT: int64, padded on the left, or behind what all rows have in common.
        is_read_BT: int64: 1 for tokens, 0 for padding.
    """

    tokens_BT: torch.Tensor
    is_read_BT: torch.Tensor

    @property
    def num_tokens(self) -> int:
        """Without padding."""
        return int(self.is_read_BT.sum())

    def first(self, num_rows: int) -> Prompts:
        """Some of the rows."""
        return Prompts(self.tokens_BT[:num_rows], self.is_read_BT[:num_rows])

    def twice(self, most: int) -> Prompts:
        """Every row written two times, without what goes beyond so many tokens."""
        rows = [
            2 * tokens_T[is_read_T == 1].tolist()
            for tokens_T, is_read_T in zip(self.tokens_BT, self.is_read_BT, strict=True)
        ]
        width = min(max(map(len, rows)), most)
        padded = [[row[0]] * (width - len(row)) + row[:most] for row in rows]
        is_read = [[0] * (width - len(row)) + [1] * min(len(row), width) for row in rows]
        return Prompts(*(torch.tensor(part, device=self.tokens_BT.device) for part in (padded, is_read)))

    def num_common(self) -> int:
        """How many tokens all rows begin with, while each has one more."""
        shortest = int(self.is_read_BT.sum(dim=1).min()) - 1
        beginnings_BT = self._beginnings()[:, :shortest]
        differs_T = (beginnings_BT != beginnings_BT[0]).any(dim=0).nonzero()
        return int(differs_T[0]) if len(differs_T) else shortest

    def padded_behind(self, length: int) -> Prompts:
        """The same, with the padding behind the tokens that all rows begin with."""
        head_BT = self._beginnings()[:, :length]
        tokens_BT = torch.cat([head_BT, self.tokens_BT[:, length:]], dim=1)
        is_read_BT = torch.cat([torch.ones_like(head_BT), self.is_read_BT[:, length:]], dim=1)
        starts_B1 = length + (self.is_read_BT == 0).sum(dim=1, keepdim=True)
        places_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        return Prompts(tokens_BT, is_read_BT.where((places_T < length) | (places_T >= starts_B1), 0))

    def _beginnings(self) -> torch.Tensor:
        """The rows, padded on the right by their first tokens."""
        num_padded_B1 = (self.is_read_BT == 0).sum(dim=1, keepdim=True)
        places_BT = num_padded_B1 + torch.arange(self.tokens_BT.shape[1], device=self.tokens_BT.device)
        return self.tokens_BT.gather(1, places_BT % self.tokens_BT.shape[1])


class Writer:
    """Continues prompts greedily with a model whose weights may change between calls.

    What all prompts of a batch begin with is read once, if that is worth it and the model writes the same then. That is
    decided for good by `decide`; where prompts are longer than those that it tried, every call compares a few of its
    own. Models in half precision read every prompt by itself: where logits are that coarse, rounding may decide on a
    word.

    Attributes:
        tokens_written: Tokens of prompts and answers put through the model so far, without padding.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int, is_sharing: bool
    ) -> None:
        """Prepare to write.

        Args:
            model: A causal language model, where it is to run.
            tokenizer: The model's.
            max_length: Longest prompt and answer in tokens.
            is_sharing: Whether to share prompts at all.
        """
        self._model = model
        self._tokenizer = tokenizer
        can_share = is_sharing and model.dtype.itemsize >= torch.float32.itemsize
        self._reach = min(reach(model), max_length) if can_share else 0
        self._tried_length = 0
        self.tokens_written = 0

    def decide(self, prompts: Prompts, max_length: int, stops: Sequence[str], options: Mapping[str, Any]) -> None:
        """Share no prompts from now on if the model, as it is, would continue such prompts otherwise then.

        Arguments are those of `write`. Prompts up to twice as long will not be compared again; unless these begin too
        differently to be worth it, when nothing is tried.
        """
        few, longest, num_written = prompts.first(_NUM_COMPARED), prompts.tokens_BT.shape[1], self.tokens_written
        num_new = max_length - longest
        most = min(2 * longest, self._reach - num_new)
        if may_be_worth(few.num_common(), longest) and most > self._tried_length:
            self._tried_length = most
            twice, given = few.twice(most), dict(options) | {"max_length": most + num_new}
            if reason := self._difference(twice, twice.num_common(), stops, given):
                self._reach = 0
                kind = type(self._model).__name__
                _log.warning("%s reads the beginning of every prompt anew: %s.", kind, reason)
        self.tokens_written = num_written

    def write(
        self, prompts: Prompts, max_length: int, stops: Sequence[str], options: Mapping[str, Any]
    ) -> torch.Tensor:
        """Continue prompts.

        Args:
            prompts: Padded on the left.
            max_length: Of prompt and answer, padding included.
            stops: A row ends at the first of these strings.
            options: Of transformers' `generate`.

        Returns:
            int64, shape (B, T + W): as many places as the prompts have, then what was written, padded on the right.

        Raises:
            CandidateFailed: If the model's logits are not finite.
        """
        given = dict(options) | {"max_length": max_length}
        if max_length <= self._reach:
            length = prompts.num_common()
            saved = length * (len(prompts.tokens_BT) - 1)
            if is_worth(saved, prompts.num_tokens - saved) and self._is_safe(prompts, length, stops, given):
                return self._together(prompts, length, stops, given)
        return self._separately(prompts, stops, given)

    def _is_safe(self, prompts: Prompts, length: int, stops: Sequence[str], given: dict[str, Any]) -> bool:
        """Whether prompts are no longer than those that were tried, or a few are continued alike either way."""
        longest = prompts.tokens_BT.shape[1]
        if longest <= self._tried_length:
            return True
        if reason := self._difference(prompts.first(_NUM_COMPARED), length, stops, given):
            _log.info("These weights read the beginning of every prompt of %d tokens anew: %s.", longest, reason)
        return not reason

    def _difference(self, few: Prompts, length: int, stops: Sequence[str], given: dict[str, Any]) -> str:
        """What keeps the model from reading what a few prompts begin with once; empty: nothing."""
        longest = few.tokens_BT.shape[1]
        try:
            separate = self._separately(few, stops, given)[:, longest:]
        except CandidateFailed:
            return "its logits are not finite"
        try:
            together = self._together(few, length, stops, given)[:, longest:]
        except (*REFUSALS, CandidateFailed) as refusal:  # which did not fail when it wrote separately
            return f"it refuses their cache ({type(refusal).__name__}: {refusal})"
        return "" if torch.equal(separate, together) else "it would write another text"

    def _together(self, prompts: Prompts, length: int, stops: Sequence[str], given: dict[str, Any]) -> torch.Tensor:
        moved = prompts.padded_behind(length)
        with torch.no_grad():
            prefix = encode(moved.tokens_BT[0, :length].tolist(), self._model)
        cache = repeated(prefix, len(moved.tokens_BT))
        self.tokens_written -= length * (len(moved.tokens_BT) - 1)
        return self._separately(moved, stops, given | {"past_key_values": cache})

    def _separately(self, prompts: Prompts, stops: Sequence[str], given: dict[str, Any]) -> torch.Tensor:
        watch, ends = Watch(), _Ends(self._tokenizer, stops, prompts.tokens_BT.shape[1])
        written: torch.Tensor = self._model.generate(
            input_ids=prompts.tokens_BT,
            attention_mask=prompts.is_read_BT,
            do_sample=False,  # tasks that draw are refused
            use_cache=True,
            pad_token_id=self._tokenizer.pad_token_id,
            logits_processor=LogitsProcessorList([watch]),
            stopping_criteria=StoppingCriteriaList([ends]),
            **given,
        )
        watch.check()
        self.tokens_written += prompts.num_tokens + ends.num_written
        return written


class Watch(LogitsProcessor):  # type: ignore[misc]  # see pyproject: transformers is not followed
    """Looks at the logits of every step; the largest of a row is not finite where any is NaN or +∞."""

    def __init__(self) -> None:
        self._finite: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._finite.append(scores.amax(dim=-1).isfinite().all())
        return scores

    def check(self) -> None:
        """Look at the end, when all is written: looking at once would stall a GPU at every token.

        Raises:
            CandidateFailed: If any logits were not finite.
        """
        if not all(self._finite):
            raise CandidateFailed(NOT_FINITE)


class _Ends(StoppingCriteria):  # type: ignore[misc]  # see pyproject: transformers is not followed
    """Ends each row at its first stop string, as lm-eval would if it were alone.

    lm-eval's own criterion waits until one and the same stop string is found in every row of a batch. What a row writes
    after its own is cut off anyway.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stops: Sequence[str], prompt_length: int) -> None:
        self._tokenizer = tokenizer
        self._stops = stops
        self._prompt_length = prompt_length
        lengths = [len(tokenizer.encode(stop, add_special_tokens=False)) for stop in stops]
        self._lookback = max(lengths, default=0) + 2  # as lm-eval: a stop string may be cut otherwise than by itself
        self._is_done_B: list[bool] = []
        self.num_written = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **options: Any) -> torch.Tensor:
        is_done_B = self._is_done_B or [False] * len(input_ids)
        self.num_written += is_done_B.count(False)
        ends = input_ids[:, self._prompt_length :][:, -self._lookback :].tolist()
        self._is_done_B = [done or self._is_end(end) for done, end in zip(is_done_B, ends, strict=True)]
        return torch.tensor(self._is_done_B, device=input_ids.device)

    def _is_end(self, tokens: list[int]) -> bool:
        text = self._tokenizer.decode(tokens)
        return any(stop in text for stop in self._stops)
