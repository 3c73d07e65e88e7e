"""`evomerge calibrate items` on a micro zoo."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from evomerge.cli import main
from evomerge.cli.scoring import alone
from evomerge.config.files import read_resolved
from evomerge.documents import parse
from evomerge.execution import Job
from evomerge.execution.inline import InlineExecutor
from evomerge.execution.worker import WorkerPlan
from evomerge.fitness import Fitness, FitnessSpec
from evomerge.fitness.banks import open_banks
from evomerge.fitness.irt import Bank
from evomerge.runs import Evaluated, RunLog

COMMAND = ["calibrate", "items", "fitness/two.yaml"]


@pytest.fixture
def models(zoo: Path, desk: Path) -> list[str]:
    """Four models: the micro zoo's, and its average."""
    (desk / "mean.yaml").write_text(
        f"evomerge: recipe/1\nmodels: {{math: {{path: {zoo}/math}}, ja: {{path: {zoo}/ja}}}}\n"
        "blends: {mix: {experts: [math, ja], rules: [{pipe: [{reduce: mean}]}]}}\n"
    )
    return [*(str(zoo / name) for name in ("base", "math", "ja")), "mean.yaml"]


def test_banks_hold_what_the_harness_says(models: list[str], desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMAND, "--models", *models]) == 0
    printed = capsys.readouterr().out
    assert "banks/math.safetensors: name it in fitness/two.yaml as tasks.math.bank" in printed
    assert "A 2pl speaks for itself from about 200 models on; of 4 the priors say much." in printed
    assert {file.name for file in (desk / "banks").iterdir()} == {"math.safetensors", "ja.safetensors"}

    spec = parse(FitnessSpec, read_resolved(Path("fitness/two.yaml"), "zoo"), "two")
    fitness = Fitness.open(spec, "two")
    entries = {
        label: entry.model_copy(update={"bank": f"banks/{label}.safetensors"}) for label, entry in spec.tasks.items()
    }
    named = spec.model_copy(update={"tasks": {label: entries[label] for label in ("math", "ja")}})
    banks = open_banks(named, fitness.splits, "two")
    executor = InlineExecutor(WorkerPlan(alone(Path(models[1])), spec, "two"))
    executor.submit(Job(0, alone(Path(models[1])), fitness.search_items))
    (outcome,) = executor.wait()
    for label in ("math", "ja"):
        assert banks[label].provenance.models == tuple(models)
        assert (banks[label].responses_MN[1] == outcome.responses[label]).all()


def test_responses_of_runs_and_banks_are_taken(
    models: list[str], desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            [
                "search",
                "search_space=tiny",
                "fitness=two",
                "candidates=5",
                "finalists=2",
                "optimizer=random",
                "run_dir=runs/a",
            ]
        )
        == 0
    )
    shutil.rmtree("search_spaces")  # the log is enough
    assert main([*COMMAND, "--runs", "runs/a", "--models", *models[1:3], "--task", "math", "--out", "one"]) == 0
    bank = Bank.load(Path("one/math.safetensors"))
    names = bank.provenance.models
    assert "runs/a: math" in names  # scored as a reference, and known again among the models
    assert models[1] not in names
    with RunLog.read(Path("runs/a")) as log:
        digests = {position: digest for (task, position), (_, digest) in log.items().items() if task == "math"}
        event = next(event for event in log.events() if isinstance(event, Evaluated))
    column = bank.provenance.items.index(digests[event.items["math"][0]])
    assert bank.responses_MN[names.index("runs/a: candidate 0"), column] == event.responses["math"][0]

    assert main([*COMMAND, "--banks", "one/math.safetensors", "--task", "math", "--kind", "1pl"]) == 0
    again = Bank.load(Path("banks/math.safetensors"))
    assert again.provenance.method == "1pl"
    assert again.provenance.models == names
    assert again.provenance.digests == bank.provenance.digests
    np.testing.assert_equal(again.responses_MN, bank.responses_MN)


def test_slips_are_named_before_anything_is_scored(
    models: list[str], desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (desk / "banks").mkdir()
    (desk / "banks" / "ja.safetensors").write_text("")
    assert main([*COMMAND, "--models", *models]) == 2
    assert main([*COMMAND, "--models", *models[:3], "--task", "math"]) == 2
    assert main([*COMMAND, "--models", "none", "nowhere", "--task", "math"]) == 2
    assert main([*COMMAND, "--models", *models, "--task", "maths"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[0].startswith("banks/ja.safetensors: exists already. Remove it, or say --out FOLDER")
    assert errors[1].startswith("calibrate items: 3 models with answers to these items are too few. Name at least 4")
    assert [line.split(":")[0] for line in errors[2:4]] == ["none", "nowhere"]
    assert errors[4] == 'calibrate items: --task: fitness/two.yaml has no task "maths". Did you mean "math"?'
