"""Bad input: one clear message with file, key, what is allowed and what to do, and nothing is touched."""

import json
import re
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


@pytest.mark.parametrize(
    ("command", "zoo"),
    [
        (["search", "search_space=zoo", "fitness=zoo_mean"], "zoo"),
        (["search", "search_space=zoo", "fitness=zoo_mean", "zoo=my/zoo"], "my/zoo"),
        (["evaluate", "x", "--fitness", "zoo_mean"], "zoo"),
        (["evaluate", "x", "fitness=zoo_mean", "--zoo", "my/zoo"], "my/zoo"),
    ],
)
def test_a_zoo_that_is_not_there(desk: Path, capsys: pytest.CaptureFixture[str], command: list[str], zoo: str) -> None:
    hint = f"There is no zoo in {zoo}. Make it: `evomerge zoo build {zoo}`; or say where it is: zoo=FOLDER."
    assert complaint(command, capsys).splitlines()[-1] == hint


def test_more_gpus_than_there_are(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = complaint([*SEARCH, "executor=ray", "executor.workers=90", "executor.gpus=0.5"], capsys)
    assert re.search(r"executor.gpus: \d+ workers with 0.5 each fit the \d+ GPUs of this machine, not 90\.", message)
    assert not (desk / "runs").exists()


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
        (["serch"], 'there is no command "serch". Did you mean "search"?'),
        (["compare", "nowhere"], "nowhere: holds no run"),
        (["report", "."], ".: holds no run"),
        (["validate", "nowhere.yaml"], "nowhere.yaml: there is no such file"),
    ],
)
def test_things_that_are_not_there(
    desk: Path, capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    before = sorted(desk.rglob("*"))
    assert message in complaint(command, capsys)
    assert sorted(desk.rglob("*")) == before


def test_what_the_machine_refuses_is_said_in_one_line(
    desk: Path, zoo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = f"models: {{a: {zoo}/math, b: {zoo}/ja}}\nblends: {{mix: {{experts: [a, b], rules: [{{use: linear}}]}}}}\n"
    (desk / "recipe.yaml").write_text(f"evomerge: recipe/1\n{recipe}")
    assert main(["convert", "recipe.yaml", "fitness/two.yaml/x.yaml"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("evomerge convert: [Errno ")
    assert len(message.splitlines()) == 1


def test_validate_names_all_problems_of_all_files(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace(desk / "search_spaces" / "tiny.yaml", "float: [-30, 30]", "float: [30, -30]")
    replace(desk / "fitness" / "two.yaml", "search: 0.4", "search: 0.9")
    (desk / "odd.yaml").write_text("evomerge: recipe/9\n")
    files = ["search_spaces/tiny.yaml", "fitness/two.yaml", "fitness/one.yaml", "odd.yaml"]
    message = complaint(["validate", *files], capsys)
    assert "search_spaces/tiny.yaml: blends.mix.pipe[0].weigh[0]: [30, -30] is empty" in message
    assert "search_spaces/tiny.yaml: blends.mix.pipe[0].weigh[1]: [30, -30] is empty" in message
    assert "fitness/two.yaml: splits: the shares sum to 1.5" in message
    assert 'odd.yaml: "evomerge" is recipe/9. Say what the file is: space/1, fitness/1 or recipe/1.' in message


def test_validate_looks_at_what_files_name(desk: Path, zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace(desk / "search_spaces" / "tiny.yaml", f"{zoo}/math,", "nowhere/math,")
    replace(desk / "search_spaces" / "tiny.yaml", f"{zoo}/ja}}", "nowhere/ja}\ncalibration: {math: {data: none.txt}}")
    replace(desk / "fitness" / "one.yaml", f"include: [{zoo}/tasks]", "include: [task, tusk]")
    replace(desk / "fitness" / "one.yaml", "metric: acc}", "metric: acc, bank: banks/math.safetensors}")
    replace(desk / "fitness" / "two.yaml", "zoo_math_en_mc", "zoo_math_enn_mc")
    replace(desk / "fitness" / "two.yaml", "zoo_form_ja_mc", "zoo_form_jaa_mc")
    message = complaint(["validate", "search_spaces/tiny.yaml", "fitness/one.yaml", "fitness/two.yaml"], capsys)
    for problem in (
        "search_spaces/tiny.yaml: models.math: there is no model folder nowhere/math.",
        "search_spaces/tiny.yaml: models.ja: there is no model folder nowhere/ja.",
        "search_spaces/tiny.yaml: calibration.math.data: ",
        "fitness/one.yaml: include[0]: there is no folder task.",
        "fitness/one.yaml: include[1]: there is no folder tusk.",
        "fitness/one.yaml: tasks.math.bank: banks/math.safetensors: there is no such file.",
        'fitness/two.yaml: tasks.math.task: there is no lm-eval task "zoo_math_enn_mc". Did you mean zoo_math_en',
        'fitness/two.yaml: tasks.ja.task: there is no lm-eval task "zoo_form_jaa_mc". Did you mean zoo_form_ja',
    ):
        assert problem in message


def test_validate_holds_spaces_and_recipes_to_the_depth_of_their_models(
    desk: Path, zoo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(desk / "search_spaces" / "tiny.yaml", "layers: 2", "layers: 9")
    route = "route: [{from: base, layers: [0, 1]}, {from: math, layers: [2, 7]}]"
    (desk / "deep.yaml").write_text(f"evomerge: recipe/1\nmodels: {{base: {zoo}/base, math: {zoo}/math}}\n{route}\n")
    rules = "rules: [{where: {layers: [7, 9]}, use: ties}, {use: linear}]"
    blends = f"blends: {{mix: {{origin: base, experts: [math], {rules}}}}}"
    (desk / "idle.yaml").write_text(f"evomerge: recipe/1\nmodels: {{base: {zoo}/base, math: {zoo}/math}}\n{blends}\n")
    assert main(["validate", "search_spaces/tiny.yaml", "deep.yaml", "idle.yaml"]) == 2
    told = capsys.readouterr()
    assert "search_spaces/tiny.yaml: groups.layers: 9 bands of layers, but the models have 3 layers." in told.err
    assert "deep.yaml: route[1].layers" in told.err
    assert "idle.yaml: a sound recipe" in told.out
    assert "but blends.mix.rules[0].where: {layers: [7, 9]} matches no tensor, so the rule does nothing." in told.out


def test_validate_says_what_it_did_not_check(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    constraint = "constraints: [{task: math, at_least: 0.5, of: bse}]\nobjectives:"
    replace(desk / "fitness" / "two.yaml", "objectives:", constraint)
    assert main(["validate", "fitness/two.yaml"]) == 0
    told = capsys.readouterr().out
    assert "Not checked: the data, metrics and filters of its tasks, and how many items they have: --data" in told
    assert "Not checked: whether the search space has bse, which it compares with: name the space's file too" in told

    message = complaint(["validate", "fitness/two.yaml", "search_spaces/tiny.yaml"], capsys)
    assert (
        'fitness/two.yaml: constraints[0].of: "bse" is not a model of the search space. Did you mean "base"?' in message
    )

    replace(desk / "fitness" / "one.yaml", "metric: acc}", "metric: accc}")
    assert main(["validate", "fitness/one.yaml"]) == 0
    message = complaint(["validate", "--data", "fitness/one.yaml"], capsys)
    assert 'fitness/one.yaml: tasks.math.metric: "accc" is not a metric of zoo_math_en_mc.' in message


def test_validate_sends_experiments_elsewhere(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (desk / "mine.yaml").write_text("# @package _global_\ndefaults:\n  - override /fitness: two\n")
    message = complaint(["validate", "mine.yaml"], capsys)
    assert "mine.yaml: is an experiment" in message
    assert "`evomerge plan experiment=mine` checks it" in message


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
        ("--zooo=x", '--zooo=x: is not a known key. Did you mean "zoo"?'),
        ("--candidate=5", '--candidate=5: is not a known key. Did you mean "candidates"?'),
        ("executor.workers=2", "settings: executor: workers: only Ray takes it. Say executor=ray."),
        ("executor.device=gpu", 'executor.device: this machine has no device "gpu". Allowed: auto, cpu'),
        ("fitness=null", "fitness=null: a search needs one. Say fitness=NAME."),
        ("~optimizer", "~optimizer: a search needs one. Say optimizer=NAME."),
        ("run_dir=", "run_dir: names no folder. Name one, or leave the key out."),
        ("run_dir=fitness/two.yaml/x", "fitness/two.yaml/x: cannot be made: Not a directory. Choose another run_dir."),
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
