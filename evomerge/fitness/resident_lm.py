"""lm-eval's view of a resident model: how it cuts text into tokens, and how the model writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
)

from evomerge.errors import CandidateFailed
from evomerge.fitness.loglikelihood import Request

NOT_FINITE = "The model's logits are not finite, so it has no score. Smaller weights may help."


class ResidentLM(HFLM):  # type: ignore[misc]  # lm_eval ships no types
    """lm-eval's view of a resident model, which notices logits that are not finite while it writes.

    Attributes:
        tokens_written: Tokens of prompts and answers that were put through the model to write, without padding.
    """

    tokens_written = 0

    def tokens(self, context: str, continuation: str) -> Request:
        """A context and its continuation as lm-eval cuts them; an empty context is the prefix token."""
        if context:
            request: Request = self._encode_pair(context, continuation)
            return request
        tokens = self.tok_encode(continuation, add_special_tokens=False)
        cut = int(tokens[:1] == [self.prefix_token_id])
        return tokens[:cut] or [self.prefix_token_id], tokens[cut:]

    def windows(self, text: str) -> list[Request]:
        """A running text in pieces as long as the model reads, each behind the token before it, as lm-eval cuts it."""
        tokens = self.tok_encode(text)
        windows = get_rolling_token_windows(tokens, self.prefix_token_id, self.max_length, context_len=1)
        return [make_disjoint_window(window) for window in windows]

    def _model_generate(self, context: torch.Tensor, max_length: int, stop: list[str], **options: Any) -> torch.Tensor:
        watch, ends = _Watch(), _Ends(self.tokenizer, stop, context.shape[1])
        options = {name: value for name, value in options.items() if name not in ("temperature", "do_sample")}
        written: torch.Tensor = self.model.generate(
            input_ids=context,
            max_length=max_length,
            do_sample=False,  # tasks that draw are refused
            use_cache=True,
            pad_token_id=self.tokenizer.pad_token_id,
            logits_processor=LogitsProcessorList([watch]),
            stopping_criteria=StoppingCriteriaList([ends]),
            **options,
        )
        if not all(watch.finite):
            raise CandidateFailed(NOT_FINITE)
        self.tokens_written += int(options["attention_mask"].sum()) + ends.num_written
        return written


class _Watch(LogitsProcessor):  # type: ignore[misc]  # see pyproject: transformers is not followed
    """Looks at the logits of every step; the largest of a row is not finite where any is NaN or +∞."""

    def __init__(self) -> None:
        self.finite: list[
            torch.Tensor
        ] = []  # read when all is written: looking at once would stall a GPU at every token

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.finite.append(scores.amax(dim=-1).isfinite().all())
        return scores


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
        self._reach = max(lengths, default=0) + 2  # as lm-eval: a stop string may be cut otherwise than by itself
        self._is_done_B: list[bool] = []
        self.num_written = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **options: Any) -> torch.Tensor:
        is_done_B = self._is_done_B or [False] * len(input_ids)
        self.num_written += is_done_B.count(False)
        ends = input_ids[:, self._prompt_length :][:, -self._reach :].tolist()
        self._is_done_B = [done or self._is_end(end) for done, end in zip(is_done_B, ends, strict=True)]
        return torch.tensor(self._is_done_B, device=input_ids.device)

    def _is_end(self, tokens: list[int]) -> bool:
        text = self._tokenizer.decode(tokens)
        return any(stop in text for stop in self._stops)
