"""Benchmarks and experiments are run now and then only; what they import must be there all the time."""

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted([*ROOT.glob("benchmarks/*.py"), *ROOT.glob("experiments/*.py")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_scripts_import_of_ours_is_there(script: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("evomerge"):
            module, path = importlib.import_module(str(node.module)), node.module
            names = [name.name for name in node.names]
            missing = [n for n in names if not hasattr(module, n) and importlib.util.find_spec(f"{path}.{n}") is None]
            assert not missing, f"{script.name}: {node.module} has no {', '.join(missing)}"
