"""Commands that can be pasted: lm_eval's own parser takes them, and reads the items that the report wrote."""

import json
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_eval._cli.run import Run as LmEvalRun
from lm_eval.config.evaluate_config import EvaluatorConfig

from evomerge.report import commands


def parsed(command: str) -> list[Namespace]:
    """What lm_eval makes of each command."""
    parser = ArgumentParser()
    LmEvalRun(parser.add_subparsers())
    lines = command.replace("\\\n", " ").splitlines()
    return [parser.parse_args(["run", *shlex.split(line)[2:]]) for line in lines]


def lm_eval(run: Any) -> str:
    return commands.lm_eval(run.folder, run.fitness, run.results.finalists[0].recipe, run.settings)


def test_lm_eval_reads_the_test_items_that_the_command_names(make_run: Callable[..., Any]) -> None:
    run = make_run(candidates=8)
    items = commands.test_items(run.fitness)
    (run.folder / commands.ITEMS_FILE).write_text(json.dumps(items))
    command = lm_eval(run)
    assert command.startswith("OMP_NUM_THREADS=1 lm_eval --model hf ")
    configs = [EvaluatorConfig.from_cli(arguments) for arguments in parsed(command)]
    assert [config.tasks for config in configs] == [["zoo_math_en"], ["zoo_form_ja"], ["zoo_math_ja"]]
    for config in configs:
        assert config.samples == items
        assert config.samples["zoo_math_en"] == list(run.fitness.items("test")["math_en"])
        assert config.model_args == {"pretrained": "OUT", "dtype": "auto"}
        assert config.include_path == "/zoo/tasks"
        assert int(config.batch_size) == run.fitness.spec.batch_size
        assert config.num_fewshot is None


def test_everything_that_decides_a_score_is_in_the_command(make_run: Callable[..., Any]) -> None:
    options = {"max_length": 512, "apply_chat_template": True, "allow_code": True, "batch_size": 7}
    options["tasks"] = {"math_en": {"task": "my task", "metric": "acc", "num_fewshot": 5}}
    run = make_run(candidates=8, include=("/my tasks/a",), options=options, objectives={"maths": ["math_en"]})
    recipe = run.results.finalists[0].recipe.model_copy(update={"dtype": "bfloat16"})
    executor = run.settings.executor.model_copy(update={"device": "cuda:1", "threads": 3})
    settings = run.settings.model_copy(update={"executor": executor})
    command = commands.lm_eval(run.folder, run.fitness, recipe, settings)
    assert command.startswith("OMP_NUM_THREADS=3 ")
    (arguments,) = parsed(command)
    assert arguments.model_args == {"pretrained": "OUT", "dtype": "bfloat16", "max_length": 512}
    assert (arguments.num_fewshot, arguments.device, arguments.batch_size) == (5, "cuda:1", "7")
    assert arguments.apply_chat_template
    assert arguments.confirm_run_unsafe_code
    assert arguments.include_path == "/my tasks/a"
    assert arguments.samples == str(run.folder / commands.ITEMS_FILE)


def test_one_command_per_task_even_where_labels_share_it(make_run: Callable[..., Any]) -> None:
    entries = {"math_en": {}, "form_ja": {"filter": "none"}, "math_ja": {"num_fewshot": 0}}
    tasks = {label: {"task": "same", "metric": "acc", **entry} for label, entry in entries.items()}
    run = make_run(candidates=8, options={"tasks": tasks})
    assert [one.num_fewshot for one in parsed(lm_eval(run))] == [None, 0]
    (positions,) = commands.test_items(run.fitness).values()
    assert positions == list(run.fitness.items("test")["math_en"])


@pytest.mark.parametrize(("include", "flag"), [((), None), (("/a",), "/a"), (("/a", "/b"), "FOLDER_OF_THIS_TASK")])
def test_lm_eval_takes_one_folder(make_run: Callable[..., Any], include: tuple[str, ...], flag: str | None) -> None:
    assert {one.include_path for one in parsed(lm_eval(make_run(candidates=8, include=include)))} == {flag}


@pytest.mark.parametrize(
    ("executor", "device"),
    [
        ({"name": "inline", "device": "auto"}, None),
        ({"name": "inline", "device": "cpu"}, "cpu"),
        ({"name": "ray", "gpus": 0}, "cpu"),
        ({"name": "ray", "gpus": 1}, None),
    ],
)
def test_the_device_is_the_runs(make_run: Callable[..., Any], executor: dict[str, Any], device: str | None) -> None:
    run = make_run(candidates=8)
    run.settings = type(run.settings).model_validate({**run.settings.model_dump(), "executor": executor})
    assert {one.device for one in parsed(lm_eval(run))} == {device}


def test_paths_are_quoted() -> None:
    folder = Path("runs/a b; rm -rf $HOME")
    for command in (commands.export(folder), commands.resume(folder, 400), commands.export(folder, "candidate 17")):
        assert shlex.split(command)[2] == str(folder)
    assert shlex.split(commands.export(folder, "candidate 17"))[3:] == ["OUT", "--finalist", "candidate 17"]
    assert shlex.split(commands.resume(folder, 400))[3:] == ["--candidates", "400"]
    assert shlex.split(commands.resume(folder))[3:] == []
