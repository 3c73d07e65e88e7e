"""A scored task: an lm-eval task, and the one number per item that is taken from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.task import Task
from lm_eval.defaults import DEFAULT_OTHER_SEED

from evomerge.documents import tree_of
from evomerge.errors import CandidateFailed, EvomergeError
from evomerge.fitness.estimators import Scores
from evomerge.fitness.items import Doc
from evomerge.fitness.measures import Measure
from evomerge.fitness.replies import reply
from evomerge.fitness.spec import FitnessSpec

Answer: TypeAlias = tuple[float, bool] | float | str
"""To one request: log-likelihood of the continuation and whether greedy decoding gives it; or that of a running text;
or a text."""

ChatTemplate: TypeAlias = Callable[..., str]

_ELSEWHERE = ("dataset_path", "dataset_name", "dataset_kwargs", "metadata", "tag", "task_alias")
"""Keys of a task's configuration that say where it lies or what it is called, not how an item is scored."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredTask:
    """An lm-eval task, and the one number per item that is taken from it.

    Attributes:
        label: Its name in the fitness document.
        task: lm-eval's object; ours alone, prepared with examples and seed.
        documents: All its documents, in lm-eval's order; an item is a position in it.
        metric: The metric of lm-eval's, or the measure that reads the answers in its place.
        filter: The answer filter.
        higher_is_better: The direction of a score.
        scale: What a score is per unit of lm-eval's value of an item. 1 for most: lm-eval prints the mean of scores.
            -1 for `perplexity`, whose items are log-likelihoods: a score is in nats, and lm-eval prints the exponential
            of the mean. -1 for `word_perplexity` and `byte_perplexity` too, whose items are log-likelihoods per word
            or byte of the document: a score is in nats per word or byte, and lm-eval prints the exponential of the
            mean weighted by the documents' words or bytes. -1 / ln 2 for `bits_per_byte`: a score is in bits per
            byte, and lm-eval prints the mean weighted by bytes.
        system_instruction: What stands before every prompt, if anything.
        fingerprint: Hexadecimal digest of everything but the document that a response depends on.
    """

    label: str
    task: Task
    documents: Sequence[Doc]
    metric: str | Measure
    filter: str
    higher_is_better: bool
    scale: float
    system_instruction: str | None
    fingerprint: str

    def requests(
        self, items: Sequence[int], chat_template: ChatTemplate | None
    ) -> Iterator[tuple[int, list[Instance]]]:
        """Each item with what lm-eval asks a model about it.

        lm-eval draws the examples of one document after another from one generator, so a document's examples depend on
        its place. Ours are those of a run over the whole task, whichever items are asked for.

        Args:
            items: Positions, ascending.
            chat_template: Writes messages as a prompt; None: plain text.
        """
        self.task.set_fewshot_seed(DEFAULT_OTHER_SEED)
        wanted, num_fewshot = frozenset(items), self.task.config.num_fewshot or 0
        for item in range(items[-1] + 1) if num_fewshot else items:
            prompt = self._prompt(self.documents[item], num_fewshot, chat_template)
            if item in wanted:
                yield item, self._instances(item, prompt, chat_template)

    def _prompt(self, doc: Doc, num_fewshot: int, chat_template: ChatTemplate | None) -> str | list[str]:
        prompt: str | list[str] = self.task.fewshot_context(
            doc,
            num_fewshot=num_fewshot,
            system_instruction=self.system_instruction,
            apply_chat_template=chat_template is not None,
            fewshot_as_multiturn=chat_template is not None,  # as the command does
            chat_template=chat_template,
            gen_prefix=self.task.doc_to_prefix(doc),
        )
        return prompt

    def _instances(self, item: int, prompt: str | list[str], chat_template: ChatTemplate | None) -> list[Instance]:
        asked = self.task.construct_requests(
            doc=self.documents[item],
            ctx=prompt,
            metadata=(self.task.config.task, item, self.task.config.repeats),
            apply_chat_template=chat_template is not None,
            chat_template=chat_template,
        )
        return sorted(asked, key=lambda instance: instance.idx) if isinstance(asked, list) else [asked]

    def scores(self, requests_I: Sequence[Sequence[Instance]], answers: Sequence[Answer]) -> Scores:
        """One score per item.

        Args:
            requests_I: The requests of each item.
            answers: Of all requests in order.

        Returns:
            float32, shape (I,).

        Raises:
            CandidateFailed: If a score is not finite.
        """
        take_in(self.task, self.filter, requests_I, answers)
        scores_I = self.scale * np.array([self._score(requests) for requests in requests_I], np.float32)
        if not np.isfinite(scores_I).all():
            name = self.metric if isinstance(self.metric, str) else self.metric.name
            raise CandidateFailed(f"task {self.label}: the scores ({name}) are not finite.")
        return scores_I

    def _score(self, requests: Sequence[Instance]) -> float:
        if not isinstance(self.metric, str):
            return self.metric.of(reply(self.task, self.filter, requests, f"tasks.{self.label}"))
        measured = metrics(self.task, self.filter, requests)
        if self.metric not in measured:
            what = f"lm-eval gave a document no value of {self.metric}. Choose another metric."
            raise EvomergeError(f"Task {self.label}: {what}")
        value = measured[self.metric]
        return value[0] / value[1] if isinstance(value, tuple) else float(value)  # of a running text: with its length


def take_in(task: Task, filter_name: str, requests_I: Sequence[Sequence[Instance]], answers: Sequence[Answer]) -> None:
    """Give the requests of all items their answers, and let the task's filter take what counts from them."""
    instances = [instance for requests in requests_I for instance in requests]
    for instance, answer in zip(instances, answers, strict=True):
        instance.resps, instance.filtered_resps = [answer] * instance.repeats, {}
    if instances:
        next(ensemble for ensemble in task._filters if ensemble.name == filter_name).apply(instances)


def metrics(task: Task, filter_name: str, requests: Sequence[Instance]) -> dict[str, Any]:
    """What lm-eval makes of the answers to one item: every metric, as it would log it."""
    measured: dict[str, Any] = task.process_results(
        requests[0].doc, [request.filtered_resps[filter_name] for request in requests]
    )
    return measured


def fingerprint(task: Task, metric: str | Measure, filter_name: str, spec: FitnessSpec) -> str:
    """Digest of all but the document that a response depends on: templates, examples, decoding, metric, filter.

    A measure counts with its settings.
    """
    config = {name: value for name, value in task.dump_config().items() if name not in _ELSEWHERE}
    measured = metric if isinstance(metric, str) else tree_of(metric)
    chat = {"system_instruction", "enable_thinking", "think_end_token"}
    said = spec.model_dump(include=chat, exclude_none=True)  # runs and banks from before these words keep their digests
    known = (config, str(task.VERSION), measured, filter_name, spec.max_length, spec.apply_chat_template)
    parts = (*known, said) if said else known
    text = json.dumps(parts, sort_keys=True, default=lambda value: getattr(value, "__qualname__", type(value).__name__))
    return hashlib.sha256(text.encode()).hexdigest()


def remember_texts(task: Task) -> None:
    """Let a task render each document once: it compiles its templates anew at every use, also to judge answers."""
    for name in ("doc_to_text", "doc_to_target", "doc_to_choice"):
        if hasattr(task, name):
            setattr(task, name, _remembered(getattr(task, name)))


def _remembered(render: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[tuple[int, ...], tuple[Any, Any]] = {}

    def remembered(doc: Any, *template: Any) -> Any:
        key = (id(doc), *map(id, template))
        if key not in known:
            known[key] = ((doc, template), render(doc, *template))  # kept alive, so that no other gets their ids
        return known[key][1]

    return remembered
