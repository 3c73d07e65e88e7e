"""`evomerge export`: a recipe as an ordinary Hugging Face checkpoint, or as a LoRA adapter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from evomerge.cli import parser
from evomerge.cli.bars import progress_bar
from evomerge.cli.finalists import asked, chosen
from evomerge.cli.sources import check_models
from evomerge.errors import ConfigError
from evomerge.merging import Library, Provenance, ScoreLine, export_adapter, export_model
from evomerge.recipe import Recipe, load_recipe
from evomerge.report.reading import read_run
from evomerge.runs.results import Contender, Results
from evomerge.settings import load_settings
from evomerge.study import assemble


def run(argv: Sequence[str]) -> int:
    """Write a run's best recipe, one of its finalists, or a recipe file."""
    arguments = parser("export")
    arguments.add_argument("source", type=Path, help="a run's folder, or a recipe.yaml")
    arguments.add_argument("destination", type=Path, help="a new folder")
    arguments.add_argument(
        "--finalist", help='a finalist\'s name, such as "candidate 17"; absent: the best on selection'
    )
    arguments.add_argument("--candidate", type=int, help="number of any candidate of the run, a finalist or not")
    arguments.add_argument("--adapter", action="store_true", help="write a LoRA adapter; the experts must be adapters")
    arguments.add_argument("--rank", type=int, help="with --adapter: the closest one of this rank; absent: exact")
    given = arguments.parse_args(argv)
    if given.rank is not None and (not given.adapter or given.rank < 1):
        raise ConfigError.at("--rank", "is a whole number from 1, and belongs to --adapter.")
    if given.candidate is not None and (given.finalist is not None or not given.source.is_dir()):
        raise ConfigError.at("--candidate", "is a candidate of a run, and stands in place of --finalist.")
    recipe, provenance = _chosen(given.source, given.finalist, given.candidate)
    library = Library()
    recipe = check_models(recipe, library, str(given.source))
    if given.adapter:
        export_adapter(recipe, library, given.destination, provenance, given.rank)
    else:
        with progress_bar(str(given.destination)) as advance:
            export_model(recipe, library, given.destination, provenance, partial(advance, ""))
    print(f"Wrote {given.destination}, recipe {recipe.digest[:12]}. {provenance.origin}")
    return 0


def _chosen(source: Path, finalist: str | None, number: int | None) -> tuple[Recipe, Provenance]:
    """The recipe to write, and where it comes from."""
    if not source.is_dir():
        return _from_file(source)
    return _from_run(source, finalist) if number is None else _candidate(source, number)


def _candidate(run_dir: Path, number: int) -> tuple[Recipe, Provenance]:
    """Any recipe that a run tried, such as a member of an archive; it has no scores on unseen items."""
    settings = load_settings(run_dir)
    genomes = asked(run_dir, number)
    origin = f"It is candidate {number} of the run {run_dir.absolute().name} (seed {settings.seed})."
    return assemble(settings).space.decode(genomes[number]), Provenance(origin, len(genomes))


def _from_run(run_dir: Path, name: str | None) -> tuple[Recipe, Provenance]:
    found = read_run(run_dir)
    results = found.results
    one = chosen(results, name, run_dir)
    origin = f"It is {one.name} of the run {run_dir.absolute().name} (seed {found.settings.seed})."
    return one.recipe, Provenance(origin, len(results.candidates), _score_lines(results, one))


def _from_file(path: Path) -> tuple[Recipe, Provenance]:
    return load_recipe(path), Provenance(f"It was made from the file {path.name}.")


def _score_lines(results: Results, one: Contender) -> tuple[ScoreLine, ...]:
    return tuple(
        ScoreLine(
            results.fitness.spec.tasks[label].task,
            results.fitness.spec.tasks[label].metric_name,
            e.value,
            e.stderr,
            e.num_items,
        )
        for label, e in one.estimates.get("test", {}).items()
    )
