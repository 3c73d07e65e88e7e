"""`evomerge align` on real checkpoints of the micro zoo."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from evomerge.cli import main


@pytest.fixture
def reversed_math(zoo: Path, tmp_path: Path) -> Path:
    """The zoo's math model with the hidden units of every MLP in the opposite order."""
    folder = tmp_path / "reversed"
    folder.mkdir()
    tensors = load_file(zoo / "math" / "model.safetensors")
    for name in tensors:
        if "gate_proj" in name or "up_proj" in name:
            tensors[name] = tensors[name].flip(0).contiguous()
        if "down_proj" in name:
            tensors[name] = tensors[name].flip(1).contiguous()
    save_file(tensors, folder / "model.safetensors")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((zoo / "math" / name).read_bytes())
    return folder


def test_a_scrambled_model_is_put_in_order(
    zoo: Path, reversed_math: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["align", str(zoo / "base"), str(reversed_math), str(out)]) == 0
    wanted, found = (load_file(folder / "model.safetensors") for folder in (zoo / "math", out))
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert (out / "tokenizer.json").is_file()
    said = " ".join(capsys.readouterr().out.split())
    assert "part before after query" in said
    assert "hidden units." in said
    assert f"Wrote {out}. On 64 random tokens in float32 its logits differ from those of" in said


def test_a_fine_tune_needs_nothing(zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["align", str(zoo / "base"), str(zoo / "ja"), str(tmp_path / "out"), "--gauge", "none"]) == 0
    assert not (tmp_path / "out").exists()
    said = " ".join(capsys.readouterr().out.split())
    assert "Moved: nothing." in said
    assert "Nothing needs doing and nothing was written." in said


def test_a_model_of_another_ancestor_is_called_unlike(
    zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model with the sizes of the zoo's and weights of its own."""
    folder = tmp_path / "foreign"
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(zoo / "base")).save_pretrained(folder)
    assert main(["align", str(zoo / "base"), str(folder), str(tmp_path / "out"), "--gauge", "none"]) == 0
    said = capsys.readouterr().out
    assert "Still unlike: query, key, value, output, gate, up, down." in said
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_a_destination_is_refused_before_the_work(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["align", str(zoo / "base"), str(zoo / "ja"), str(zoo / "math")]) == 2
    said = capsys.readouterr()
    assert said.err.strip() == f"{zoo / 'math'}: exists already. Choose another name, or move it away first."
    assert said.out == ""
