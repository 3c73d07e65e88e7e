"""`evomerge validate`: all problems of files, before anything is loaded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from evomerge.cli import parser
from evomerge.cli.sources import locator
from evomerge.config.files import read_resolved
from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.fitness import FitnessSpec
from evomerge.recipe import Recipe
from evomerge.recipe.mergekit import is_evolve, is_mergekit, read_mergekit
from evomerge.spaces import parse_space
from evomerge.spaces.evolve import convert_evolve
from evomerge.spaces.lineage import is_breed, parse_breed


def run(argv: Sequence[str]) -> int:
    """Check files one after another."""
    arguments = parser("validate")
    arguments.add_argument(
        "files", nargs="+", type=Path, help="search spaces, fitnesses, recipes, or files for mergekit"
    )
    arguments.add_argument("--zoo", default="zoo", help="what ${zoo} stands for in the files")
    given = arguments.parse_args(argv)
    sound = True
    for path in given.files:
        try:
            kind = _check(path, given.zoo)
            print(f"{path}: a sound {kind}")
        except ConfigError as error:
            print(error, file=sys.stderr)
            sound = False
    return 0 if sound else 2


def _check(path: Path, zoo: str) -> str:
    tree = read_resolved(path, zoo)
    kind = tree.get("evomerge")
    if kind == "space/1" and is_breed(tree):
        return f"search space bred from {', '.join(parse_breed(tree, str(path)).breed.experts)}"
    if kind == "space/1":
        space = parse_space(tree, str(path))
        return f"search space over {', '.join(space.models)}"
    if kind == "fitness/1":
        fitness = parse(FitnessSpec, tree, str(path))
        return f"fitness with the objectives {', '.join(fitness.objectives)}"
    if kind == "recipe/1":
        return f"recipe, {parse(Recipe, tree, str(path)).digest[:12]}"
    if is_mergekit(tree):
        return f"mergekit recipe, {read_mergekit(tree, str(path), locator()).recipe.digest[:12]}"
    if is_evolve(tree):
        convert_evolve(tree, str(path), locator())
        return "mergekit-evolve file; `evomerge convert` makes a search of it"
    what = f'"evomerge" is {kind!r}. Say what the file is: space/1, fitness/1 or recipe/1.'
    raise ConfigError.at(str(path), what)
