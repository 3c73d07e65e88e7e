"""What is measured once is found again, unless anything that it depends on has changed."""

import json
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import Checkpoint, digest_of
from evomerge.errors import ConfigError, EvomergeError
from evomerge.merging import Library
from evomerge.merging.statistics import Measurement, find
from evomerge.merging.statistics.measure import calibrate
from evomerge.merging.statistics.store import Measured, save
from evomerge.recipe import ModelRef
from evomerge.recipe.calibration import Calibration

DOWN = "model.layers.0.mlp.down_proj.weight"


def test_a_second_time_costs_nothing(zoo: Path, data: Calibration, cache: Path) -> None:
    checkpoint = Checkpoint(zoo / "math")
    assert calibrate(checkpoint, data, ["act_mean", "fisher"]) == ["act_mean", "fisher"]
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    assert calibrate(checkpoint, data, ["fisher", "gram"]) == ["gram"]
    assert {path: path.stat().st_mtime_ns for path in before if path != cache} == {
        path: time for path, time in before.items() if path != cache
    }
    assert not [path for path in cache.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("change", [{"samples": 2}, {"tokens": 3}, {"labels": "sampled"}])
def test_other_parameters_are_measured_anew(zoo: Path, data: Calibration, change: dict[str, object]) -> None:
    checkpoint = Checkpoint(zoo / "math")
    calibrate(checkpoint, data, ["fisher"])
    assert calibrate(checkpoint, data.model_copy(update=change), ["fisher"]) == ["fisher"]


def test_what_makes_no_difference_is_not(zoo: Path, data: Calibration) -> None:
    checkpoint = Checkpoint(zoo / "math")
    calibrate(checkpoint, data, ["act_mean", "fisher"])
    assert calibrate(checkpoint, data.model_copy(update={"seed": 4}), ["fisher"]) == []
    assert calibrate(checkpoint, data.model_copy(update={"labels": "sampled"}), ["act_mean"]) == []


def test_other_data_and_models_are_measured_anew(zoo: Path, data: Calibration) -> None:
    calibrate(Checkpoint(zoo / "math"), data, ["act_mean"])
    assert calibrate(Checkpoint(zoo / "ja"), data, ["act_mean"]) == ["act_mean"]
    Path(data.data).write_text("w3 w4 w5\n")
    assert calibrate(Checkpoint(zoo / "math"), data, ["act_mean"]) == ["act_mean"]


@pytest.mark.parametrize("damage", ["truncated", "no record", "record of others", "no json", "owner"])
def test_what_is_damaged_is_measured_again(zoo: Path, data: Calibration, cache: Path, damage: str) -> None:
    checkpoint = Checkpoint(zoo / "math")
    calibrate(checkpoint, data, ["act_mean"])
    (folder,) = cache.iterdir()
    values, record = folder / "values.safetensors", folder / "record.json"
    if damage == "truncated":
        values.write_bytes(values.read_bytes()[:-40])
    elif damage == "no record":
        record.unlink()
    elif damage == "no json":
        record.write_text("{")
    elif damage == "owner":
        record.write_text(json.dumps(json.loads(record.read_text()) | {"owners": {DOWN: "nobody"}}))
    else:
        record.write_text(json.dumps(json.loads(record.read_text()) | {"means": {}}))
    assert calibrate(checkpoint, data, ["act_mean"]) == ["act_mean"]
    assert calibrate(checkpoint, data, ["act_mean"]) == []


def test_readings_know_their_mean_and_the_norm_of_the_model() -> None:
    measurement = Measurement("sha256:model", {"kind": "fisher"})
    save(measurement, Measured({"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([4.0])}, {"c": "b"}), {})
    stored = find(measurement)
    assert stored is not None
    one, shared = stored.reading("a"), stored.reading("c")
    assert one is not None
    assert shared is not None
    assert (one.values.tolist(), one.mean, one.norm) == ([3.0, 0.0], 1.5, 5.0)
    assert (shared.values.tolist(), shared.mean, shared.norm) == ([4.0], 4.0, 5.0)
    assert stored.reading("d") is None


def test_a_disk_that_refuses_leaves_nothing(cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("no folder")
    with pytest.raises(EvomergeError, match="statistics could not be written"):
        save(Measurement("sha256:model", {}), Measured({"a": torch.ones(1)}), {})


def test_the_record_says_how_it_came_about(zoo: Path, data: Calibration) -> None:
    checkpoint = Checkpoint(zoo / "math")
    calibrate(checkpoint, data, ["act_mean"])
    record = Library().statistics(ModelRef(path=str(zoo / "math")), data, "act_mean").record
    assert record["model"] == digest_of(checkpoint)
    assert record["parameters"]["kind"] == "act_mean"
    assert (record["texts"], record["device"]) == (5, "cpu")


def test_what_is_missing_is_named_with_the_command_that_measures_it(zoo: Path, data: Calibration) -> None:
    sampled = data.model_copy(update={"labels": "sampled", "samples": 7})
    with pytest.raises(ConfigError) as error:
        Library().statistics(ModelRef(path=str(zoo / "math")), sampled, "fisher")
    command = f"evomerge calibrate statistics {zoo}/math --data {data.data} --kinds fisher --samples 7 --tokens 512"
    assert str(error.value).endswith(f"Measure it: {command} --labels sampled --seed 0")
