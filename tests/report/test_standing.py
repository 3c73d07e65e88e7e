"""Who is on the front and how surely, and what the front reaches, as the page has it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from evomerge.report.standing import standing
from evomerge.report.tables import rows
from evomerge.report.volumes import volumes
from evomerge.runs.front import hypervolume, reference_point
from evomerge.runs.joint import Joint


def test_probabilities_stand_in_the_tables(told: Callable[[str], Any]) -> None:
    run, page = told("two")
    found = standing(run.results)
    assert set(found.on_front) == {finalist.name for finalist in run.results.finalists}
    for row in rows(run.results):
        assert row.membership == found.on_front.get(row.contender.name)
    shares = [found.on_front[one.name] for one in found.finalists]
    assert shares == sorted(shares, reverse=True)
    assert "10,000 seeded draws" in page.text("#dominance")
    for one in found.finalists:
        for other in found.finalists:
            both = found.dominates[one.name, other.name] + found.dominates[other.name, one.name]
            assert 0 <= both <= 1


def test_without_selection_scores_nobody_stands_anywhere(make_run: Callable[..., Any]) -> None:
    results = make_run(splits=("search",), finished=False).results
    assert standing(results).finalists == ()
    assert all(row.membership is None and row.percent == "" for row in rows(results))


def test_volumes_go_from_belief_to_test(told: Callable[[str], Any]) -> None:
    run, page = told("two")
    results, found = run.results, volumes(run.results)
    assert [volume.items for volume in found] == ["search, as believed", "selection", "test", "test"]
    point = reference_point(results)
    members = [results.fitness.objectives.losses(member.estimates["test"]) for member in results.front()]
    assert found[2].shape.volume == pytest.approx(hypervolume(members, point))
    for volume in found:
        assert f"{volume.shape.volume:.3f}" in page.text("#volumes")
        assert volume.stderr is None or 0 < volume.stderr < 0.2
    assert "measured from the corner maths 0, japanese 0: loss 1 on every objective" in page.text("p")


def test_volumes_need_two_objectives_and_a_score(told: Callable[[str], Any], make_run: Callable[..., Any]) -> None:
    assert volumes(told("one")[0].results) == []
    assert volumes(make_run(candidates=0, assessed=False).results) == []
    assert len(volumes(make_run(assessed=False).results)) == 1


def test_what_breaks_a_constraint_reaches_nothing(make_run: Callable[..., Any]) -> None:
    free, bound, never = (
        volumes(make_run(options={"constraints": [{"task": "math_en", "at_least": least}]}).results)
        for least in (0.0, 0.2, 1.0)
    )
    assert all(one.shape.volume > two.shape.volume for one, two in zip(free[:2], bound[:2], strict=True))
    assert bound[0].shape.volume > 0
    assert [(one.shape.volume, one.shape.size) for one in never] == [(0, 0)] * 4
    assert [one.stderr for one in never] == [None, 0, 0, 0]
    assert free == volumes(make_run().results)


def test_a_cost_counts_among_who_dominates_whom(make_run: Callable[..., Any]) -> None:
    sized = {"maths": ["math_en"], "size": {"cost": "parameters"}}
    results = make_run(objectives=sized, candidates=0, assessed=False).results
    costs = {name: 0.2 * place for place, name in enumerate(("a", "b", "c"), start=1)}
    some = make_run().results.finalists[0]
    contenders = [dataclasses.replace(some, name=name, costs={"parameters": cost}) for name, cost in costs.items()]
    joint = Joint.of(results, contenders, "selection")
    assert joint.losses(joint.draws(5))[..., 1].tolist() == [pytest.approx([0.2, 0.4, 0.6])] * 5
