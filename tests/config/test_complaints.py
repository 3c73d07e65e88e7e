"""What Hydra refuses is said in our words."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from evomerge.config.complaints import in_our_words
from evomerge.config.rooms import register
from evomerge.shipped import shipped_root

KEYS = {"candidates", "seed", "optimizer", "fitness"}


def complaint(*words: str) -> str:
    """Of composing the shipped configuration with these words on the command line."""
    register()
    with (
        pytest.raises((HydraException, OmegaConfBaseException)) as raised,
        initialize_config_dir(str(shipped_root() / "conf"), version_base="1.3"),
    ):
        OmegaConf.to_container(compose("search", overrides=list(words)), resolve=True)
    return str(in_our_words(raised.value, KEYS))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optimizer=nsga5"], 'optimizer=nsga5: there is no optimizer "nsga5". Did you mean "nsga'),
        (["search_space=tpyo"], 'search_space=tpyo: there is no search space "tpyo". Allowed: zoo, zoo_breed, '),
        (["experiment=zo_front"], 'experiment=zo_front: there is no experiment "zo_front". Did you mean "zoo_front"?'),
        (
            ["search_space=search_spaces/zoo.yaml"],
            "search_space=search_spaces/zoo.yaml: is no name. Say the name of a file in search_spaces/, without the "
            'folder and without .yaml. Did you mean "zoo"?',
        ),
        (["search_space=/tmp/zoo_ties.yaml"], "/tmp/zoo_ties.yaml: is no name. "),
        ([], "fitness: none is named. Say fitness=NAME; `evomerge ls fitness` lists what there is."),
        (["candidate=5"], 'candidate: is not a known key. Did you mean "candidates"?'),
        (["~seeed"], 'seeed: is not a known key. Did you mean "seed"?'),
        (["+seed=5"], "+seed: the key has a value already. Say seed=… without the plus."),
        (["seed=1,2"], "seed=1,2: several values are a sweep, with a run for each: add -m."),
        (["seed=range(1,3)"], "seed=range(1,3): several values are a sweep"),
        (["nsga2"], "nsga2: cannot be read: it has no value. Write KEY=VALUE"),
        (["fitness.items=[1,"], "fitness.items=[1,: cannot be read: "),
        (["run_dir=${nothing}"], "run_dir: Interpolation key 'nothing' not found."),
    ],
)
def test_each_is_told_with_what_is_allowed_and_what_to_do(words: list[str], message: str) -> None:
    named = {word.partition("=")[0] for word in words}
    more = ["search_space=zoo", "fitness=zoo_mean"] if words else []
    told = complaint(*words, *(word for word in more if word.partition("=")[0] not in named))
    assert message in told
    assert "hydra" not in told.lower()
    assert "struct" not in told


def test_a_name_that_an_experiment_has_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiments").mkdir()
    text = "# @package _global_\ndefaults:\n  - override /search_space: zooo\n  - override /fitness: zoo_mean\n"
    (tmp_path / "experiments" / "mine.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    told = complaint("experiment=mine")
    assert 'search_space=zooo: there is no search space "zooo". Did you mean "zoo"?' in told
