"""The order of rooms holds, and the rooms that promise to need no torch keep the promise at run time too."""

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]

HEAVY = {"torch", "transformers", "lm_eval", "datasets", "ray"}

IMPORT_LIGHT_ROOMS = f"""
import importlib, pkgutil, sys
for room in ("recipe", "spaces", "optimizers"):
    package = importlib.import_module(f"evomerge.{{room}}")
    for module in pkgutil.walk_packages(package.__path__, f"{{package.__name__}}."):
        importlib.import_module(module.name)
print(*sorted({HEAVY} & set(sys.modules)))
"""


def test_rooms_import_in_order() -> None:
    # in a process of its own: the linter configures the logging of its process, and silences that of other tests
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config", TOP / "pyproject.toml"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_light_rooms_load_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_LIGHT_ROOMS], cwd=TOP, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "needed"),
    [
        ("evomerge.merging", ["torch"]),
        ("evomerge.cli.merge", ["torch"]),
        ("evomerge.cli.export", ["torch"]),
        ("evomerge.cli.validate", ["torch"]),
        ("evomerge.study", ["torch"]),
        ("evomerge.cli.ls", []),
    ],
)
def test_what_starts_often_loads_what_it_needs(module: str, needed: list[str]) -> None:
    """transformers and lm-eval would take several times as long as a small merge, or as a check of a file."""
    code = f"import sys, {module}; print(*sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == needed
