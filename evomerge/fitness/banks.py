"""Banks of a fitness document: opened, checked against its tasks, and cut to the items that search may see."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evomerge.errors import ConfigError, Problem
from evomerge.fitness.irt import Bank
from evomerge.fitness.items import ItemSplits
from evomerge.fitness.spec import FitnessSpec, TaskEntry

_MEND = "Name the bank of this task, or fit one: `evomerge calibrate items {where} --task {label}`."


def open_banks(
    spec: FitnessSpec, splits: ItemSplits, where: str, versions: Mapping[str, str] | None = None
) -> dict[str, Bank]:
    """The banks that a fitness document names, each of its task's search items in their order.

    Parts of an item's digest are the document, the prompt, the examples, the metric and the task's version, so a bank
    of anything else lacks items.

    Args:
        spec: The document.
        splits: Its items.
        where: Its name, for messages.
        versions: Of the tasks as they are now, by label, for messages.

    Returns:
        By label, of the tasks that name one. `Bank.digest` of each belongs to a run's identity.

    Raises:
        ConfigError: With all problems: a file that is missing or no bank, a bank of another task, metric or version, or
            one that lacks items.
    """
    banks: dict[str, Bank] = {}
    problems: list[Problem] = []
    for label, (file, bank) in read_banks(spec, where, problems).items():
        entry, place = spec.tasks[label], f"{where}: tasks.{label}.bank"
        digests = [splits.digests[label][position] for position in splits.search[label]]
        if missing := bank.missing(digests):
            what = _difference(bank, entry, (versions or {}).get(label), len(missing), len(digests))
            problems.append(Problem(place, f"{file} {what} {_MEND.format(where=where, label=label)}"))
        else:
            banks[label] = bank.of(digests, file)
    ConfigError.raise_if_any(problems)
    return banks


def read_banks(spec: FitnessSpec, where: str, problems: list[Problem]) -> dict[str, tuple[str, Bank]]:
    """The banks that a fitness document names, whole and unchecked, each with its file, by label.

    Args:
        spec: The document.
        where: Its name, for messages.
        problems: Gets one for every file that is missing or no bank.
    """
    found: dict[str, tuple[str, Bank]] = {}
    for label, file in ((label, entry.bank) for label, entry in spec.tasks.items() if entry.bank is not None):
        try:
            found[label] = file, Bank.load(Path(file).expanduser())
        except ConfigError as error:
            problems += [Problem(f"{where}: tasks.{label}.bank", str(problem)) for problem in error.problems]
    return found


def _difference(bank: Bank, entry: TaskEntry, version: str | None, num_missing: int, num_items: int) -> str:
    """In what a bank that lacks items differs from the task that it is named for, as far as can be told."""
    known = bank.provenance
    given = {"task": (known.task, entry.task), "metric": (known.metric, entry.metric_words)}
    given |= {"version": (known.task_version, version)} if version is not None else {}
    others = [f"{name} {was}, not {wanted}" for name, (was, wanted) in given.items() if was != wanted]
    lacks = f"lacks {num_missing} of the {num_items} search items"
    if others:
        return f"is of {'; '.join(others)}; it {lacks}."
    if num_missing < num_items:
        return f"{lacks}: more items are searched now than when it was fitted, or documents changed."
    return (
        f"{lacks}: {known.task} {known.task_version} was asked in another way (prompt, examples, filter, chat, length)."
    )
