"""Every import is declared, every declared dependency is pinned, and every pin lies in its range."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / "evomerge"
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CORE = [Requirement(line) for line in PROJECT["dependencies"]]
PART_OF = {"pydantic-core": "pydantic"}  # released and pinned together
EXTRAS = {name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()}
DEV = EXTRAS.pop("dev")
OPTIONAL = [requirement for lines in EXTRAS.values() for requirement in lines]


def pins() -> dict[str, str]:
    """Name and version of each line of constraints.txt."""
    lines = (TOP / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def imported(folder: Path) -> set[str]:
    """Top-level names that the modules of a folder import from elsewhere."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").split(".")[0])
    return names - set(sys.stdlib_module_names) - {"evomerge"}


@pytest.mark.parametrize("folder", [path for path in PACKAGE.iterdir() if path.is_dir()], ids=lambda path: path.name)
def test_every_import_is_a_declared_dependency(folder: Path) -> None:
    usable = CORE + OPTIONAL + (DEV if folder.name == "testing" else [])  # who runs contract suites has pytest
    declared = {canonicalize_name(requirement.name) for requirement in usable}
    providers = packages_distributions()
    needed = {
        name: {canonicalize_name(provider) for provider in providers.get(name, [name])} for name in imported(folder)
    }
    needed = {name: {PART_OF.get(provider, provider) for provider in some} for name, some in needed.items()}
    assert {name: some for name, some in needed.items() if not some & declared} == {}


@pytest.mark.parametrize("requirement", CORE + OPTIONAL + DEV, ids=lambda requirement: requirement.name)
def test_a_dependency_is_pinned_in_its_range(requirement: Requirement) -> None:
    assert pins()[canonicalize_name(requirement.name)] in requirement.specifier


def test_pins_are_canonical_and_without_local_versions() -> None:
    assert list(pins()) == [canonicalize_name(name) for name in pins()]
    assert [pin for pin in pins().values() if "+" in pin] == []


def test_the_package_knows_its_version() -> None:
    import evomerge

    assert version("evomerge") == evomerge.__version__
