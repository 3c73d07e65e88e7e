"""Findings: what a survey means for a merge, in plain sentences, with the thresholds that they follow."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

from evomerge.checkpoints.diagnosis.gauges import REPAIRED_SHARE, SUSPECT_COSINE, Regauged
from evomerge.checkpoints.diagnosis.moments import Moments
from evomerge.checkpoints.diagnosis.survey import Survey
from evomerge.checkpoints.roles import Position
from evomerge.documents import Value

FOREIGN_NORM = 1.0
"""Relative norm of a task vector above which a part has less to do with the base than with chance."""

FOREIGN_COSINE = 0.5
"""Cosine of weights with the base's below which it is foreign too. Fine-tunes keep 0.99 and more."""

MOST = 0.5
"""Share of its parts that makes a whole model foreign."""

DWARFS = 3.0
"""Ratio of an expert's task vector to the median of the others' at which it dominates plain averages."""

UNRELATED = 0.02
"""Largest |cosine| with any other expert at which an expert's changes have nothing in common with the others'."""

ROUNDED = 0.01
"""Share of exact zeros, in tensors that did change, from which on they are worth knowing of."""

_TWINS = 1e-6
_OUTSIDE = ("embedding", "head")
_BULK = ("attention", "mlp", "router", "other")

Kind: TypeAlias = Literal["foreign", "re-gauged", "identical", "twins", "dwarfs", "unrelated", "zeros", "frozen"]
Severity: TypeAlias = Literal["stop", "care", "note"]
"""Do not merge as it is; merge with care; good to know."""


class Finding(Value):
    """One thing to know before merging.

    Attributes:
        kind: What it is.
        severity: How much it matters.
        models: Names of the experts concerned.
        sentence: What was seen and what to do.
    """

    kind: Kind
    severity: Severity
    models: tuple[str, ...]
    sentence: str


def thresholds() -> dict[str, str]:
    """The rules in words."""
    return {
        "foreign": f"norm of the changes above {FOREIGN_NORM:.0%} of the base's, or cosine of the weights with the "
        f"base's below {FOREIGN_COSINE:g}; a whole model if more than {MOST:.0%} of its parts are (vectors, embeddings "
        "and head do not count)",
        "re-gauged": f"cosine with the base below {SUSPECT_COSINE:g}, and undoing a basis change per head or a "
        f"permutation of MLP units leaves less than {REPAIRED_SHARE:.0%} of the distance",
        "dwarfs": f"norm of the changes at least {DWARFS:g} times the median of the others'",
        "unrelated": f"no cosine with another expert's changes beyond ±{UNRELATED:g}",
        "zeros": f"at least {ROUNDED:.0%} of the entries unchanged in parts that did change, embeddings and head apart",
    }


def findings(survey: Survey, gauges: Sequence[Regauged]) -> list[Finding]:
    """All findings, the gravest first.

    Args:
        survey: Of the models.
        gauges: Parts known to be the base's in another gauge, which are not foreign.
    """
    alone = _alone(survey, gauges)
    others = survey.only(able(survey, gauges))
    found = [*alone, *_twins(survey), *_dwarfs(others), *_unrelated(others)]
    grave: list[Severity] = ["stop", "care", "note"]
    return sorted(found, key=lambda finding: grave.index(finding.severity))


def able(survey: Survey, gauges: Sequence[Regauged]) -> list[str]:
    """Experts that can be merged as they are: neither foreign, nor re-gauged, nor identical to the base."""
    stopped = {name for finding in _alone(survey, gauges) if finding.severity == "stop" for name in finding.models}
    return [name for name in survey.experts if name not in stopped]


def _alone(survey: Survey, gauges: Sequence[Regauged]) -> list[Finding]:
    """What concerns each expert by itself."""
    found: list[Finding] = []
    for index, name in enumerate(survey.experts):
        own = [gauge for gauge in gauges if gauge.expert == name]
        about = [*_regauged(name, own), *_foreign(survey, index, {gauge.part for gauge in own})]
        found += about or [*_unchanged(survey, index), *_zeros(survey, index)]
    return found


def _regauged(name: str, gauges: list[Regauged]) -> Iterator[Finding]:
    for symmetry, what, undo in (
        ("value basis", "value and output projections are the base's in another basis", "undoing one map per head"),
        ("unit order", "hidden units of the MLP are the base's in another order", "putting them back in order"),
    ):
        some = [gauge for gauge in gauges if gauge.symmetry == symmetry]
        if not some:
            continue
        before = statistics.median(gauge.before for gauge in some)
        after = statistics.median(gauge.after for gauge in some)
        text = (
            f"{name} is re-gauged in {_layers({gauge.layer for gauge in some})}: its {what}. They differ by "
            f"{before:.2f} of the base's norm as they stand and by {after:.2f} after {undo}. The model computes the "
            "same, but merging it entry by entry breaks it; align it to the base first."
        )
        yield Finding(kind="re-gauged", severity="stop", models=(name,), sentence=text)


def _foreign(survey: Survey, index: int, known: set[Position]) -> Iterator[Finding]:
    name = survey.experts[index]
    bulk = {position: part for position, part in survey.matrices.parts.items() if position.role in _BULK}
    parts = [position for position, part in bulk.items() if position not in known and _is_foreign(part, index)]
    if not parts:
        return
    change = sum((bulk[position] for position in parts), Moments.nothing(len(survey.experts))).change(index)
    numbers = f"relative norm {change.relative_norm:.2f}, cosine with the base {change.cosine_with_base or 0:.2f}"
    rule = f"a part counts as foreign above {FOREIGN_NORM:g} or below {FOREIGN_COSINE:g}"
    if len(parts) > MOST * len(bulk):
        text = (
            f"{name} is foreign: in {len(parts)} of {len(bulk)} parts its weights are not a fine-tune of "
            f"{survey.base} ({numbers}; {rule}). Leave it out, or name the base that it was trained from."
        )
        yield Finding(kind="foreign", severity="stop", models=(name,), sentence=text)
        return
    roles = " and ".join(sorted({position.role for position in parts}))
    text = (
        f"{name} has foreign parts: {roles} in {_layers({position.layer for position in parts})} ({numbers}; {rule}). "
        "Take these from one model, or leave them to the base."
    )
    yield Finding(kind="foreign", severity="care", models=(name,), sentence=text)


def _is_foreign(part: Moments, index: int) -> bool:
    change = part.change(index)
    far = change.relative_norm is not None and change.relative_norm > FOREIGN_NORM
    return far or (change.cosine_with_base is not None and change.cosine_with_base < FOREIGN_COSINE)


def _unchanged(survey: Survey, index: int) -> Iterator[Finding]:
    name = survey.experts[index]
    if not survey.whole.change(index).norm:
        text = (
            f"{name} is identical to {survey.base}: it adds nothing to a merge. Check that the path is the one meant."
        )
        yield Finding(kind="identical", severity="stop", models=(name,), sentence=text)
        return
    roles = {role: part for role, part in _by_role(survey).items() if not part.change(index).norm}
    if roles:
        text = f"{name} left {_listed(list(roles))} as in {survey.base}: genes for it there change nothing."
        yield Finding(kind="frozen", severity="note", models=(name,), sentence=text)


def _by_role(survey: Survey) -> dict[str, Moments]:
    parts: dict[str, Moments] = {}
    for position, part in survey.parts.items():
        parts[position.role] = parts[position.role] + part if position.role in parts else part
    return parts


def _zeros(survey: Survey, index: int) -> Iterator[Finding]:
    """Zeros where training did move the tensor; rows of tokens that were never seen are another matter."""
    moved = [
        part
        for position, part in survey.parts.items()
        if position.role not in _OUTSIDE and part.change(index).norm
    ]  # fmt: skip
    if not moved:
        return
    share = sum(moved, Moments.nothing(len(survey.experts))).change(index).zero_share
    if share >= ROUNDED:
        text = (
            f"{share:.0%} of {survey.experts[index]}'s changes are exactly zero where its tensors did change: steps "
            "smaller than the stored precision were rounded away, or it was trained sparsely. A density above "
            f"{1 - share:.2g} keeps everything it has."
        )
        yield Finding(kind="zeros", severity="note", models=(survey.experts[index],), sentence=text)


def _twins(survey: Survey) -> Iterator[Finding]:
    whole = survey.whole
    for one, other in survey.pairs:
        if whole.change(one).norm and whole.distance(one, other) < _TWINS:
            names = survey.experts[one], survey.experts[other]
            text = f"{names[0]} and {names[1]} are the same model: one of them counts twice. Leave one out."
            yield Finding(kind="twins", severity="stop", models=names, sentence=text)


def _dwarfs(survey: Survey) -> Iterator[Finding]:
    norms = {name: survey.whole.change(index).norm for index, name in enumerate(survey.experts)}
    for name, norm in norms.items():
        others = [other for rival, other in norms.items() if rival != name and other > 0]
        if others and norm >= DWARFS * statistics.median(others):
            text = (
                f"{name} dwarfs the others: its task vector is {norm / statistics.median(others):.1f} times as long as "
                "theirs (median). Averages, sign votes and largest-magnitude rules follow it; give it a smaller "
                "weight, or a range of weights of its own."
            )
            yield Finding(kind="dwarfs", severity="care", models=(name,), sentence=text)


def _unrelated(survey: Survey) -> Iterator[Finding]:
    whole, closest = survey.whole, dict.fromkeys(survey.experts, 0.0)
    for one, other in survey.pairs:
        cosine = abs(whole.kinship(one, other).cosine or 0.0)
        for index in (one, other):
            closest[survey.experts[index]] = max(closest[survey.experts[index]], cosine)
    moved = [name for index, name in enumerate(survey.experts) if whole.change(index).norm]
    loners = [name for name in moved if closest[name] <= UNRELATED and len(moved) > 1]
    if loners:
        text = (
            f"The changes of {_listed(loners)} are unrelated to all others (cosine at most "
            f"{max(closest[name] for name in loners):.3f}): they barely interfere in sums, and a sign vote with them "
            "is a coin toss."
        )
        yield Finding(kind="unrelated", severity="note", models=tuple(loners), sentence=text)


def _layers(layers: set[int | None]) -> str:
    """Layers in words, neighbours as a range: `layers 0–3, 7`."""
    inside = sorted(layer for layer in layers if layer is not None)
    if not inside:
        return "tensors outside the layers"
    runs = [[inside[0], inside[0]]]
    for layer in inside[1:]:
        if layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    words = ", ".join(f"{first}–{last}" if last > first else f"{first}" for first, last in runs)
    return f"layer{'s' if len(inside) > 1 else ''} {words}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
