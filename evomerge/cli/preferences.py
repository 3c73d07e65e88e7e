"""Preferences as they are typed: `math=2,japanese=1`, `math=0.4`, `math_ja=0.95*base`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from evomerge.documents import suggestion
from evomerge.errors import ConfigError, Problem
from evomerge.runs.preference import Bound, Preference
from evomerge.runs.results import Contender, Results


def parse_preference(
    results: Results, weights: str | None, floors: Sequence[str], ceilings: Sequence[str], *, at_knee: bool
) -> Preference:
    """Read what a person typed, against the objectives, tasks and references of a run.

    Raises:
        ConfigError: With all problems.
    """
    problems: list[Problem] = []
    parsed = dict(_weights(results, weights or "", problems))
    bounds = [
        bound
        for option, texts, is_floor in (("--at-least", floors, True), ("--at-most", ceilings, False))
        for text in texts
        for bound in _bounds(results, option, text, problems, is_floor=is_floor)
    ]
    ConfigError.raise_if_any(problems)
    return Preference(parsed, tuple(bounds), at_knee)


def _weights(results: Results, text: str, problems: list[Problem]) -> Iterator[tuple[str, float]]:
    names = results.fitness.objectives.names
    found: dict[str, float] = {}
    for name, value in _pairs("--weights", text, problems):
        if name not in names:
            problems.append(Problem("--weights", f'"{name}" is not an objective. {suggestion(name, names)}'))
        elif (weight := _number(value)) is None or weight < 0:
            problems.append(Problem("--weights", f"{name}={value}: a weight is a number from 0."))
        else:
            found[name] = weight
    if len(found) == len(names) and not any(found.values()):
        problems.append(Problem("--weights", "all weights are 0. Give one objective at least a positive one."))
    yield from found.items()


def _bounds(results: Results, option: str, text: str, problems: list[Problem], *, is_floor: bool) -> Iterator[Bound]:
    objectives = results.fitness.objectives
    directions = {**objectives.directions, **objectives.higher_is_better}
    for name, value in _pairs(option, text, problems):
        if name not in directions:
            what = f'"{name}" is neither an objective nor a task. {suggestion(name, directions)}'
            problems.append(Problem(option, what))
        elif directions[name] != is_floor:
            better, other = ("higher", "--at-least") if directions[name] else ("lower", "--at-most")
            problems.append(Problem(option, f"{name} is better when {better}. Say {other} {name}={value}."))
        elif (limit := _limit(results, name, value)) is None:
            known = ", ".join(reference.name for reference in _references(results)) or "none has been scored"
            what = f"{name}={value}: a limit is a number, a reference's name or a share of one, such as 0.95*base."
            problems.append(Problem(option, f"{what} References: {known}."))
        else:
            yield Bound(name, limit, is_floor)


def _limit(results: Results, name: str, text: str) -> float | None:
    """A number, or what a reference has on the selection items (taken as exact), times a number."""
    if (number := _number(text)) is not None:
        return number
    share, _, reference = text.rpartition("*")
    factor = _number(share) if share else 1.0
    contender = next((one for one in _references(results) if one.name == reference.strip()), None)
    if factor is None or contender is None:
        return None
    scores = contender.estimates["selection"]
    values = {label: score.value for label, score in scores.items()}
    values |= {name: value.value for name, value in results.values(contender, "selection").items()}
    return factor * values[name]


def _references(results: Results) -> list[Contender]:
    return [reference for reference in results.references if reference.complete("selection")]


def _pairs(option: str, text: str, problems: list[Problem]) -> Iterator[tuple[str, str]]:
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, is_pair, value = part.partition("=")
        if is_pair and value:
            yield name.strip(), value.strip()
        else:
            problems.append(Problem(option, f'"{part}" is no NAME=VALUE. Write {name.strip() or "math"}=0.4.'))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
