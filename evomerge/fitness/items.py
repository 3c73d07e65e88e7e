"""Items: which documents of a task search, selection and test may see."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from evomerge.errors import ConfigError, EvomergeError, Problem
from evomerge.fitness.spec import Caps, Shares, SplitName

Doc: TypeAlias = Mapping[str, Any]
SPLITS: tuple[SplitName, ...] = ("search", "selection", "test")


@dataclass(frozen=True, slots=True)
class ItemSplits:
    """The items of every task, divided once and for all.

    Attributes:
        search: Positions of the documents that candidates are scored on, by label, ascending.
        selection: Those that finalists are chosen on.
        test: Those that the reported numbers come from.
        digests: 16 hexadecimal digits per item of any split, by label and position: the document, and how it is scored.
    """

    search: Mapping[str, tuple[int, ...]]
    selection: Mapping[str, tuple[int, ...]]
    test: Mapping[str, tuple[int, ...]]
    digests: Mapping[str, Mapping[int, str]]


def split_items(
    documents: Mapping[str, Sequence[Doc]], fingerprints: Mapping[str, str], shares: Shares, caps: Caps, where: str
) -> ItemSplits:
    """Divide all documents of all tasks among search, selection and test.

    A document's split depends on its own content (or the fields `shares.by` of it) only: not on a seed, on the order of
    the documents, on the others or on the task. A document that a task has twice counts once. Where a split has more
    items than its cap, those with the smallest digests of their content stay, so that a larger cap adds items.

    Args:
        documents: By label, in the harness's order.
        fingerprints: By label: what else a response depends on, such as the prompt's template.
        shares: How to divide.
        caps: At most so many of each split.
        where: The fitness document's name, for messages.

    Raises:
        ConfigError: If a task lacks a field of `shares.by`, or has no items in some split.
    """
    ConfigError.raise_if_any(_missing_fields(documents, shares, where))
    divided = {label: _divide(docs, shares, caps) for label, docs in documents.items()}
    ConfigError.raise_if_any(_empty_splits(divided, documents, where))

    def positions(name: SplitName) -> dict[str, tuple[int, ...]]:
        return {label: tuple(sorted(splits[name].values())) for label, splits in divided.items()}

    digests = {
        label: {
            position: _sha256(fingerprints[label], content)[:16]
            for items in splits.values()
            for content, position in items.items()
        }
        for label, splits in divided.items()
    }
    return ItemSplits(positions("search"), positions("selection"), positions("test"), digests)


def _divide(docs: Sequence[Doc], shares: Shares, caps: Caps) -> dict[SplitName, dict[str, int]]:
    """Per split, position of each document by the digest of its content."""
    positions: dict[str, int] = {}
    splits: dict[SplitName, dict[str, int]] = {name: {} for name in SPLITS}
    for position, doc in enumerate(docs):
        positions.setdefault(_sha256(_canonical(doc)), position)
    for content in sorted(positions):
        subject = [docs[positions[content]][field] for field in shares.by] or docs[positions[content]]
        name = _split_of(_sha256(_canonical(subject)), shares)
        if name and (getattr(caps, name) is None or len(splits[name]) < getattr(caps, name)):
            splits[name][content] = positions[content]
    return splits


def _split_of(digest: str, shares: Shares) -> SplitName | None:
    """The split of a digest, read as a number in [0, 1); None beyond the last share."""
    fraction, end = int(digest[:13], 16) / 16**13, 0.0  # 52 bits: exact in a float
    for name in SPLITS:
        end += getattr(shares, name)
        if fraction < end:
            return name
    return None


def _missing_fields(documents: Mapping[str, Sequence[Doc]], shares: Shares, where: str) -> Iterator[Problem]:
    for label, docs in documents.items():
        for index, field in enumerate(shares.by):
            if doc := next((doc for doc in docs if field not in doc), None):
                what = f'a document of task "{label}" has no field "{field}". It has {", ".join(sorted(doc))}.'
                yield Problem(
                    f"{where}: splits.by[{index}]", f"{what} Name a field that every task has, or leave `by` out."
                )


def _empty_splits(
    divided: Mapping[str, Mapping[SplitName, Mapping[str, int]]], documents: Mapping[str, Sequence[Doc]], where: str
) -> Iterator[Problem]:
    for label, splits in divided.items():
        for name in SPLITS:
            if not splits[name]:
                number = len(documents[label])
                what = f"none of its {number} document{'s' if number != 1 else ''} falls into the {name} split."
                advice = (
                    f"Raise splits.{name}, split by a field with more different values, or choose a task with more."
                )
                yield Problem(f"{where}: tasks.{label}", f"{what} {advice}")


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    raise EvomergeError(
        f"A document holds a {type(value).__name__}, which has no canonical form; such tasks cannot be split."
    )


def _sha256(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
