"""Building, finishing, keeping and refusing zoos."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from evomerge.checkpoints.zoo import MICRO, Course, Progress, ZooPlan, build_zoo
from evomerge.errors import ConfigError

MODELS = ("base", "math", "ja", "str")


class Interrupted(Exception):
    """Raised from a report, as Ctrl-C would be."""


def interrupting(model: str) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.model == model:
            raise Interrupted

    return report


def trained(folder: Path, plan: ZooPlan = MICRO) -> list[Progress]:
    seen: list[Progress] = []
    build_zoo(folder, plan, seen.append)
    return seen


def weights(folder: Path, model: str) -> bytes:
    return (folder / model / "model.safetensors").read_bytes()


def test_models_are_ordinary_checkpoints_in_fp32(micro_zoo: Path) -> None:
    for name in MODELS:
        assert {path.name for path in (micro_zoo / name).iterdir()} == {
            *("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
        }
        model = AutoModelForCausalLM.from_pretrained(micro_zoo / name)
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
        assert model.generation_config.eos_token_id == AutoTokenizer.from_pretrained(micro_zoo / name).eos_token_id


def test_every_expert_differs_from_the_base_in_every_layer(micro_zoo: Path) -> None:
    base = load_file(micro_zoo / "base" / "model.safetensors")
    for name in MODELS[1:]:
        expert = load_file(micro_zoo / name / "model.safetensors")
        assert expert.keys() == base.keys()
        assert all(not torch.equal(expert[tensor], base[tensor]) for tensor in base)


def test_an_interrupted_build_goes_on_with_its_model_and_gives_the_same_bytes(micro_zoo: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        build_zoo(tmp_path, MICRO, interrupting("ja"))
    assert {path.name for path in tmp_path.iterdir()} == {"base", "math", "zoo.json"}
    assert [progress.model for progress in trained(tmp_path) if progress.step == progress.num_steps] == ["ja", "str"]
    for name in MODELS:
        assert weights(tmp_path, name) == weights(micro_zoo, name)


def test_a_second_build_trains_and_writes_nothing(micro_zoo: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in micro_zoo.rglob("*")}
    assert trained(micro_zoo) == []
    assert {path: path.stat().st_mtime_ns for path in micro_zoo.rglob("*")} == before


def test_a_damaged_expert_is_trained_again(micro_zoo: Path, tmp_path: Path) -> None:
    zoo = shutil.copytree(micro_zoo, tmp_path / "zoo")
    with (zoo / "math" / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    assert {progress.model for progress in trained(zoo)} == {"math"}
    assert weights(zoo, "math") == weights(micro_zoo, "math")


def test_a_lost_base_takes_its_experts_with_it(tmp_path: Path) -> None:
    step = Course({"copy": 1.0}, num_steps=1, learning_rate=1e-3)
    brief = ZooPlan(step, {"math": step, "ja": step}, batch_size=1, num_layers=1, num_eval_items=5)
    trained(tmp_path, brief)
    shutil.rmtree(tmp_path / "base")
    assert {progress.model for progress in trained(tmp_path, brief)} == {"base", "math", "ja"}


def test_a_moved_zoo_gets_new_paths_in_its_tasks_without_training(micro_zoo: Path, tmp_path: Path) -> None:
    zoo = shutil.copytree(micro_zoo, tmp_path / "moved")
    assert trained(zoo) == []
    for path in (zoo / "tasks").glob("*.yaml"):
        data = Path(yaml.safe_load(path.read_text())["dataset_kwargs"]["data_files"]["test"])
        assert data.parent == zoo / "tasks" / "data"
        assert data.is_file()


def test_the_record_says_what_was_built(micro_zoo: Path) -> None:
    record = json.loads((micro_zoo / "zoo.json").read_text())
    assert record["plan"]["hidden_size"] == MICRO.hidden_size
    assert list(record["models"]) == list(MODELS)
    assert all(record["models"][name]["seconds"] > 0 for name in MODELS)
    assert record["models"]["base"]["versions"]["torch"] == torch.__version__
    assert record["tasks"].keys() == {path.name for path in (micro_zoo / "tasks" / "data").iterdir()}


def test_another_plan_is_refused_naming_every_difference(micro_zoo: Path) -> None:
    slower = {**MICRO.experts, "ja": replace(MICRO.experts["ja"], learning_rate=1e-4)}
    with pytest.raises(ConfigError) as caught:
        build_zoo(micro_zoo, replace(MICRO, seed=5, num_layers=4, experts=slower), print)
    assert [(problem.where, problem.what.split(" asked")[0]) for problem in caught.value.problems] == [
        (f"{micro_zoo}/zoo.json: plan.experts.ja.learning_rate", "0.0015 here, 0.0001"),
        (f"{micro_zoo}/zoo.json: plan.seed", "0 here, 5"),
        (f"{micro_zoo}/zoo.json: plan.num_layers", "3 here, 4"),
    ]
    assert all("Choose another folder, or delete this one" in problem.what for problem in caught.value.problems)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"evomerge": "run/1", "plan": {}, "models": {}}'])
def test_a_record_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "zoo.json").write_text(text)
    with pytest.raises(ConfigError, match="is not the record of a zoo"):
        build_zoo(tmp_path, MICRO, print)
    assert (tmp_path / "zoo.json").read_text() == text


def test_checkpoints_of_others_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(b"precious")
    (tmp_path / "str").mkdir()
    with pytest.raises(ConfigError) as caught:
        build_zoo(tmp_path, MICRO, print)
    assert [problem.where for problem in caught.value.problems] == [str(tmp_path / "base"), str(tmp_path / "str")]
    assert weights(tmp_path, "base") == b"precious"


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "zoo").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        build_zoo(tmp_path / "zoo", MICRO, print)


def test_building_leaves_the_global_generator_and_the_threads_alone(tmp_path: Path) -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(2)
    try:
        with pytest.raises(Interrupted):
            build_zoo(tmp_path, MICRO, interrupting("base"))
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(threads)
