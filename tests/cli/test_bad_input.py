"""Bad input: one clear message with file, key, what is allowed and what to do, and nothing is touched."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from evomerge.cli import main

SEARCH = ["search", "search_space=tiny", "fitness=two", "optimizer=random", "candidates=2", "run_dir=runs/x"]


def complaint(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says when it refuses; it must refuse without a traceback."""
    capsys.readouterr()
    try:
        status = main(argv)
    except SystemExit as stop:
        status = stop.code  # type: ignore[assignment]
    assert status == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "search_spaces/tiny.yaml",
            "groups:",
            "group:",
            'search_spaces/tiny.yaml: "group" is not a known key. Did you mean "groups"?',
        ),
        (
            "search_spaces/tiny.yaml",
            "- {weigh:",
            "- {gate: top, density: 1.4}\n      - {weigh:",
            "search_spaces/tiny.yaml: blends.mix.pipe[0].density: 1.4 is above 1. A density lies in (0, 1].",
        ),
        (
            "search_spaces/tiny.yaml",
            "/math,",
            "/maths,",
            "/maths. Check the path, or download the model there.",
        ),
        (
            "search_spaces/tiny.yaml",
            "layers: 2",
            "layers: 9",
            "search_spaces/tiny.yaml: groups.layers: 9 bands of layers, but the models have 3 layers. Ask for fewer.",
        ),
        (
            "search_spaces/tiny.yaml",
            "seeds: [uniform]",
            "seeds: [ties]",
            "search_spaces/tiny.yaml: seeds[0]: ties does not lie in the space: it has no stage for ",
        ),
        (
            "search_spaces/tiny.yaml",
            "seeds: [uniform]",
            "seeds: [tise]",
            'search_spaces/tiny.yaml: seeds[0]: "tise" is no preset. Did you mean "ties"?',
        ),
        (
            "fitness/two.yaml",
            "zoo_math_en_mc",
            "zoo_math_enn_mc",
            'fitness/two.yaml: tasks.math.task: there is no lm-eval task "zoo_math_enn_mc". Did you mean zoo_math_en',
        ),
        (
            "fitness/two.yaml",
            "japanese: [ja]",
            "japanese: [jaa]",
            'fitness/two.yaml: objectives.japanese[0]: "jaa" is not one of the tasks. Did you mean "ja"?',
        ),
    ],
)
def test_wrong_files(
    desk: Path, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str, message: str
) -> None:
    replace(desk / file, old, new)
    assert message in complaint(SEARCH, capsys)
    assert not (desk / "runs").exists()


def test_models_of_other_shapes_and_vocabularies(
    desk: Path, zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = tmp_path / "wide"
    model = AutoModelForCausalLM.from_pretrained(zoo / "ja")
    model.resize_token_embeddings(model.config.vocab_size + 3, mean_resizing=False)
    model.save_pretrained(wide)
    tokenizer = json.loads((zoo / "ja" / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["extra"] = vocabulary.pop(next(iter(vocabulary)))
    (wide / "tokenizer.json").write_text(json.dumps(tokenizer))
    replace(desk / "search_spaces" / "tiny.yaml", str(zoo / "ja"), str(wide))
    message = complaint(SEARCH, capsys)
    assert "search_spaces/tiny.yaml: models.ja: has another vocabulary than base" in message
    assert "search_spaces/tiny.yaml: models.ja: 1 tensors have other shapes than in base: model.embed_tokens" in message
    assert not (desk / "runs").exists()


def test_an_optimiser_for_another_kind_of_search(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert '"cma_lr" takes one objective, but the fitness has 2' in complaint([*SEARCH, "optimizer=cma_lr"], capsys)
    assert not (desk / "runs").exists()


def test_settings_out_of_range(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [*SEARCH, "candidates=0", "executor=ray", "executor.workers=0"]
    message = complaint(argv, capsys)
    assert "settings: candidates: 0 is below 1. Give 1 or more." in message
    assert "settings: executor.workers: 0" in message


def test_a_sweep_into_one_folder(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = complaint([*SEARCH, "-m", "seed=1,2"], capsys)
    assert "run_dir: a sweep needs a folder for each run. Drop the key" in message
    assert not (desk / "runs").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["resume", "nowhere"], "nowhere: holds no run"),
        (["report", "nowhere"], "nowhere: holds no run"),
        (["export", "nowhere.yaml", "out"], "nowhere.yaml: there is no such file"),
        (["evaluate", "nowhere", "--fitness", "fitness/two.yaml"], "there is no model folder nowhere"),
        (["evaluate", "nowhere", "--fitness", "tow"], "fitness/tow.yaml: there is no such file"),
        (["serch"], 'there is no command "serch"'),
        (["validate", "nowhere.yaml"], "nowhere.yaml: there is no such file"),
    ],
)
def test_things_that_are_not_there(
    desk: Path, capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    before = sorted(desk.rglob("*"))
    assert message in complaint(command, capsys)
    assert sorted(desk.rglob("*")) == before


def test_validate_names_all_problems_of_all_files(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace(desk / "search_spaces" / "tiny.yaml", "float: [-30, 30]", "float: [30, -30]")
    replace(desk / "fitness" / "two.yaml", "search: 0.4", "search: 0.9")
    (desk / "odd.yaml").write_text("evomerge: recipe/9\n")
    files = ["search_spaces/tiny.yaml", "fitness/two.yaml", "fitness/one.yaml", "odd.yaml"]
    message = complaint(["validate", *files], capsys)
    assert "search_spaces/tiny.yaml: blends.mix.pipe[0].weigh[0]: [30, -30] is empty" in message
    assert "search_spaces/tiny.yaml: blends.mix.pipe[0].weigh[1]: [30, -30] is empty" in message
    assert "fitness/two.yaml: splits: the shares sum to 1.5" in message
    assert "odd.yaml: \"evomerge\" is 'recipe/9'. Say what the file is: space/1, fitness/1 or recipe/1." in message


def test_validate_praises_sound_files(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "search_spaces/tiny.yaml", "fitness/two.yaml"]) == 0
    out = capsys.readouterr().out
    assert "search_spaces/tiny.yaml: a sound search space over base, math, ja" in out
    assert "fitness/two.yaml: a sound fitness with the objectives math, japanese" in out


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("fitness.raceing=halving", 'fitness/two.yaml: "raceing" is not a known key. Did you mean "racing"?'),
        ("fitness.rotation=2", "fitness/two.yaml: rotation: 2 is above 1. Give 1 or less."),
        ("search_space.groups.layer=2", 'groups: "layer" is not a known key. Did you mean "layers"?'),
        ("optimizer=nsga5", 'optimizer=nsga5: there is no optimizer "nsga5". Did you mean "nsga'),
        ("optimizer.populaton=5", 'optimizer: "populaton" is not a known key.'),
        ("--candidate=5", "--candidate=5"),
        ("candidate=5", 'candidate: is not a known key. Did you mean "candidates"?'),
        ("zoo=${nothing}", "zoo: Interpolation key 'nothing' not found."),
    ],
)
def test_mistyped_words(desk: Path, capsys: pytest.CaptureFixture[str], word: str, message: str) -> None:
    told = complaint([*SEARCH, word], capsys)
    assert message in told
    assert ("was read as changed on the command line: " + word in told) == word.startswith(
        ("fitness.", "search_space.")
    )
    assert not (desk / "runs").exists()


def test_a_word_that_the_file_lacks_needs_no_plus_and_one_with_dashes_is_taken(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The only problem left is the last: all else is known."""
    words = ["fitness.rotation=0.5", "fitness.racing=halving", "--seed", "3", "--fitness.promotion=20"]
    told = complaint([*SEARCH, *words], capsys)
    assert told.startswith("fitness/two.yaml: promotion: 20 items are not more than the estimator's 40.")
