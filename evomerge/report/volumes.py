"""The volumes: what a run's front dominates, as the search believed, on selection items and on test items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import stdev

from evomerge.fitness.spec import SplitName
from evomerge.runs.front import Losses, Shape, held_losses, hypervolume, reference_point, shape_of
from evomerge.runs.joint import Joint
from evomerge.runs.results import Contender, Results

NUM_DRAWS = 400


@dataclass(frozen=True, slots=True)
class Volume:
    """One set of models on one set of items.

    Attributes:
        who: The models. Those of them that break a constraint on these items reach nothing.
        items: What they were scored on.
        shape: Of their losses.
        stderr: Of the hypervolume: its standard deviation over draws from the models' joint errors; None where the
            search's own items are meant, to which the models were fitted.
    """

    who: str
    items: str
    shape: Shape
    stderr: float | None = None


def volumes(results: Results) -> list[Volume]:
    """What can be told so far, from belief to test; nothing for a single objective, whose volume is its score."""
    if results.fitness.num_objectives < 2 or not results.scored:
        return []
    return list(_volumes(results, reference_point(results)))


def _volumes(results: Results, point: Losses) -> Iterator[Volume]:
    believed = [candidate.losses for candidate in results.holding]
    yield Volume(f"all {len(results.scored)} candidates", "search, as believed", shape_of(believed, point))
    finalists, members, references = results.finalists, results.front(), results.references
    sets: tuple[tuple[str, list[Contender], SplitName], ...] = (
        (f"{len(finalists)} finalists", finalists, "selection"),
        (f"of these, the {len(members)} on the selection front", members, "test"),
        (f"{len(references)} references", references, "test"),
    )
    for who, contenders, split in sets:
        complete = [contender for contender in contenders if contender.complete(split)]
        if complete:
            yield _volume(results, who, complete, split, point)


def _volume(results: Results, who: str, contenders: Sequence[Contender], split: SplitName, point: Losses) -> Volume:
    joint = Joint.of(results, contenders, split)
    draws_SRT = joint.draws(NUM_DRAWS)
    losses_SCO = joint.losses(draws_SRT)
    for broken_SC in joint.violations(draws_SRT).values():
        losses_SCO[broken_SC > 0] = point  # where it adds nothing
    drawn = [hypervolume(losses_CO, point) for losses_CO in losses_SCO.tolist()]
    return Volume(who, split, shape_of(held_losses(results, contenders, split), point), stdev(drawn))
