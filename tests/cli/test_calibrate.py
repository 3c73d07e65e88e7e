"""`evomerge calibrate statistics`: models and recipes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from evomerge.cli import main
from evomerge.documents import read_yaml
from evomerge.errors import ConfigError
from evomerge.execution import Job
from evomerge.recipe import load_recipe
from evomerge.recipe.calibration import STATISTICS
from evomerge.settings import Settings
from evomerge.study import assemble

RECIPE = """
evomerge: recipe/1
models: {base: {path: ZOO/base}, math: {path: ZOO/math}, ja: {path: ZOO/ja}}
calibration: {base: {data: texts.txt}, math: {data: texts.txt, samples: 2}, ja: {data: texts.txt}}
blends:
  mix:
    origin: base
    experts: [math, ja]
    rules: [{where: {roles: [mlp]}, use: regmean}, {use: aim}]
"""


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with texts and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("Tom has two apples.\nMia has three.\nA short line\n")
    return tmp_path / "texts.txt"


def test_models_are_measured_once(zoo: Path, texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["calibrate", "statistics", str(zoo / "math"), str(zoo / "ja"), "--data", "texts.txt", "--tokens", "8"]
    assert main([*command, "--kinds", "act_mean,gram"]) == 0
    assert main([*command, "--kinds", "gram,fisher"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""  # no bars of transformers'
    assert printed.out.splitlines() == [
        *(f"{zoo / name} on texts.txt: measured gram, act_mean" for name in ("math", "ja")),
        *(f"{zoo / name} on texts.txt: measured fisher; knew gram" for name in ("math", "ja")),
    ]


def test_a_recipe_names_what_it_needs(zoo: Path, texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = texts.with_name("recipe.yaml")
    recipe.write_text(RECIPE.replace("ZOO", str(zoo)))
    assert main(["export", str(recipe), "out"]) == 2
    assert f"evomerge calibrate statistics {zoo}/math --data texts.txt --kinds gram" in capsys.readouterr().err
    assert main(["calibrate", "statistics", str(recipe)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{zoo}/math on texts.txt: measured gram",
        f"{zoo}/ja on texts.txt: measured gram",
        f"{zoo}/base on texts.txt: measured act_mean",
    ]
    assert main(["export", str(recipe), "out"]) == 0
    assert load_recipe(recipe).digest[:12] in capsys.readouterr().out


def test_slips_are_named(zoo: Path, texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(zoo / "math")
    assert main(["calibrate", "statistics", model]) == 2
    assert main(["calibrate", "statistics", model, "--data", "texts.txt", "--kinds", "gram,hessian"]) == 2
    assert main(["calibrate", "statistics", model, "--data", "texts.txt", "--samples", "0"]) == 2
    assert main(["calibrate", "statistics", model, "--data", "none.txt"]) == 2
    errors = capsys.readouterr().err
    assert f"calibrate: --data says on what to measure {model}. Name a file of texts." in errors
    assert f'calibrate: --kinds: "hessian" is no statistic. Allowed: {", ".join(STATISTICS)}.' in errors
    assert "calibrate: samples" in errors
    assert "none.txt cannot be read: No such file or directory. Check the path." in errors


def test_a_search_asks_for_what_its_space_may_read(
    make_settings: Callable[..., Settings], texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = [{"weigh": [{"float": [0, 1]}, 1]}, {"reduce": {"choice": ["mean", "metric"]}}]
    space = read_yaml(Path("search_spaces/tiny.yaml"))
    space["blends"]["mix"]["pipe"] = pipe
    space["calibration"] = {name: {"data": "texts.txt", "samples": 2} for name in ("math", "ja")}
    settings = make_settings().model_copy(update={"search_space": space})
    with pytest.raises(ConfigError) as error:
        assemble(settings)
    first, second = error.value.problems
    assert first.where == "search_spaces/tiny.yaml: calibration.math"
    assert "evomerge calibrate statistics" in first.what
    assert second.where.endswith("calibration.ja")
    Path("space.yaml").write_text(yaml.safe_dump(space))
    assert main(["calibrate", "statistics", "space.yaml"]) == 0
    assert capsys.readouterr().out.count("measured gram") == 2
    study = assemble(settings)
    genome = tuple("metric" if gene.name.endswith("reduce") else 0.3 for gene in study.space.genes)
    recipe = study.space.decode(genome)
    assert recipe.calibration is not None
    assert recipe.calibration["ja"].digest == study.space.template["calibration"]["math"]["digest"]
    executor = study.executor()
    executor.submit(Job(0, recipe, study.fitness.search_items))
    (outcome,) = executor.wait()
    assert outcome.failure is None
