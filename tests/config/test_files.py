"""Files of the rooms outside Hydra."""

from pathlib import Path

import pytest

from evomerge.config.files import read_resolved
from evomerge.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.yaml"


def test_the_zoo_is_put_in_and_taken_out(file: Path) -> None:
    file.write_text("models: {base: '${zoo}/base'}\nlist: [1, '${zoo}']", encoding="utf-8")
    assert read_resolved(file, "elsewhere") == {"models": {"base": "elsewhere/base"}, "list": [1, "elsewhere"]}


@pytest.mark.parametrize("text", ["- 1", "", "text"])
def test_a_file_holds_a_mapping(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a\.yaml: holds no mapping\. The first key of a file is `evomerge`\."):
        read_resolved(file, "zoo")


@pytest.mark.parametrize("reference", ["${nothing}", "${oc.env:NOT_SET_ANYWHERE}", "${zoo"])
def test_a_reference_to_nothing_is_told(file: Path, reference: str) -> None:
    file.write_text(f"models: {{base: '{reference}'}}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a\.yaml: "):
        read_resolved(file, "zoo")
