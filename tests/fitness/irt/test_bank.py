import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from evomerge.errors import ConfigError
from evomerge.fitness.irt import Bank


def test_a_bank_reads_as_it_was_written(bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "banks" / "sums.safetensors"
    bank.save(path)
    again = Bank.load(path)
    assert again.provenance == bank.provenance
    assert (again.parameters.discriminations_ND == bank.parameters.discriminations_ND).all()
    assert (again.responses_MN == bank.responses_MN).all()
    assert [file.name for file in path.parent.iterdir()] == ["sums.safetensors"]
    before = path.read_bytes()
    again.save(path)
    assert path.read_bytes() == before


def test_a_bank_of_some_items_is_in_their_order(bank: Bank) -> None:
    digests = bank.provenance.items
    part = bank.of([digests[9], digests[2]], "b")
    assert part.provenance.items == (digests[9], digests[2])
    assert (part.parameters.difficulties_N == bank.parameters.difficulties_N[[9, 2]]).all()
    assert (part.responses_MN == bank.responses_MN[:, [9, 2]]).all()


def test_a_bank_of_another_task_version_is_refused(bank: Bank) -> None:
    with pytest.raises(ConfigError) as caught:
        bank.of([bank.provenance.items[0], "f" * 16, "e" * 16], "banks/sums.safetensors")
    assert str(caught.value) == (
        'banks/sums.safetensors: this bank is of task "sums" version 1.0, metric acc, and does not know 2 of the 3 '
        "items: they are of another task, another version of it, or asked in another way. "
        "Fit a bank to responses on these items."
    )


def test_the_variance_of_a_score_is_its_mean_over_models(bank: Bank) -> None:
    shares = bank.responses_MN.mean(1)
    assert bank.score_variance == pytest.approx((shares * (1 - shares)).mean(), rel=1e-5)


def test_what_is_no_bank_is_refused(bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"

    def refusal() -> str:
        with pytest.raises(ConfigError, match=re.escape(str(path))) as caught:
            Bank.load(path)
        return str(caught.value)

    assert "no such file" in refusal()
    path.write_bytes(b"not a bank")
    assert "cannot be read as an item bank" in refusal()
    save_file({"weight": np.zeros(2, np.float32)}, path)
    assert "no item bank" in refusal()
    bank.save(path)
    tensors = load_file(path)
    tensors["responses_MN"] = tensors["responses_MN"][:, 1:].copy()
    save_file(tensors, path, metadata={"evomerge": bank.provenance.model_dump_json()})
    assert "do not match" in refusal()
    save_file(load_file(path), path, metadata={"evomerge": '{"evomerge": "bank/2"}'})
    assert 'evomerge: "bank/2" is not allowed' in refusal()
