"""The harness of a worker: a resident model's scores on items, the very ones that the lm_eval command would give."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lm_eval.api.instance import Instance
from lm_eval.models.utils import normalize_gen_kwargs
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evomerge.errors import CandidateFailed, ConfigError, EvomergeError
from evomerge.fitness.estimators import Scores
from evomerge.fitness.isolation import isolated
from evomerge.fitness.loglikelihood import Answered, Request
from evomerge.fitness.reading import Reader
from evomerge.fitness.resident_lm import ResidentLM
from evomerge.fitness.spec import FitnessSpec
from evomerge.fitness.tasks import Answer, ScoredTask
from evomerge.fitness.writing import NOT_FINITE, Writer

_log = logging.getLogger(__name__)

_NUM_SKIMMED = 64
"""Documents of a task among which the longest is sought, to see with it whether prompts can be shared."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as lm-eval words it and, for log-likelihoods, as tokens: a running text in several windows."""

    instance: Instance
    windows: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a model was asked, and what it answered."""

    asked: Sequence[_Asked]
    answers: Sequence[Answer]

    def is_of(self, asked: Sequence[_Asked]) -> bool:
        """Whether the same was asked, to the letter and in the same order."""
        return len(asked) == len(self.asked) and all(
            (here.instance.request_type, here.instance.args) == (there.instance.request_type, there.instance.args)
            for here, there in zip(asked, self.asked, strict=True)
        )


class Harness:
    """Scores items with the model that it was given; its weights may change between calls.

    What is asked about an item is worded and tokenised once, when the item is first scored. Whether prompts are shared
    is decided once, with the weights that the model has at the beginning: those of the donor, so that all workers of a
    search decide alike and no candidate decides for others.
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
            self._lm = ResidentLM(
                pretrained=model,
                tokenizer=tokenizer,
                batch_size=spec.batch_size,
                max_length=spec.max_length,
                enable_thinking=spec.enable_thinking,
                think_end_token=spec.think_end_token,
            )
        is_sharing = spec.batching == "shared"
        self._lm.writer = Writer(model, self._lm.tokenizer, self._lm.max_length, is_sharing)
        self._reader = Reader(model, spec.batch_size, self._lm.max_length, is_sharing)
        self._template = self._lm.apply_chat_template if spec.apply_chat_template else None
        self._tasks = dict(tasks)
        self._asked: dict[str, dict[int, list[_Asked]]] = {label: {} for label in tasks}
        for task in tasks.values():
            self._check_length(task)
        if is_sharing:
            with isolated():
                for task in tasks.values():
                    self._decide_sharing(task)

    @property
    def tokens_read(self) -> int:
        """Tokens put through the model so far, those that it wrote included, padding not."""
        return self._reader.tokens_read + self._lm.writer.tokens_written

    def score(self, items: Mapping[str, Sequence[int]]) -> dict[str, Scores]:
        """Score the model as it is now.

        Every task is scored by itself, but where two ask the very same, as two metrics of one lm-eval task on the same
        items do, the model answers once. What a task's requests have in common is read once, where the model allows it:
        log-likelihoods then differ from those of the lm_eval command by rounding. All else is read in the batches that
        the command would make of these items, to the last bit.

        Args:
            items: Positions of documents by label, ascending and each once.

        Returns:
            Scores by label, float32, shape (I,), in the order of the positions.

        Raises:
            CandidateFailed: If the model's logits are not finite.
            ConfigError: If an item has no answer to score, or one longer than the model can read.
        """
        known: list[_Reading] = []
        with isolated():
            return {label: self._score(self._tasks[label], positions, known) for label, positions in items.items()}

    def _score(self, task: ScoredTask, items: Sequence[int], known: list[_Reading]) -> Scores:
        if any(first >= second for first, second in itertools.pairwise(items)):
            raise EvomergeError(f"Items of task {task.label} must be ascending and unique.")
        self._ask(task, items)
        asked_I = [self._asked[task.label][item] for item in items]
        asked = [asked for requests in asked_I for asked in requests]
        reading = next((reading for reading in known if reading.is_of(asked)), None)
        if reading is None:
            reading = _Reading(asked, self._answers(asked))
            known.append(reading)
        return task.scores([[asked.instance for asked in requests] for requests in asked_I], reading.answers)

    def _decide_sharing(self, task: ScoredTask) -> None:
        """Try with the first document and the longest of the first few; one that cannot be asked is told when it is."""
        longest = max(range(min(_NUM_SKIMMED, len(task.documents))), key=lambda item: len(str(task.documents[item])))
        requests: list[Request] = []
        texts: list[Instance] = []
        for _, instances in task.requests(sorted({0, longest}), self._template):
            texts += [instance for instance in instances if instance.request_type == "generate_until"]
            with contextlib.suppress(ConfigError):
                for instance in instances:
                    requests += self._windows(task, instance) if instance.request_type == "loglikelihood" else ()
        self._reader.decide(requests)
        if texts:
            self._lm.decide(texts)

    def _ask(self, task: ScoredTask, items: Sequence[int]) -> None:
        """Word and tokenise what has not been asked before."""
        asked = self._asked[task.label]
        if missing := [item for item in items if item not in asked]:
            for item, instances in task.requests(missing, self._template):
                asked[item] = [_Asked(instance, self._windows(task, instance)) for instance in instances]
            self._warn_of_cuts(task, [window for item in missing for one in asked[item] for window in one.windows])

    def _warn_of_cuts(self, task: ScoredTask, requests: Sequence[Request]) -> None:
        cut = sum(len(context) + len(continuation) > self._lm.max_length + 1 for context, continuation in requests)
        if cut:
            message = "tasks.%s: %d of %d prompts are longer than %d tokens and lose their beginning, as in lm-eval."
            _log.warning(message, task.label, cut, len(requests), self._lm.max_length)

    def _windows(self, task: ScoredTask, instance: Instance) -> tuple[Request, ...]:
        if instance.request_type == "generate_until":
            return ()
        if instance.request_type == "loglikelihood_rolling":
            if windows := self._lm.windows(*instance.args):
                return tuple(windows)
            what = f"document {instance.doc_id} has no text to read. Mend the task's data."
            raise ConfigError.at(f"tasks.{task.label}", what)
        context, continuation = self._lm.tokens(*instance.args)
        if not 0 < len(continuation) <= self._lm.max_length:
            what = (
                f"document {instance.doc_id} has an answer of {len(continuation)} tokens. One that can be scored has 1"
            )
            raise ConfigError.at(f"tasks.{task.label}", f"{what} to {self._lm.max_length}. Mend the task's data.")
        return ((context, continuation),)

    def _answers(self, asked: Sequence[_Asked]) -> list[Answer]:
        odds = iter(self._log_likelihoods([window for one in asked for window in one.windows]))
        texts = iter(self._texts([one.instance for one in asked if not one.windows]))
        return [_answer(one, list(itertools.islice(odds, len(one.windows))), texts) for one in asked]

    def _log_likelihoods(self, requests: Sequence[Request]) -> list[Answered]:
        answered = self._reader.log_likelihoods(requests)
        if any(math.isnan(log_likelihood) for log_likelihood, _ in answered):  # one bad logit spoils its softmax
            raise CandidateFailed(NOT_FINITE)
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
                    f"tasks.{task.label}", f"{what} Lower its generation.max_gen_toks, or raise max_length."
                )


def _answer(asked: _Asked, odds: Sequence[Answered], texts: Iterator[str]) -> Answer:
    match asked.instance.request_type:
        case "generate_until":
            return next(texts)
        case "loglikelihood_rolling":
            return sum(log_likelihood for log_likelihood, _ in odds)
        case _:
            return odds[0]
