"""Names of the rooms: whose file wins, and what is said when there is none."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge import shipped
from evomerge.errors import ConfigError

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with one search space of its own, `mine`."""
    (tmp_path / "search_spaces").mkdir()
    (tmp_path / "search_spaces" / "mine.yaml").write_text("models: {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_checkout_is_its_own_shipped_root() -> None:
    assert shipped.shipped_root() == CHECKOUT


def test_every_shipped_file_is_found_by_its_name(cwd: Path) -> None:
    files = [path for room in shipped.ROOMS for path in (CHECKOUT / room).glob("*.yaml")]
    assert files
    for path in files:
        assert shipped.find(path.parent.name, path.stem) == path


def test_the_working_directory_comes_first(cwd: Path) -> None:
    shipped_name = min(path.stem for path in (CHECKOUT / "search_spaces").glob("*.yaml"))
    assert shipped.find("search_spaces", shipped_name) == CHECKOUT / "search_spaces" / f"{shipped_name}.yaml"
    own = cwd / "search_spaces" / f"{shipped_name}.yaml"
    own.write_text("models: {}\n")
    assert shipped.find("search_spaces", shipped_name) == own
    assert shipped.names("search_spaces")[shipped_name] == own


def test_names_lists_both_places_in_order(cwd: Path) -> None:
    listed = list(shipped.names("search_spaces"))
    assert listed == sorted({"mine", *(path.stem for path in (CHECKOUT / "search_spaces").glob("*.yaml"))})


def test_a_file_of_another_room_is_not_found(cwd: Path) -> None:
    with pytest.raises(ConfigError):
        shipped.find("fitness", "mine")


def test_a_near_miss_is_answered_with_the_name_that_exists(cwd: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        shipped.find("search_spaces", "mien")
    (problem,) = caught.value.problems
    assert problem.where == "search_spaces/mien.yaml"
    assert str(cwd / "search_spaces") in problem.what
    assert str(CHECKOUT / "search_spaces") in problem.what
    assert problem.what.endswith('Did you mean "mine"?')


def test_a_far_miss_is_answered_with_all_names(cwd: Path) -> None:
    with pytest.raises(ConfigError, match=r"Allowed: .*mine"):
        shipped.find("search_spaces", "QQQQQQQQQQ")


@pytest.mark.parametrize(
    "name", ["", "../search_spaces/mine", "a/b", "/etc/passwd", "mine.yaml", "mine\n", "mïne", "..", "~"]
)
def test_a_name_never_becomes_a_path_elsewhere(cwd: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        shipped.find("search_spaces", name)


def test_a_file_whose_stem_is_no_name_is_not_listed(cwd: Path) -> None:
    (cwd / "search_spaces" / "not a name.yaml").write_text("models: {}\n")
    assert "not a name" not in shipped.names("search_spaces")


@given(st.text())
def test_what_is_found_lies_in_its_room(name: str) -> None:
    room = CHECKOUT / "search_spaces"
    found = shipped.look_up(CHECKOUT, "search_spaces", name)
    assert found is None or found.resolve().parent == room
