"""`evomerge convert`: mergekit's files to ours, and recipes of ours to mergekit's."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from evomerge.checkpoints import Checkpoint
from evomerge.checkpoints.layout import layout_of
from evomerge.cli import parser
from evomerge.cli.sources import locator, read_recipe
from evomerge.documents import Tree, parse, read_yaml
from evomerge.errors import ConfigError
from evomerge.fitness import FitnessSpec
from evomerge.recipe import Recipe, dump_recipe
from evomerge.recipe.mergekit import Locate, is_evolve, is_mergekit, write_mergekit
from evomerge.spaces import parse_space
from evomerge.spaces.evolve import convert_evolve


def run(argv: Sequence[str]) -> int:
    """Translate one file."""
    arguments = parser("convert")
    arguments.add_argument("file", type=Path, help="for mergekit-yaml, for mergekit-evolve, or a recipe of evomerge's")
    arguments.add_argument(
        "destination",
        type=Path,
        nargs="?",
        help="a new file, absent: printed; for mergekit-evolve the folder of search_spaces/ and fitness/, absent: here",
    )
    arguments.add_argument("--models", type=Path, help="where else the models of a mergekit file are looked for")
    given = arguments.parse_args(argv)
    tree = read_yaml(given.file)
    locate = locator(given.models)
    if is_evolve(tree):
        _evolve(tree, given.file, given.destination or Path(), locate)
        return 0
    text = _from_mergekit(given.file, locate) if is_mergekit(tree) else _to_mergekit(tree, given.file)
    if given.destination is None:
        print(text, end="")
    else:
        _write({given.destination: text})
    return 0


def _from_mergekit(path: Path, locate: Locate) -> str:
    reading = read_recipe(path, locate)
    for remark in reading.remarks:
        print(remark, file=sys.stderr)
    return dump_recipe(reading.recipe)


def _to_mergekit(tree: Tree, path: Path) -> str:
    recipe = parse(Recipe, tree, str(path))
    donors = dict.fromkeys([recipe.donor, *map(recipe.donor_of, recipe.sources)])
    opened = {name: Checkpoint(recipe.models[name].path, f"{path}: models.{name}") for name in donors}
    known = {n: recipe.models[n].model_copy(update={"layers": one.num_layers}) for n, one in opened.items()}
    recipe = recipe.model_copy(update={"models": recipe.models | known})
    deepest = max(opened.values(), key=lambda checkpoint: checkpoint.num_layers)
    return write_mergekit(recipe, layout_of(deepest), str(path))


def _evolve(tree: Tree, path: Path, folder: Path, locate: Locate) -> None:
    made = convert_evolve(tree, str(path), locate)
    space, fitness = (folder / room / f"{path.stem}.yaml" for room in ("search_spaces", "fitness"))
    parse_space(yaml.safe_load(made.space), str(space))  # what is written can be read
    parse(FitnessSpec, yaml.safe_load(made.fitness), str(fitness))
    _write({space: made.space, fitness: made.fitness})
    print(f"Search: evomerge search search_space={path.stem} fitness={path.stem}")


def _write(texts: dict[Path, str]) -> None:
    """Write new files, all or none."""
    for path in texts:
        if path.exists():
            raise ConfigError.at(str(path), "exists already. Choose another name, or move it away first.")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"Wrote {path}")
