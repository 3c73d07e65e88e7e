"""`evomerge merge`: a recipe file, ours or mergekit's, as an ordinary Hugging Face checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from evomerge.cli import parser
from evomerge.cli.bars import progress_bar
from evomerge.cli.sources import check_models, idle_rules, locator, read_recipe
from evomerge.merging import Library, Provenance, export_model


def run(argv: Sequence[str]) -> int:
    """Merge what a file says."""
    arguments = parser("merge")
    arguments.add_argument("recipe", type=Path, help="a recipe of evomerge's, or a YAML file for mergekit-yaml")
    arguments.add_argument("destination", type=Path, help="a new folder")
    arguments.add_argument("--models", type=Path, help="where else the models of a mergekit file are looked for")
    arguments.add_argument("--seed", type=int, help="of the random gates of a mergekit file; absent: 0")
    given = arguments.parse_args(argv)
    library = Library()
    reading = read_recipe(given.recipe, locator(given.models, library), given.seed)
    recipe = check_models(reading.recipe, library, str(given.recipe))
    for remark in (*reading.remarks, *(f"{given.recipe}: {remark}" for remark in idle_rules(recipe, library))):
        print(remark, file=sys.stderr)
    provenance = Provenance(f"It was made from the file {given.recipe.name}.")
    with progress_bar(str(given.destination)) as advance:
        export_model(recipe, library, given.destination, provenance, partial(advance, ""))
    print(f"Wrote {given.destination}, recipe {recipe.digest[:12]}. {provenance.origin}")
    return 0
