"""Figures: what they say, from the text that is in them."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evomerge.recipe import Recipe
from evomerge.report.figures import Picture
from evomerge.report.figures.belief import belief
from evomerge.report.figures.convergence import convergence
from evomerge.report.figures.front import front, title, unbeaten
from evomerge.report.figures.gap import gap
from evomerge.report.figures.parallel import parallel
from evomerge.report.figures.progress import progress
from evomerge.report.figures.ranking import ranking
from evomerge.report.figures.weights import parts, weights
from evomerge.runs.results import Results


def words(picture: Picture | None) -> list[str]:
    """The texts in a drawing."""
    assert picture is not None
    return [element.text or "" for element in ET.fromstring(picture.svg).iter() if element.tag.endswith("}text")]


@pytest.mark.parametrize(
    ("objectives", "figures"),
    [
        ("one", ["ranking", "progress", "gap", "belief", "niches", "weights"]),
        ("two", ["ranking", "front", "progress", "convergence", "gap", "belief", "niches", "weights"]),
        ("three", ["ranking", "parallel", "progress", "convergence", "gap", "belief", "niches", "weights"]),
    ],
)
def test_which_figures_there_are_depends_on_the_objectives(
    told: Callable[[str], Any], objectives: str, figures: list[str]
) -> None:
    _, page = told(objectives)
    identifiers = [value for name, value in page.attributes if name == "id" and value.startswith("figure-")]
    assert [identifier.removeprefix("figure-") for identifier in identifiers] == figures


def test_the_front_names_its_axes_its_models_and_its_markers(told: Callable[[str], Any]) -> None:
    run, page = told("two")
    found = page.texts["#figure-front"]
    assert "maths: accuracy (higher is better)" in found
    assert "japanese: accuracy (higher is better)" in found
    assert {"base", "math", "ja", "code", "uniform"} <= set(found)
    assert {"28 candidates (search items)", "the chosen merge", "references (test items)"} <= set(found)
    assert run.results.best().name.removeprefix("candidate ") in found
    assert "one standard error" in page.text("#figure-front")


def test_the_front_says_how_many_finalists_hold_against_the_references(make_run: Callable[..., Any]) -> None:
    strong, weak = make_run().results, make_run(skill=0.0).results
    assert len(unbeaten(strong)) == len(strong.finalists)
    assert title(strong) == f"No reference beats any of the {len(strong.finalists)} finalists on both objectives"
    assert 0 <= len(unbeaten(weak)) < len(weak.finalists)
    assert title(weak).startswith(f"No reference beats {len(unbeaten(weak))} of the {len(weak.finalists)} finalists")
    assert title(make_run(candidates=8, only_favourite=True).results).startswith("No reference beats the")


def test_a_reference_that_breaks_a_constraint_beats_no_finalist_that_holds_them(make_run: Callable[..., Any]) -> None:
    free = make_run(skill=0.3).results
    best = max(one.estimates["test"]["math_ja"].value for one in free.references)
    above = {one.name for one in free.finalists if one.estimates["test"]["math_ja"].value > best}
    constraint = {"task": "math_ja", "at_least": best + 0.01}  # which all references break
    bound = make_run(skill=0.3, options={"constraints": [constraint]}).results
    assert above - {one.name for one in unbeaten(free)}
    assert above <= {one.name for one in unbeaten(bound)}
    picture, nothing = front(bound), front(bounded(make_run, 1.0))
    assert picture is not None
    assert picture.caption.endswith("The line leaves out members that break a constraint on test items.")
    assert nothing is not None, "nobody holds the constraint"


def test_before_the_finals_the_front_shows_candidates_only(make_run: Callable[..., Any]) -> None:
    results = make_run(assessed=False, finished=False, lower_is_better=("form_ja",)).results
    picture = front(results)
    assert "japanese: accuracy (lower is better)" in words(picture)
    assert picture is not None
    assert picture.title == "Scores of 14 candidates on both objectives"
    assert "front members" not in picture.caption
    assert belief(results) is ranking(results) is weights(results) is None


def test_parallel_coordinates_show_every_objectives_range(told: Callable[[str], Any]) -> None:
    run, page = told("three")
    results: Results = run.results
    found = page.texts["#figure-parallel"]
    assert {"maths", "japanese", "code", "accuracy", "higher is better"} <= set(found)
    losses = [results.fitness.objectives.losses(one.estimates["test"]) for one in results.contenders.values()]
    losses += [candidate.losses for candidate in results.scored]
    for column in np.array(losses).T:
        assert f"{1 - column.min():.3f}" in found
        assert f"{1 - column.max():.3f}" in found
    assert {"uniform", "base", "math", "ja"} <= set(found)


def test_parallel_coordinates_of_a_running_search(make_run: Callable[..., Any]) -> None:
    picture = parallel(make_run(objectives=3, candidates=2, assessed=False, finished=False).results)
    assert picture is not None
    assert "chosen merge" not in picture.caption


def test_the_ranking_is_in_order_of_the_test_score(told: Callable[[str], Any]) -> None:
    run, page = told("one")
    results: Results = run.results
    found = [word for word in page.texts["#figure-ranking"] if word in results.contenders]
    means = [results.mean_of_tasks(results.contenders[name], "test").value for name in found]
    assert len(found) == len(results.contenders)
    assert means == sorted(means)
    assert "mean of the 3 tasks (higher is better), on test items" in page.texts["#figure-ranking"]


def test_a_ranking_may_have_finalists_only(make_run: Callable[..., Any]) -> None:
    results = make_run(only_favourite=True, candidates=8).results
    for reference in results.references:
        del results.contenders[reference.name]
    assert "favourite" in words(ranking(results))


def test_progress_tells_belief_from_truth(told: Callable[[str], Any]) -> None:
    results: Results = told("two")[0].results
    picture = progress(results)
    assert picture is not None
    assert {"candidates tried", "failed", "finalists (test items)", "the chosen merge (test items)"} <= set(
        words(picture)
    )
    best = max(1 - sum(candidate.losses) / 2 for candidate in results.scored)
    assert picture.title.endswith(f"to {best:.3f}")
    assert "2 that failed" in picture.caption


def test_a_search_that_did_not_improve_says_so(make_run: Callable[..., Any]) -> None:
    picture = progress(make_run(candidates=1, assessed=False, finished=False).results)
    assert picture is not None
    assert picture.title.startswith("No candidate of 1 improved on the first")


def test_convergence_shows_volume_and_diversity_and_says_from_where(told: Callable[[str], Any]) -> None:
    results: Results = told("two")[0].results
    picture = convergence(results)
    assert picture is not None
    assert {"hypervolume", "extent", "spacing", "candidates tried", "their front,"} <= set(words(picture))
    assert "the worst corner (maths 0, japanese 0: loss 1 on every objective" in picture.caption
    assert "test items confirm" in picture.title
    assert convergence(told("one")[0].results) is None


def test_convergence_of_a_running_search(make_run: Callable[..., Any]) -> None:
    results = make_run(assessed=False, finished=False, lower_is_better=("form_ja",)).results
    picture = convergence(results)
    assert picture is not None
    assert "test items" not in picture.title
    assert "finalists," not in words(picture)
    worst = max(candidate.losses[1] for candidate in results.scored)
    assert f"japanese {worst:.3g}" in picture.caption


def test_the_gap_names_finalists_and_references(make_run: Callable[..., Any]) -> None:
    results: Results = make_run(candidates=30, budget=30, failures=(3, 11), twins=(5,)).results
    picture = gap(results)
    assert picture is not None
    names = {one.name.removeprefix("candidate ") for one in results.contenders.values() if one.name != "favourite"}
    assert names <= set(words(picture))
    assert {"best believed so far", "less luck of the pick"} <= set(words(picture))
    assert picture.title == "What the search believed of its finalists, against what test items say", "of a favourite"
    del results.contenders["favourite"]
    picture, believed = gap(results), 1 - results.mean_loss(results.best(), "search")
    assert picture is not None
    assert f"one of 28 candidates, the search believed {believed:.3f}; test items say" in picture.title


def test_a_favourite_that_was_never_scored_has_no_gap(make_run: Callable[..., Any]) -> None:
    assert gap(make_run(only_favourite=True).results) is None
    assert gap(make_run(assessed=False).results) is None


def test_belief_follows_every_finalist_over_the_splits(told: Callable[[str], Any]) -> None:
    run, page = told("two")
    results: Results = run.results
    found = page.texts["#figure-belief"]
    assert {one.name.removeprefix("candidate ") for one in results.finalists} <= set(found)
    assert {"search items (120)", "selection items (120)", "test items (120)"} <= set(found)
    means = [
        np.mean([1 - results.mean_loss(finalist, split) for finalist in results.finalists])
        for split in ("search", "test")
    ]
    assert f"({means[0]:.3f} to {means[1]:.3f})" in page.text("#figure-belief")
    assert "the strongest reference," in page.text("#figure-belief")


def test_belief_that_came_true_is_said_to(make_run: Callable[..., Any]) -> None:
    picture = belief(make_run(candidates=8, only_favourite=True, skill=0.0, num_items=5, objectives=1).results)
    assert picture is not None
    assert picture.title == "On search and test items, the finalists score alike on average (0.000 and 0.000)"


def test_belief_needs_two_splits(make_run: Callable[..., Any]) -> None:
    results = make_run(candidates=8, splits=("selection", "test"), only_favourite=True).results
    picture = belief(results)
    assert picture is not None
    assert picture.title == "What the search believed of its finalists, and what other items say"
    assert belief(make_run(candidates=8, splits=("test",)).results) is None


def recipe(*rules: dict[str, Any], origin: str | None = "base", **more: Any) -> Recipe:
    mix: dict[str, Any] = {"experts": ["math", "ja"], "rules": list(rules), "seed": 1}
    return Recipe.model_validate(
        {
            "models": {name: {"path": name} for name in ("base", "math", "ja")},
            "blends": {"mix": mix | ({"origin": origin} if origin else {}), **more},
        }
    )


def test_parts_say_where_how_much_and_how() -> None:
    gates = [{"gate": "bernoulli", "density": 0.5}, {"gate": "top", "density": [0.4, 1.0]}]
    more_gates = [{"gate": "top", "density": 0.5}, {"gate": "bernoulli", "density": 0.5}]
    found = parts(
        recipe(
            {
                "where": {"layers": [0, 1], "roles": ["attention", "mlp"]},
                "pipe": [*gates, {"weigh": [0.7, -0.2]}, {"reduce": "sum"}],
            },
            {"where": {"layers": [2, 2]}, "use": "dare_ties", "weights": [0.5, 0.6], "density": 0.25},
            {"where": {"names": ["*.bias"]}, "use": "slerp", "t": 0.3},
            {"where": {"roles": ["norm"]}, "use": "ties", "scale": 1.5},
            {"where": {"roles": ["mlp"]}, "pipe": [*more_gates, {"restore": "l1"}, {"reduce": "sum"}]},
            {"use": "dare_linear"},
        )
    )
    assert [part.name for part in found] == [
        "layers 0–1 · attention + mlp", "layer 2", "*.bias", "norm", "mlp", "all other tensors",
    ]  # fmt: skip
    assert found[0].weights == {"math": 0.7, "ja": -0.2}
    assert found[0].densities == {"math": 0.4, "ja": 0.5}
    assert found[4].densities == {"math": 0.25, "ja": 0.25}
    assert found[2].weights == pytest.approx({"math": 0.7, "ja": 0.3})
    assert [part.method for part in found] == [
        "random changes, largest changes, sum",
        "random changes, sign vote, sum",
        "whole weights, spherical",
        "largest changes, sign vote, mean, × 1.5",
        "largest changes, random changes, rescaled to full norm, sum",
        "random changes, sum",
    ]


def test_parts_of_several_blends_are_told_apart() -> None:
    more = {"last": {"origin": "base", "experts": ["mix", "ja"], "pipe": [{"weigh": [1.0, 0.5]}, {"reduce": "sum"}]}}
    assert [part.name for part in parts(recipe({"use": "linear"}, **more))] == [
        "mix: all tensors",
        "last: all tensors",
    ]


def test_the_recipe_picture_shows_every_weight_of_the_chosen_merge(told: Callable[[str], Any]) -> None:
    run, page = told("two")
    found = page.texts["#figure-weights"]
    for part in parts(run.results.best().recipe):
        assert part.name in found
        assert {f"{value:.2f}" for value in (*part.weights.values(), *part.densities.values())} <= set(found)
    assert {"math", "ja", "code", "weight of each expert", "density: share of changes kept"} <= set(found)
    assert "Density is the share" in page.text("#figure-weights")


def test_negative_weights_and_missing_experts_can_be_drawn(make_run: Callable[..., Any]) -> None:
    results = make_run(candidates=8, finalists=1).results
    more = {"last": {"origin": "base", "experts": ["mix", "ja"], "pipe": [{"weigh": [1.0, -0.5]}, {"reduce": "sum"}]}}
    for finalist in results.finalists:
        finalist.recipe = recipe({"use": "task_arithmetic"}, **more)
    picture = weights(results)
    assert "-0.50" in words(picture)
    assert picture is not None
    assert "Density" not in picture.caption


def bounded(make_run: Callable[..., Any], bound: float, **story: Any) -> Results:
    """A run whose candidates must know some maths, which the first and the best of them do not."""
    results: Results = make_run(options={"constraints": [{"task": "math_en", "at_least": bound}]}, **story).results
    return results


@pytest.mark.parametrize("figure", [progress, convergence, gap])
def test_curves_over_the_run_are_about_candidates_that_hold_all_constraints(
    figure: Callable[[Results], Picture | None], make_run: Callable[..., Any]
) -> None:
    free, bound = figure(make_run().results), figure(bounded(make_run, 0.2))
    assert free is not None
    assert bound is not None
    assert "constraint" not in free.caption
    assert "constraint" in bound.caption
    assert free.svg != bound.svg


def test_the_best_so_far_breaks_no_constraint_once_one_holds_them(make_run: Callable[..., Any]) -> None:
    results = bounded(make_run, 0.2)
    best, held = results.best_so_far, [one.estimates["math_en"].value >= 0.2 for one in results.scored]
    assert len(best) == len(results.scored) == 14
    assert any(held)
    assert not held[0]
    for end, one in enumerate(best):
        so_far = results.scored[: end + 1]
        among = [other for other, holds in zip(so_far, held, strict=False) if holds]
        key = "losses" if among else "violations"
        assert sum(getattr(one, key)) == min(sum(getattr(other, key)) for other in among or so_far)
    picture = progress(results)
    assert picture is not None
    scores = [1 - sum(one.losses) / 2 for one in best if one.holds]
    assert picture.title == (
        f"Over 14 candidates, the best score on search items rose from {scores[0]:.3f} to {scores[-1]:.3f}"
    )


def test_no_candidate_may_hold_all_constraints(make_run: Callable[..., Any]) -> None:
    results = bounded(make_run, 1.0)
    pictures = [progress(results), convergence(results), gap(results)]
    assert [picture.title for picture in pictures if picture][:2] == [
        "None of 14 candidates holds all constraints",
        "The front's hypervolume grew from 0.000 to 0.000 on search items; test items confirm 0.000",
    ]
    assert all(pictures)
