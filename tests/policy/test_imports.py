"""The order of rooms holds, and the rooms that promise to need no torch keep the promise at run time too."""

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

TOP = Path(__file__).resolve().parents[2]

IMPORT_LIGHT_ROOMS = """
import importlib, pkgutil, sys
for room in ("recipe", "spaces", "optimizers"):
    package = importlib.import_module(f"evomerge.{room}")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
print(*sorted({"torch", "transformers", "lm_eval", "datasets", "ray"} & set(sys.modules)))
"""


def test_rooms_import_in_order() -> None:
    assert (
        lint_imports(config_filename=str(TOP / "pyproject.toml"), cache_dir=None, no_cache=True) == EXIT_STATUS_SUCCESS
    )


@pytest.mark.slow
def test_light_rooms_load_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_LIGHT_ROOMS], cwd=TOP, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == []
