"""The page: a run as one self-contained HTML file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from evomerge import __version__
from evomerge.documents import shown, tree_of
from evomerge.fitness.items import SPLITS
from evomerge.recipe import canonical, dump_recipe
from evomerge.report import commands, intervals, pages, summary, tables
from evomerge.report.figures import pictures
from evomerge.report.gap import gaps, in_words
from evomerge.report.standing import METHOD, standing
from evomerge.report.verdict import chosen, verdict
from evomerge.report.volumes import volumes
from evomerge.report.yardstick import of_objectives
from evomerge.runs.front import point_in_words, reference_point
from evomerge.runs.results import Contender, Results
from evomerge.settings import Settings
from evomerge.spaces.lineage import is_breed

FILE_NAME = "report.html"


def write_report(folder: Path, results: Results, settings: Settings, identity: Mapping[str, Any]) -> Path:
    """Write `report.html`, and beside it the test items that its lm_eval command names.

    The run may be going on, and may hold nothing but failures: the page shows what there is and says what is missing.
    Equal results give an equal page.

    Args:
        folder: The run's.
        results: What its log says.
        settings: What it was started with.
        identity: What its log begins with; `models` gives the digest of every model.

    Returns:
        The page's path.

    Raises:
        EvomergeError: If the folder cannot be written.
    """
    items = json.dumps(commands.test_items(results.fitness))
    pages.write(folder / commands.ITEMS_FILE, items + "\n")
    pages.write(folder / FILE_NAME, page(folder, results, settings, identity))
    return folder / FILE_NAME


def page(folder: Path, results: Results, settings: Settings, identity: Mapping[str, Any]) -> str:
    """The text of the page. Whatever comes from the run is escaped."""
    rows = tables.rows(results)
    told = {
        "version": __version__,
        "run": folder.absolute().name,
        "status": summary.status(results, settings.candidates),
        "missing": summary.missing(results),
        "verdict": verdict(results),
        "facts": summary.facts(results, settings.candidates),
        "num_candidates": len(results.candidates),
        "pictures": pictures(results),
        "splits": SPLITS,
        "rows": rows,
        "note": tables.note(results),
        "standing": standing(results),
        "standing_method": METHOD,
        "volumes": volumes(results),
        "corner": point_in_words(results, reference_point(results)) if results.scored else "",
        "gaps": gaps(results) if results.finalists else [],
        "gap_sentence": in_words(results),
        "intervals": intervals.in_words(results),
        "objectives_axis": of_objectives(results.fitness).axis,
        "headings": tables.headings(results.fitness),
        "recipes": [_recipe(row.contender, folder) for row in rows if row.contender.kind == "finalist"],
        "fitness": results.fitness,
        "models": _models(settings, identity),
        "tasks": _tasks(results),
        "setup": _setup(results, settings),
        "settings": yaml.safe_dump(tree_of(settings), sort_keys=False, width=100, allow_unicode=True),
        "failures": summary.failures(results),
        "finished": results.finished is not None,
        "commands": _commands(folder, results, settings),
        "items_file": commands.ITEMS_FILE,
        "several_folders": len(results.fitness.spec.include) > 1,
    }
    return pages.fill("page.html", told)


def _commands(folder: Path, results: Results, settings: Settings) -> dict[str, str | None]:
    best = chosen(results)
    return {
        "resume": commands.resume(folder, 2 * settings.candidates if results.finished else None),
        "export": commands.export(folder),
        "pick": commands.pick(folder, results),
        "lm_eval": commands.lm_eval(folder, results.fitness, best.recipe, settings) if best else None,
    }


def _recipe(contender: Contender, folder: Path) -> dict[str, Any]:
    text = dump_recipe(canonical(contender.recipe))
    return {"contender": contender, "yaml": text, "export": commands.export(folder, contender.name)}


def _models(settings: Settings, identity: Mapping[str, Any]) -> list[dict[str, str]]:
    digests = identity.get("models", {})
    given = settings.search_space.get("models", {})
    return [
        {
            "name": name,
            "path": str(model["path"] if isinstance(model, Mapping) else model),
            "digest": str(digests.get(name, "")),
        }
        for name, model in given.items()
    ]


def _tasks(results: Results) -> list[dict[str, Any]]:
    named: dict[str, list[str]] = {label: [] for label in results.fitness.spec.tasks}
    for objective, labels in results.fitness.objectives.members.items():
        for label in labels:
            named[label].append(objective)
    for constraint in results.fitness.spec.constraints:
        if constraint.task is not None:
            named[constraint.task].append("constraint")
    return [
        {"label": label, "entry": entry, "objectives": ", ".join(dict.fromkeys(named[label])) or "none: finalists only"}
        for label, entry in results.fitness.spec.tasks.items()
    ]


def _setup(results: Results, settings: Settings) -> dict[str, str]:
    is_fixed = bool(results.candidates) and not is_breed(settings.search_space)  # members have no genes
    genes = f", {len(results.candidates[0].genome)} genes" if is_fixed else ""
    return {
        "search space": f"{settings.file('search_space')}{genes}",
        "fitness": settings.file("fitness"),
        "optimiser": _named(settings.optimizer),
        "executor": _named(tree_of(settings.executor)),
        "seed": str(settings.seed),
        "budget": f"{settings.candidates} candidates, of which up to {settings.finalists} become finalists",
    }


def _named(tree: Mapping[str, Any]) -> str:
    """A part of the settings in one line: its name, then the rest."""
    rest = ", ".join(f"{name} {shown(value)}" for name, value in tree.items() if name != "name" and value is not None)
    return f"{tree.get('name')} ({rest})" if rest else str(tree.get("name"))
