"""Stages: the steps of a merge operator, each a value in one of the ordered slots of the algebra."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias, get_args

import pydantic

from evomerge.documents import Value, fault, shown, suggestion, tree_of
from evomerge.recipe.numbers import Densities, Fraction

SLOTS = ("origin", "gate", "restore", "vote", "weigh", "reduce", "post")
"""The order in which stages act. `gate` and `post` may repeat; the others stand once at most."""

REPEATABLE = ("gate", "post")

CANCELLED = 1e-6
"""Weights whose sum is a smaller share than this of their sizes cancel: no mean can be taken over them."""


class Origin(Value):
    """What experts are measured from: the blend's origin, or zero (whole weights rather than task vectors)."""

    origin: Literal["base", "zero"]


class NoGate(Value):
    """Keeps every entry. A density may stand beside it without effect, so that a hole can choose a gate or none."""

    gate: Literal["none"]
    density: Densities | None = None


class TopGate(Value):
    """Keeps the `int(density · numel)` entries of largest magnitude in each tensor, at least one.

    Ties go to the entry that comes first. TIES (arXiv:2306.01708) trims so, but over the whole model.
    """

    gate: Literal["top"]
    density: Densities


class BernoulliGate(Value):
    """Keeps each entry with probability `density`, as DARE (arXiv:2311.03099) does.

    The draw of an entry depends on the blend's seed, the expert and the tensor alone; masks are nested in density.
    """

    gate: Literal["bernoulli"]
    density: Densities


class Restore(Value):
    """Gives back what the gates took: nothing, 1/density (DARE), or each tensor's L1 norm (mergekit's DARE).

    With several gates, the density is the product over kinds of the smallest of each kind, because the masks of one
    kind are nested.
    """

    restore: Literal["none", "inverse", "l1"]


class Vote(Value):
    """Which experts may speak at an entry: all, or those whose sign agrees with the elected one.

    The elected sign is that of the weighted or plain sum over experts; a sum of zero elects plus
    (TIES, arXiv:2306.01708, elects with plain sums; mergekit with weighted ones).
    """

    vote: Literal["none", "sign"]
    tally: Literal["weighted", "plain"] = "weighted"


class Weigh(Value):
    """How loudly each expert speaks: one factor per expert, in the blend's order."""

    weigh: tuple[float, ...]


class Linear(Value):
    """Adds the weighed experts; `mean` then divides each entry by the weights of the experts that speak there.

    Where those weights cancel, `mean` leaves the sum as it is.
    """

    reduce: Literal["sum", "mean"]


class Sphere(Value):
    """Spherical interpolation from the first of two experts (t = 0) to the second (t = 1), tensor by tensor."""

    reduce: Literal["sphere"]
    t: Fraction


class Scale(Value):
    """Multiplies the merged task vector (λ of task arithmetic, arXiv:2212.04089)."""

    post: Literal["scale"]
    by: float


StageValue: TypeAlias = Origin | NoGate | TopGate | BernoulliGate | Restore | Vote | Weigh | Linear | Sphere | Scale

_LIST = "[number, …]"


def _slot_of(kind: type[Value]) -> str:
    return next(iter(kind.model_fields))


def _names_of(kind: type[Value]) -> tuple[str, ...]:
    return get_args(kind.model_fields[_slot_of(kind)].annotation) if kind is not Weigh else (_LIST,)


_KINDS: dict[str, dict[str, type[Value]]] = {slot: {} for slot in SLOTS}
for _kind in get_args(StageValue):
    _KINDS[_slot_of(_kind)].update(dict.fromkeys(_names_of(_kind), _kind))


def cancel(weights: Sequence[float]) -> bool:
    """Whether no mean can be taken with these weights."""
    return abs(math.fsum(weights)) <= CANCELLED * math.fsum(map(abs, weights))


def slot(stage: StageValue) -> str:
    """The slot a stage stands in."""
    return _slot_of(type(stage))


def parse_stage(tree: Any) -> StageValue:
    """Read one stage: the key that names its slot, the kind as its value, parameters beside it."""
    if isinstance(tree, get_args(StageValue)):
        return tree  # type: ignore[no-any-return]  # isinstance over get_args is opaque to mypy
    if not isinstance(tree, Mapping):
        raise fault(f"{shown(tree)} is not a stage. Write a mapping such as {{gate: top, density: 0.3}}.")
    found = [name for name in tree if name in SLOTS]
    if len(found) != 1:
        raise fault(f"{shown(dict(tree))} must name one slot, not {len(found)}. Slots: {', '.join(SLOTS)}.")
    kinds = _KINDS[found[0]]
    given = tree[found[0]]
    if isinstance(given, Sequence) and not isinstance(given, str) and _LIST in kinds:
        given = _LIST
    if not isinstance(given, str) or given not in kinds:
        raise fault(f'"{shown(given)}" is no kind of {found[0]}. {suggestion(str(given), list(kinds))}')
    return kinds[given].model_validate(tree)  # type: ignore[return-value]


def _in_order(pipe: tuple[StageValue, ...]) -> tuple[StageValue, ...]:
    slots = [slot(stage) for stage in pipe]
    for before, after in itertools.pairwise(slots):
        if SLOTS.index(before) > SLOTS.index(after):
            raise fault(f'"{after}" stands after "{before}". Stages act in this order: {", ".join(SLOTS)}.')
        if before == after and before not in REPEATABLE:
            raise fault(f'"{before}" stands twice. Only {" and ".join(REPEATABLE)} may repeat.')
    return pipe


Stage: TypeAlias = Annotated[StageValue, pydantic.PlainValidator(parse_stage), pydantic.PlainSerializer(tree_of)]
Pipe: TypeAlias = Annotated[tuple[Stage, ...], pydantic.AfterValidator(_in_order)]
