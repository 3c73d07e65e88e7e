"""Replies: what a model answered to each item, read from lm-eval's requests for the measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.task import Task

from evomerge.fitness.measures import Reply


def reply(task: Task, filter_name: str, requests: Sequence[Instance], where: str) -> Reply:
    """What was answered to one item.

    Args:
        task: lm-eval's.
        filter_name: Its filter, which has been applied.
        requests: What was asked about the item, with the answers.
        where: The task's place in the fitness document, for messages.
    """
    where = f"{where}: document {requests[0].doc_id}"
    filtered = [request.filtered_resps[filter_name] for request in requests]
    if task.OUTPUT_TYPE != "multiple_choice":
        return Reply(str(requests[0].resps[0]), str(filtered[0]), where=where)
    choices = task.doc_to_choice(requests[0].doc)
    odds_C = [log_likelihood for log_likelihood, _ in filtered[: len(choices)]]  # what follows are those without prompt
    return Reply(
        log_likelihoods_C=np.array(odds_C, np.float64),
        characters_C=np.array([len(choice) for choice in choices], np.float64),
        bytes_C=np.array([len(choice.encode()) for choice in choices], np.float64),
        right=_right(task, requests[0].doc, choices),
        where=where,
    )


def _right(task: Task, doc: Any, choices: Sequence[str]) -> frozenset[int]:
    """Positions of the right choices, which a task gives by number, by text, or as a list; others are left out."""
    given = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    golds = given if isinstance(given, list) else [given]
    places = [choices.index(gold) if isinstance(gold, str) and gold in choices else gold for gold in golds]
    return frozenset(place for place in places if isinstance(place, int) and 0 <= place < len(choices))
