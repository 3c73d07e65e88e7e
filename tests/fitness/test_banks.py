import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.errors import ConfigError
from evomerge.fitness.banks import open_banks
from evomerge.fitness.irt import fit_bank
from evomerge.fitness.items import ItemSplits
from evomerge.fitness.spec import FitnessSpec

SPLITS = ItemSplits(
    search={"sums": (2, 5, 7), "other": (0,)},
    selection={"sums": (1,), "other": (1,)},
    test={"sums": (0,), "other": (2,)},
    digests={"sums": {position: f"{position:016x}" for position in range(8)}, "other": {0: "f" * 16}},
)


def save(path: Path, positions: list[int], task: str = "toy_next", version: str = "1.0", metric: str = "acc") -> str:
    rows = {str(index): np.array([(index >> item % 3) % 2 for item in positions], float) for index in range(8)}
    digests = [f"{position:016x}" for position in positions]
    fit_bank(rows, digests, task=task, task_version=version, metric=metric).save(path)
    return str(path)


@pytest.fixture
def make(make_spec: Callable[..., FitnessSpec]) -> Callable[[str], FitnessSpec]:
    def make(bank: str) -> FitnessSpec:
        entry: dict[str, Any] = {"task": "toy_next", "metric": "acc"}
        return make_spec({"sums": entry | {"bank": bank}, "other": entry})

    return make


def refusal(spec: FitnessSpec, versions: dict[str, str] | None = None, splits: ItemSplits = SPLITS) -> str:
    with pytest.raises(ConfigError) as caught:
        open_banks(spec, splits, "fit.yaml", versions)
    return str(caught.value)


def test_a_bank_is_cut_to_the_search_items_in_their_order(make: Callable[[str], FitnessSpec], tmp_path: Path) -> None:
    path = save(tmp_path / "b.safetensors", [7, 0, 2, 3, 5])
    banks = open_banks(make(path), SPLITS, "fit.yaml")
    assert list(banks) == ["sums"]
    assert banks["sums"].provenance.items == tuple(f"{position:016x}" for position in (2, 5, 7))
    assert (banks["sums"].responses_MN[1] == [1 >> position % 3 for position in (2, 5, 7)]).all()


def test_the_digest_is_that_of_the_content(make: Callable[[str], FitnessSpec], tmp_path: Path) -> None:
    first = open_banks(make(save(tmp_path / "a.safetensors", [2, 5, 7])), SPLITS, "fit.yaml")["sums"]
    other = open_banks(make(save(tmp_path / "b.safetensors", [7, 2, 5])), SPLITS, "fit.yaml")["sums"]
    assert first.digest == other.digest
    assert dataclasses.replace(first, responses_MN=1 - first.responses_MN).digest != first.digest


MEND = "Name the bank of this task, or fit one: `evomerge calibrate items fit.yaml --task sums`."


def test_what_differs_is_said(make: Callable[[str], FitnessSpec], tmp_path: Path) -> None:
    file = str(tmp_path / "b.safetensors")
    spec, head = make(file), f"fit.yaml: tasks.sums.bank: {file} "
    save(Path(file), [90, 91, 92], version="0.0")
    assert (
        refusal(spec, {"sums": "1.0"}) == f"{head}is of version 0.0, not 1.0; it lacks 3 of the 3 search items. {MEND}"
    )
    save(Path(file), [90, 91, 92], task="sums_old", metric="acc_norm")
    what = "is of task sums_old, not toy_next; metric acc_norm, not acc; it lacks 3 of the 3 search items."
    assert refusal(spec) == f"{head}{what} {MEND}"
    save(Path(file), [90, 91, 92])
    assert "asked in another way (prompt, examples" in refusal(spec, {"sums": "1.0"})
    save(Path(file), [2, 5])
    assert f"{head}lacks 1 of the 3 search items: more items are searched now" in refusal(spec)


def test_files_that_are_no_banks_are_named_all_at_once(make_spec: Callable[..., FitnessSpec], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no bank")
    entry = {"task": "toy_next", "metric": "acc"}
    spec = make_spec(
        {name: entry | {"bank": str(tmp_path / file)} for name, file in [("sums", "none"), ("other", "text")]}
    )
    with pytest.raises(ConfigError) as caught:
        open_banks(spec, SPLITS, "fit.yaml")
    first, second = caught.value.problems
    assert first.where == "fit.yaml: tasks.sums.bank"
    assert "there is no such file. Make it with `evomerge calibrate items`." in first.what
    assert second.where == "fit.yaml: tasks.other.bank"
    assert "cannot be read as an item bank" in second.what
