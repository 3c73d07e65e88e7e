"""One merge written to disk several times inside one process, by evomerge or mergekit; prints what each took as JSON.

    python benchmarks/one_export.py evomerge recipe.yml OUT 3
    /tmp/mergekit-venv/bin/python benchmarks/one_export.py mergekit recipe.yml OUT 3

Imports are over before the clock starts. Everything else counts: reading the recipe, opening the models, writing.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path


def by_evomerge() -> Callable[[Path, Path], object]:
    from evomerge.cli.sources import check_models, locator, read_recipe
    from evomerge.merging import Library, Provenance, export_model

    def export(path: Path, out: Path) -> None:
        library = Library()
        recipe = check_models(read_recipe(path, locator(library=library)).recipe, library, str(path))
        export_model(recipe, library, out, Provenance("It is a benchmark."))

    return export


def by_mergekit() -> Callable[[Path, Path], object]:
    import yaml
    from mergekit.config import MergeConfiguration
    from mergekit.io.tasks import LoaderCache
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    def export(recipe: Path, out: Path) -> None:
        LoaderCache().loaders.clear()  # or the second run would read through the files that the first opened
        config = MergeConfiguration.model_validate(yaml.safe_load(recipe.read_text()))
        run_merge(config, str(out), MergeOptions(copy_tokenizer=False, quiet=True, random_seed=0))

    return export


def main() -> None:
    engine, recipe, out, num_repeats = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    export = {"evomerge": by_evomerge, "mergekit": by_mergekit}[engine]()
    taken = []
    for _ in range(num_repeats):
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        export(recipe, out)
        taken.append({"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s})
        shutil.rmtree(out)
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
