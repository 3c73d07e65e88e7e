"""The YAML that ships is plain data: no tags that build objects, no keys that name code."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).resolve().parents[2]
ROOMS = ("conf", "search_spaces", "fitness", "experiments")
FILES = sorted(path for room in ROOMS for suffix in ("yaml", "yml") for path in (TOP / room).rglob(f"*.{suffix}"))


def code_keys(tree: Any) -> Iterator[str]:
    """Keys by which some loader would call what the file names."""
    if isinstance(tree, dict):
        yield from (key for key in tree if key in ("_target_", "_partial_", "_convert_"))
        for value in tree.values():
            yield from code_keys(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from code_keys(value)


def test_every_room_has_files() -> None:
    assert {path.relative_to(TOP).parts[0] for path in FILES} == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TOP)))
def test_a_file_is_plain_data(path: Path) -> None:
    assert path.suffix == ".yaml"
    assert list(code_keys(yaml.safe_load(path.read_text(encoding="utf-8")))) == []  # safe_load refuses tags


@pytest.mark.parametrize("text", ["_target_: os.system", "a: [{b: {_target_: x}}]"])
def test_code_keys_are_seen(text: str) -> None:
    assert list(code_keys(yaml.safe_load(text))) == ["_target_"]
