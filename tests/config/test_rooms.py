"""Hydra composes from the rooms: groups, precedence, and what it must not see."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.object_type import ObjectType
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigLoadError
from omegaconf import DictConfig, OmegaConf

from evomerge.config.rooms import GROUPS, ConfSource, RoomSource, register

SEARCH = """
defaults:
  - _self_
  - optimizer: one
  - search_space: null
  - experiment: null
seed: 1
"""
TREE = {
    "conf/search.yaml": SEARCH,
    "conf/optimizer/one.yaml": "name: one\n",
    "search_spaces/mine.yaml": "models: {base: x}\nscale: 1.0\n",
    "search_spaces/broken.yaml": "models: [\n",
    "search_spaces/list.yaml": "- 1\n",
    "search_spaces/empty.yaml": "",
    "search_spaces/deeper/hidden.yaml": "a: 1\n",
    "experiments/paper.yaml": "# @package _global_\ndefaults:\n  - override /search_space: mine\nseed: 7\n",
    "docs/leak.yaml": "a: 1\n",
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with rooms and a `conf/` of its own."""
    for name, text in TREE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    register()
    return tmp_path


@pytest.fixture
def source(tree: Path) -> RoomSource:
    return RoomSource("test", f"room://{tree}")


def composed(tree: Path, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(tree / "conf"), version_base="1.3"):
        return compose("search", overrides=list(overrides))


def test_a_search_space_is_read_from_its_room(tree: Path) -> None:
    config = composed(tree, "search_space=mine")
    assert config.search_space == {"models": {"base": "x"}, "scale": 1.0}
    assert config.optimizer.name == "one"


def test_an_experiment_overrides_the_whole(tree: Path) -> None:
    config = composed(tree, "experiment=paper")
    assert config.seed == 7
    assert config.search_space.models.base == "x"


def test_a_value_inside_a_room_can_be_overridden(tree: Path) -> None:
    assert composed(tree, "search_space=mine", "search_space.scale=0.5").search_space.scale == 0.5


@pytest.mark.parametrize(
    "override", ["docs=leak", "search_spaces=mine", "search_space=deeper/hidden", "search_space=../docs/leak"]
)
def test_nothing_else_is_visible(tree: Path, override: str) -> None:
    with pytest.raises(HydraException):
        composed(tree, override)


def test_a_wrong_name_is_answered_with_the_options(tree: Path) -> None:
    with pytest.raises(HydraException, match=r"(?s)'search_space/mien'.*Available options.*mine"):
        composed(tree, "search_space=mien")


def test_broken_yaml_is_reported_with_its_file(tree: Path) -> None:
    with pytest.raises(ConfigLoadError, match=r"search_spaces/broken\.yaml: is not YAML"):
        composed(tree, "search_space=broken")


def test_a_list_is_refused_with_its_file(tree: Path) -> None:
    with pytest.raises(ConfigLoadError, match=r"search_spaces/list\.yaml: holds a list\. Write"):
        composed(tree, "search_space=list")


def test_an_empty_file_is_an_empty_config(tree: Path) -> None:
    assert composed(tree, "search_space=empty").search_space == {}


def test_the_shipped_rooms_stand_behind_the_working_directory(tree: Path) -> None:
    from evomerge import shipped

    shipped_file = next(iter(sorted((shipped.shipped_root() / "search_spaces").glob("*.yaml"))))
    theirs = OmegaConf.to_container(composed(tree, f"search_space={shipped_file.stem}").search_space, resolve=False)
    assert theirs != {"models": {"base": "own"}}
    (tree / "search_spaces" / shipped_file.name).write_text("models: {base: own}\n")
    assert composed(tree, f"search_space={shipped_file.stem}").search_space == {"models": {"base": "own"}}


def test_the_source_lists_rooms_and_names_only(source: RoomSource) -> None:
    assert source.available()
    assert source.list("", None) == ["experiment", "search_space"]
    assert source.list("", ObjectType.CONFIG) == []
    assert source.list("search_space", None) == ["broken", "empty", "list", "mine"]
    assert source.list("search_space", ObjectType.GROUP) == []
    assert source.list("docs", None) == []


def test_the_source_knows_groups_from_configs(source: RoomSource) -> None:
    assert {group for group in ("", *GROUPS, "docs", "conf") if source.is_group(group)} == {
        "",
        "search_space",
        "experiment",
    }
    assert source.is_config("search_space/mine")
    assert not source.is_config("search_space")
    assert not source.is_config("fitness/mine")
    with pytest.raises(ConfigLoadError, match="docs/leak is not in the rooms"):
        source.load_config("docs/leak")


def test_a_directory_that_is_gone_is_not_available() -> None:
    assert not RoomSource("test", "room:///nowhere/at/all").available()


def test_registering_twice_is_registering_once(tree: Path) -> None:
    """In a fresh process, because Hydra's registry is the process's."""
    program = (
        "from evomerge.config.rooms import RoomsOnSearchPath, register\n"
        "from hydra.core.plugins import Plugins\n"
        "from hydra.plugins.search_path_plugin import SearchPathPlugin\n"
        "register(); register()\n"
        "assert Plugins.instance().discover(SearchPathPlugin).count(RoomsOnSearchPath) == 1\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).resolve().parents[2])


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("search_space.density=0.5", {"search_space": {"density": 0.5}}),
        ("search_space.groups.layers=4", {"search_space": {"groups": {"layers": 4}}}),
    ],
)
def test_a_key_that_a_file_lacks_needs_no_plus(tree: Path, override: str, found: dict[str, dict[str, Any]]) -> None:
    config = OmegaConf.to_container(composed(tree, "search_space=mine", override))
    assert isinstance(config, dict)
    assert found["search_space"].items() <= config["search_space"].items()


def test_options_of_conf_are_open_too(tmp_path: Path) -> None:
    register()
    (tmp_path / "conf" / "optimizer").mkdir(parents=True)
    (tmp_path / "conf" / "optimizer" / "one.yaml").write_text("name: one\n")
    source = ConfSource("test", f"conf://{tmp_path / 'conf'}")
    loaded = source.load_config("optimizer/one").config
    OmegaConf.set_struct(config := OmegaConf.create({"optimizer": loaded}), True)
    OmegaConf.update(config, "optimizer.population", 5)
    assert config.optimizer.population == 5
