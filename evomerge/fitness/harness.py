"""The harness of a worker: a resident model's scores on items, the very ones that the lm_eval command would give."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel, PreTrainedTokenizerBase

from evomerge.errors import CandidateFailed, ConfigError, EvomergeError
from evomerge.fitness.estimators import Scores
from evomerge.fitness.isolation import isolated
from evomerge.fitness.loglikelihood import Request, answers, pack
from evomerge.fitness.spec import FitnessSpec
from evomerge.fitness.tasks import Answer, ScoredTask

_log = logging.getLogger(__name__)

_NOT_FINITE = "The model's logits are not finite, so it has no score. Smaller weights may help."


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as lm-eval words it and, for log-likelihoods, as tokens."""

    instance: Instance
    tokens: Request | None


class Harness:
    """Scores items with the model that it was given; its weights may change between calls.

    What is asked about an item is worded and tokenised once, when the item is first scored.
    """

    def __init__(
        self,
        tasks: Mapping[str, ScoredTask],
        spec: FitnessSpec,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
    ) -> None:
        """Prepare to score.

        Args:
            tasks: By label, from `load_tasks`; this harness's alone.
            spec: The fitness document.
            model: A causal language model, where it is to run. It is put into evaluation mode.
            tokenizer: The model's.

        Raises:
            ConfigError: If the tokenizer has no chat template but one is asked for, or a task wants longer answers than
                the model can give.
        """
        if spec.apply_chat_template and tokenizer.chat_template is None:
            raise ConfigError.at("apply_chat_template", "the tokenizer has no chat template. Set it to false.")
        with isolated():
            self._lm = _Resident(
                pretrained=model, tokenizer=tokenizer, batch_size=spec.batch_size, max_length=spec.max_length
            )
        self._template = self._lm.apply_chat_template if spec.apply_chat_template else None
        self._tasks = dict(tasks)
        self._asked: dict[str, dict[int, list[_Asked]]] = {label: {} for label in tasks}
        for task in tasks.values():
            self._check_length(task)

    def score(self, items: Mapping[str, Sequence[int]]) -> dict[str, Scores]:
        """Score the model as it is now.

        Every task is scored by itself, in the batches that the lm_eval command would make of these items of this task.

        Args:
            items: Positions of documents by label, ascending and each once.

        Returns:
            Scores by label, float32, shape (I,), in the order of the positions.

        Raises:
            CandidateFailed: If the model's logits are not finite.
            ConfigError: If an item has no answer to score, or one longer than the model can read.
        """
        with isolated():
            return {label: self._score(self._tasks[label], positions) for label, positions in items.items()}

    def _score(self, task: ScoredTask, items: Sequence[int]) -> Scores:
        if any(first >= second for first, second in itertools.pairwise(items)):
            raise EvomergeError(f"Items of task {task.label} must be ascending and unique.")
        self._ask(task, items)
        asked_I = [self._asked[task.label][item] for item in items]
        answered = self._answers([asked for requests in asked_I for asked in requests])
        return task.scores([[asked.instance for asked in requests] for requests in asked_I], answered)

    def _ask(self, task: ScoredTask, items: Sequence[int]) -> None:
        """Word and tokenise what has not been asked before."""
        asked = self._asked[task.label]
        if missing := [item for item in items if item not in asked]:
            for item, instances in task.requests(missing, self._template):
                asked[item] = [_Asked(instance, self._tokens(task, instance)) for instance in instances]
            self._warn_of_cuts(task, [one.tokens for item in missing for one in asked[item] if one.tokens])

    def _warn_of_cuts(self, task: ScoredTask, requests: Sequence[Request]) -> None:
        cut = sum(len(context) + len(continuation) > self._lm.max_length + 1 for context, continuation in requests)
        if cut:
            message = "tasks.%s: %d of %d prompts are longer than %d tokens and lose their beginning, as in lm-eval."
            _log.warning(message, task.label, cut, len(requests), self._lm.max_length)

    def _tokens(self, task: ScoredTask, instance: Instance) -> Request | None:
        if instance.request_type != "loglikelihood":
            return None
        context, continuation = self._lm.tokens(*instance.args)
        if not 0 < len(continuation) <= self._lm.max_length:
            what = (
                f"document {instance.doc_id} has an answer of {len(continuation)} tokens. One that can be scored has 1"
            )
            raise ConfigError.at(f"tasks.{task.label}", f"{what} to {self._lm.max_length}. Mend the task's data.")
        return context, continuation

    def _answers(self, asked: Sequence[_Asked]) -> list[Answer]:
        odds = iter(self._log_likelihoods([one.tokens for one in asked if one.tokens]))
        texts = iter(self._texts([one.instance for one in asked if not one.tokens]))
        return [next(odds) if one.tokens else next(texts) for one in asked]

    def _log_likelihoods(self, requests: Sequence[Request]) -> list[tuple[float, bool]]:
        batches = pack(requests, self._lm.batch_size, self._lm.max_length, self._lm.device)
        answered = answers(batches, self._lm.model, len(requests))
        if any(math.isnan(log_likelihood) for log_likelihood, _ in answered):  # one bad logit spoils its softmax
            raise CandidateFailed(_NOT_FINITE)
        return answered

    def _texts(self, instances: list[Instance]) -> list[str]:
        texts: list[str] = self._lm.generate_until(instances, disable_tqdm=True) if instances else []
        return texts

    def _check_length(self, task: ScoredTask) -> None:
        if task.task.OUTPUT_TYPE == "generate_until":
            wanted = normalize_gen_kwargs(task.task.config.generation_kwargs, self._lm.max_gen_toks)["max_gen_toks"]
            if wanted >= self._lm.max_length:
                what = f"answers may have {wanted} tokens, but the model reads {self._lm.max_length} with the prompt."
                raise ConfigError.at(
                    f"tasks.{task.label}", f"{what} Lower max_gen_toks in its file, or raise max_length."
                )


class _Resident(HFLM):  # type: ignore[misc]  # lm_eval ships no types
    """lm-eval's view of a resident model, which notices logits that are not finite while it writes."""

    def tokens(self, context: str, continuation: str) -> Request:
        """A context and its continuation as lm-eval cuts them; an empty context is the prefix token."""
        if context:
            request: Request = self._encode_pair(context, continuation)
            return request
        tokens = self.tok_encode(continuation, add_special_tokens=False)
        cut = int(tokens[:1] == [self.prefix_token_id])
        return tokens[:cut] or [self.prefix_token_id], tokens[cut:]

    def _model_generate(self, context: torch.Tensor, max_length: int, stop: list[str], **options: Any) -> torch.Tensor:
        watch = _Watch()
        processors = LogitsProcessorList([watch])
        written: torch.Tensor = super()._model_generate(
            context, max_length, stop, logits_processor=processors, **options
        )
        if not all(watch.finite):
            raise CandidateFailed(_NOT_FINITE)
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
