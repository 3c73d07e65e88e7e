"""lm-eval's view of a resident model: how it cuts text into tokens, and who writes for it."""

from __future__ import annotations

from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from transformers import LogitsProcessorList

from evomerge.fitness.loglikelihood import Request
from evomerge.fitness.writing import Prompts, Watch, Writer


class ResidentLM(HFLM):  # type: ignore[misc]  # lm_eval ships no types
    """lm-eval's view of a resident model.

    Attributes:
        writer: Continues its prompts; to be set.
    """

    writer: Writer
    _is_deciding = False

    def decide(self, asked: list[Instance]) -> None:
        """Let the writer decide, with a few requests for text, whether it shares prompts. Nothing is written."""
        self._is_deciding = True
        self.generate_until(asked, disable_tqdm=True)
        self._is_deciding = False

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

    def _model_generate(
        self, context: torch.Tensor, max_length: int, stop: list[str], *, attention_mask: torch.Tensor, **options: Any
    ) -> torch.Tensor:
        is_beams = options.get("num_beams", 1) > 1
        if is_beams and not self._is_deciding:
            return self._search_beams(context, max_length, stop, attention_mask=attention_mask, **options)
        given = {name: value for name, value in options.items() if name not in ("temperature", "do_sample")}
        prompts = Prompts(context, attention_mask)
        if not self._is_deciding:
            return self.writer.write(prompts, max_length, stop, given)
        if not is_beams:
            self.writer.decide(prompts, max_length, stop, given)
        return context

    def _search_beams(self, context: torch.Tensor, max_length: int, stop: list[str], **options: Any) -> torch.Tensor:
        """Rows change places in a beam search, so it is left to lm-eval."""
        watch = Watch()
        processors = LogitsProcessorList([watch])
        found: torch.Tensor = super()._model_generate(context, max_length, stop, logits_processor=processors, **options)
        watch.check()
        num_written = found.numel() - context.numel()
        self.writer.tokens_written += options["num_beams"] * (int(options["attention_mask"].sum()) + num_written)
        return found
