"""`evomerge inspect`."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from evomerge.cli import main


def save(folder: Path, seed: int, by: float) -> Path:
    generator = torch.Generator().manual_seed(0)
    tensors = {f"model.layers.{layer}.mlp.up_proj.weight": torch.randn(6, 4, generator=generator) for layer in range(2)}
    generator = torch.Generator().manual_seed(seed)
    tensors = {name: tensor + by * torch.randn(6, 4, generator=generator) for name, tensor in tensors.items()}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "num_hidden_layers": 2}))
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_models_are_shown_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = [
        save(tmp_path / name, seed, by) for seed, (name, by) in enumerate((("base", 0), ("math", 0.1), ("odd", 9)))
    ]
    files = {option: tmp_path / option for option in ("html", "figures", "json")}
    options = [word for option, path in files.items() for word in (f"--{option}", str(path))]
    assert main(["inspect", *map(str, models), "--by", "tensor", *options]) == 0
    printed = capsys.readouterr()
    out = " ".join(printed.out.split())
    assert "odd is foreign: in 2 of 2 parts" in out
    assert "model.layers.1.mlp.up_proj.weight" in out
    assert "\ngroups: {bands: [[0, " in printed.out
    assert "\x1b" not in printed.out + printed.err, "plain where it is no terminal"
    assert json.loads(files["json"].read_text())["experts"] == ["math", "odd"]
    assert files["html"].read_text().startswith("<!doctype html>")
    assert (files["figures"] / "norms.png").is_file()


def test_the_base_may_be_named_apart_and_folders_may_share_a_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, math, ja = (save(tmp_path / name / "model", seed, seed / 20) for seed, name in enumerate(("b", "m", "j")))
    written = tmp_path / "found.json"
    assert main(["inspect", str(math), str(ja), "--base", str(base), "--json", str(written)]) == 0
    found = json.loads(written.read_text())
    assert (found["base"], found["experts"]) == (str(base), [str(math), str(ja)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a"], "inspect: one model alone tells nothing. Name the base and one expert or more."),
        (["a", "b", "./a"], "inspect: a is named twice. Name every model once."),
        (["a", "gone"], "gone: there is no model folder gone. Check the path, or download the model there."),
    ],
)
def test_what_cannot_be_inspected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "a", 0, 0)
    save(tmp_path / "b", 1, 0.1)
    assert main(["inspect", *words]) == 2
    assert capsys.readouterr().err.strip() == message
