"""The page: self-contained, harmless, and complete for every state of a run."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import EvomergeError
from evomerge.recipe import load_recipe
from evomerge.report.html import write_report

HOSTILE = {
    "base": "<script>alert('base')</script>",
    "math": '"><img src=x onerror=alert(1)>',
    "ja": "日本 $x_1$ {{ 7*7 }}",
    "code": "</pre></details><style>*{display:none}</style>",
}


@pytest.mark.parametrize("objectives", ["one", "two", "three"])
def test_the_page_says_what_was_found(told: Callable[[str], Any], objectives: str) -> None:
    run, page = told(objectives)
    results = run.results
    assert not page.open, "every element is closed"
    assert f"The chosen merge, {results.best().name}, scores" in page.text("#verdict")
    for contender in results.contenders.values():
        assert contender.name in page.text("#finalists")
        for estimate in contender.estimates["test"].values():
            assert f"{estimate.value:.3f} ±{estimate.stderr:.3f}" in page.text("#finalists")
    for reference in results.references:
        assert reference.name in page.text("#differences")
    for name, digest in run.identity["models"].items():
        assert f"{name} zoo/{name} {digest}" in page.text("#models")


def test_how_it_was_searched_is_told(told: Callable[[str], Any]) -> None:
    _, page = told("two")
    for text in (
        "search_spaces/zoo.yaml, 15 genes",
        "fitness/zoo_two.yaml",
        "nsga2 (population 20)",
        "inline (threads 1",
    ):
        assert text in page.text("dd")
    assert "30 candidates, of which up to 4 become finalists" in page.text("dd")
    assert "math_en maths zoo_math_en acc 60 60 60" in page.text("#objectives")
    assert "math_ja none: finalists only" in page.text("#objectives")
    assert "2 task math_en: the scores (acc) are not finite. 3, 11" in page.text("#failures")
    assert "30 of 30" in page.text("#facts")


def test_every_finalists_recipe_can_be_copied_from_the_page(told: Callable[[str], Any], tmp_path: Path) -> None:
    run, page = told("two")
    for index in range(len(run.results.finalists)):
        section = "".join(page.texts[f"#recipe-{index + 1}"])
        name = section.split("·")[0].strip()
        text = re.search(r"^evomerge: recipe/1.*?(?=^evomerge export)", section, re.MULTILINE | re.DOTALL)
        assert text is not None
        (tmp_path / "copied.yaml").write_text(text[0])
        assert load_recipe(tmp_path / "copied.yaml").digest == run.results.contenders[name].digest
        assert f"--finalist '{name}'" in section or f"--finalist {name}" in section


def test_the_next_commands_are_there(told: Callable[[str], Any]) -> None:
    run, page = told("two")
    assert f"--samples {run.folder}/test_items.json" in page.text("#lm-eval")
    assert f"evomerge resume {run.folder} --candidates 60" in page.text("pre")
    assert f"evomerge export {run.folder} OUT" in page.text("pre")
    items = json.loads((run.folder / "test_items.json").read_text())
    assert items == {f"zoo_{label}": list(positions) for label, positions in run.fitness.items("test").items()}


@pytest.mark.parametrize("objectives", ["one", "two", "three"])
def test_nothing_is_loaded_from_elsewhere(told: Callable[[str], Any], objectives: str) -> None:
    _, page = told(objectives)
    links = [
        value for name, value in page.attributes if name in ("src", "href", "xlink:href", "action", "data", "srcset")
    ]
    assert links, "figures reuse their markers"
    assert all(link.startswith("#") for link in links)
    inside = [value for name, value in page.attributes if "url(" in value]
    assert all("url(#" in value for value in inside)
    assert not {"link", "img", "image", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttp|import\(", page.text("style") + page.text("script"))


def test_identifiers_are_unique(told: Callable[[str], Any]) -> None:
    identifiers = [value for name, value in told("two")[1].attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))


def test_hostile_names_are_harmless(make_run: Callable[..., Any], read_page: Callable[[str], Any]) -> None:
    run = make_run(
        names=HOSTILE, candidates=10, finalists=1, failures=(4,), failure="<b>broken</b> & 'so'",
        task_prefix="<i>", include=("/tasks/<u>",),
    )  # fmt: skip
    page = read_page(run.report().read_text("utf-8"))
    assert not page.open
    assert page.tags.count("script") == 1
    assert page.tags.count("style") == 1 + page.tags.count("svg"), "ours, and one that matplotlib puts into each figure"
    assert not {"img", "b", "i", "u"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    for name in HOSTILE.values():
        assert name in page.text("#models")
        assert name in page.text("#finalists")
    assert "<b>broken</b> & 'so'" in page.text("#failures")
    assert "49" not in page.text("#models"), "templates are not evaluated twice"


@pytest.mark.parametrize(
    ("story", "present", "absent"),
    [
        ({"candidates": 0, "assessed": False, "finished": False}, "No candidate has been tried yet.", "<figure"),
        ({"candidates": 3, "failures": (0, 1, 2), "assessed": False}, "Every candidate failed", "<figure"),
        (
            {"candidates": 9, "objectives": 1, "assessed": False, "finished": False},
            "No finalist has been scored",
            "lm_eval --model",
        ),
        (
            {"candidates": 9, "objectives": 1, "finalists": 1, "splits": ("search", "selection"), "finished": False},
            "lm_eval --model",
            'id="verdict"',
        ),
    ],
)
def test_an_unfinished_run_shows_what_there_is(
    make_run: Callable[..., Any], read_page: Callable[[str], Any], story: dict[str, Any], present: str, absent: str
) -> None:
    run = make_run(**story)
    page = read_page(run.report().read_text("utf-8"))
    assert not page.open
    assert present in page.source
    assert absent not in page.source
    command = "evomerge resume" if story.get("finished", True) is False else "--candidates"
    assert command in page.text("pre")


def test_equal_results_give_an_equal_page_and_no_draft_stays(make_run: Callable[..., Any]) -> None:
    run = make_run(objectives=1, candidates=1, assessed=False, finished=False)
    first = run.report().read_bytes()
    assert run.report().read_bytes() == first
    assert {path.name for path in run.folder.iterdir() if path.suffix != ".db"} >= {"report.html", "test_items.json"}
    assert not list(run.folder.glob(".*"))


def test_several_task_folders_are_explained(told: Callable[[str], Any]) -> None:
    _, page = told("three")
    assert "The tasks lie in several folders (/a, /b); lm_eval takes one, so give each task its own." in page.text("p")


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(make_run: Callable[..., Any]) -> None:
    run = make_run(candidates=0, assessed=False)
    (run.folder / "report.html").mkdir()
    with pytest.raises(EvomergeError, match=r"report\.html cannot be written: Is a directory\."):
        run.report()
    assert not list(run.folder.glob(".*"))
    with pytest.raises(EvomergeError, match="cannot be written: No such file or directory"):
        write_report(run.folder / "gone", run.results, run.settings, run.identity)
