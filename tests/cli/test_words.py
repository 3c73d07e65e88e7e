"""Settings with and without dashes."""

from pathlib import Path

import pytest

from evomerge.cli.words import Parser, device, without_dashes
from evomerge.errors import ConfigError

KEYS = {"zoo", "seed", "fitness", "run_dir"}


@pytest.mark.parametrize(
    ("words", "same"),
    [
        (["--zoo=x", "seed=1"], ["zoo=x", "seed=1"]),
        (["--zoo", "x", "--seed", "1", "-m"], ["zoo=x", "seed=1", "-m"]),
        (["--run-dir", "a-b", "--run_dir=c"], ["run_dir=a-b", "run_dir=c"]),
        (["--fitness.rotation=1"], ["fitness.rotation=1"]),
        (["-m", "--cfg", "job", "--measure", "3", "zoo=x"], ["-m", "--cfg", "job", "--measure", "3", "zoo=x"]),
        (["+fitness.a=--zoo"], ["+fitness.a=--zoo"]),
    ],
)
def test_settings_lose_their_dashes_and_options_keep_theirs(words: list[str], same: list[str]) -> None:
    assert without_dashes(words, KEYS) == same


def test_an_option_that_is_nearly_a_setting_is_told() -> None:
    with pytest.raises(ConfigError, match=r'--fitnes=x: is not a known key\. Did you mean "fitness"\?'):
        without_dashes(["--fitnes=x"], KEYS)


def test_a_folder_that_is_called_after_settings_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo=x,seed=1").mkdir()
    assert parser().parse_args(["zoo=x,seed=1", "zoo=y"]).models == ["zoo=x,seed=1"]


def parser() -> Parser:
    arguments = Parser()
    arguments.add_argument("models", nargs="*")
    arguments.add_argument("--zoo", default="zoo")
    arguments.add_argument("--weights", default="")
    arguments.add_argument("--json")
    arguments.add_argument("--flag", action="store_true")
    arguments.add_argument("--data", nargs="+", metavar="[EXPERT=]FILE")
    return arguments


@pytest.mark.parametrize("words", [["m", "zoo=x"], ["m", "--zoo=x"], ["m", "--zoo", "x"], ["zoo=x", "m"]])
def test_options_may_be_written_as_settings(words: list[str]) -> None:
    given = parser().parse_args(words)
    assert (given.zoo, given.models) == ("x", ["m"])


def test_other_words_with_an_equals_sign_are_left_alone() -> None:
    given = parser().parse_args(["--weights", "zoo=2", "--json=zoo=3", "a=b"])
    assert (given.zoo, given.weights, given.json, given.models) == ("zoo", "zoo=2", "zoo=3", ["a=b"])


def test_a_flag_has_no_value_and_a_list_of_pairs_keeps_its_own() -> None:
    given = parser().parse_args(["m", "--flag", "zoo=x", "--data", "zoo=1", "json=2", "--json", "3"])
    assert (given.zoo, given.flag, given.data, given.json, given.models) == ("x", True, ["zoo=1", "json=2"], "3", ["m"])


def test_what_has_no_dashes_may_be_named_too() -> None:
    assert parser().parse_args(["models=m", "n"]).models == ["m", "n"]


@pytest.mark.parametrize("name", ["cuda:77", "gpu"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    assert device("cpu") == "cpu"
    assert device("auto") in ("cpu", "cuda")
    with pytest.raises(ConfigError, match=rf'--device: this machine has no device "{name}". Allowed: auto, cpu'):
        device(name)


def test_commands_below_a_command_take_them_too() -> None:
    arguments = Parser()
    below = arguments.add_subparsers(required=True).add_parser("items")
    below.add_argument("--zoo")
    assert arguments.parse_args(["items", "zoo=x"]).zoo == "x"
