"""Racing: how a generation's candidates are asked in rungs, and which of them go on after each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import pydantic
from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from evomerge.documents import Value, fault, shown, suggestion
from evomerge.fitness.irt.model import Floats


class NoRacing(Value):
    """Every candidate is asked all items of the estimator."""

    name: Literal["none"] = "none"

    def rungs(self, num_items: int) -> tuple[int, ...]:
        """Items of each task that a candidate has been asked at the end of every rung."""
        return (num_items,)

    def survivors(self, losses_CO: Floats, errors_CO: Floats) -> list[int]:
        """Positions of the candidates that go on, ascending."""
        return list(range(len(losses_CO)))


class Halving(Value):
    """Successive halving (Jamieson and Talwalkar, 1502.07943): the better share goes on, with twice as many items.

    Attributes:
        first: Items of each task that everyone is asked; absent: a quarter of the estimator's.
        keep: Share of the candidates that goes on after each rung.
    """

    name: Literal["halving"] = "halving"
    first: int | None = pydantic.Field(default=None, ge=1)
    keep: float = pydantic.Field(default=0.5, gt=0, lt=1)

    def rungs(self, num_items: int) -> tuple[int, ...]:
        """See `NoRacing.rungs`."""
        return tuple(_doubled(self.first or max(1, num_items // 4), num_items))

    def survivors(self, losses_CO: Floats, errors_CO: Floats) -> list[int]:
        """See `NoRacing.survivors`. Of several objectives: layers of domination, then those that are alone."""
        return sorted(_best_first(losses_CO)[: math.ceil(self.keep * len(losses_CO))])


class Posterior(Value):
    """Racing on the estimates: whoever is surely beaten by as many others as may go on, stops.

    Attributes:
        step: Items of each task that are asked between two looks.
        z: One candidate surely beats another when it is better by so many standard errors of their difference, on
            every objective.
        keep: Share of the generation that is never stopped.
    """

    name: Literal["posterior"] = "posterior"
    step: int = pydantic.Field(default=10, ge=1)
    z: float = pydantic.Field(default=1.0, ge=0)
    keep: float = pydantic.Field(default=0.25, gt=0, lt=1)

    def rungs(self, num_items: int) -> tuple[int, ...]:
        """See `NoRacing.rungs`."""
        return (*range(self.step, num_items, self.step), num_items)

    def survivors(self, losses_CO: Floats, errors_CO: Floats) -> list[int]:
        """See `NoRacing.survivors`."""
        ahead_CCO = losses_CO[:, None] - losses_CO[None]
        unsure_CCO = np.sqrt(errors_CO[:, None] ** 2 + errors_CO[None] ** 2)
        num_better_C = (ahead_CCO > self.z * unsure_CCO).all(-1).sum(1)
        return np.flatnonzero(num_better_C < math.ceil(self.keep * len(losses_CO))).tolist()


RacingValue: TypeAlias = NoRacing | Halving | Posterior
_RACES: Mapping[str, type[RacingValue]] = {"none": NoRacing, "halving": Halving, "posterior": Posterior}


def _parse(given: Any) -> RacingValue:
    if isinstance(given, NoRacing | Halving | Posterior):
        return given
    name = given.get("name") if isinstance(given, Mapping) else given
    if not isinstance(name, str) or name not in _RACES:
        raise fault(f'there is no racing "{shown(name)}". {suggestion(str(name), _RACES)}')
    return _RACES[name].model_validate(given if isinstance(given, Mapping) else {"name": name})


Racing: TypeAlias = Annotated[RacingValue, pydantic.BeforeValidator(_parse)]


def ranked(losses: Sequence[tuple[float, ...]]) -> list[list[int]]:
    """Positions in layers: the first is dominated by nobody, the next by the first only, and so on."""
    if not losses:
        return []
    return [sorted(int(index) for index in layer) for layer in NonDominatedSorting().do(np.array(losses))]


def not_dominated(losses: Sequence[tuple[float, ...]]) -> list[int]:
    """Positions that no other dominates, ascending."""
    return ranked(losses)[0] if losses else []


def _doubled(first: int, last: int) -> Iterator[int]:
    while first < last:
        yield first
        first *= 2
    yield last


def _best_first(losses_CO: Floats) -> list[int]:
    order: list[int] = []
    for layer in NonDominatedSorting().do(losses_CO):
        alone = get_crowding_function("cd").do(losses_CO[layer], n_remove=0)
        order += [int(layer[index]) for index in np.lexsort((layer, -alone))]
    return order
