"""Aligned models on disk: whole, loadable, and the same function or nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from evomerge.checkpoints import Checkpoint
from evomerge.errors import ConfigError, EvomergeError
from evomerge.merging.alignment import Alignment, Blocks, align, write_aligned

Tensors = dict[str, torch.Tensor]
Change = Callable[[Tensors], Tensors]
MakeModel = Callable[..., Path]
CopyOf = Callable[[Path, str, Change], Path]
Scramble = Callable[..., Change]


def blocks(folder: Path) -> Blocks:
    return Blocks(Checkpoint(folder))


def test_it_is_the_reference_again(make_model: MakeModel, copy_of: CopyOf, scramble: Scramble, tmp_path: Path) -> None:
    reference = make_model("reference", tie_word_embeddings=True)
    model = copy_of(reference, "model", scramble(1))
    (model / "tokenizer.json").write_text("{}", encoding="utf-8")
    (model / "generation_config.json").write_bytes((reference / "generation_config.json").read_bytes())
    its = blocks(model)
    check = write_aligned(its, align(blocks(reference), its), tmp_path / "out", max_shard_bytes=3000)
    assert 0 < check.difference < 1e-5 < check.allowed
    names = {path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".safetensors"}
    assert names == {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "model.safetensors.index.json",
        "SHA256SUMS",
    }
    assert (tmp_path / "out" / "config.json").read_bytes() == (model / "config.json").read_bytes()
    held = AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()
    wanted = AutoModelForCausalLM.from_pretrained(reference).state_dict()
    assert all(torch.allclose(held[name], wanted[name], atol=1e-5) for name in wanted)


def test_dtypes_stay(make_model: MakeModel, tmp_path: Path) -> None:
    """Rotated weights of 16 bits are rounded, which the comparison allows for; permuted ones are not."""
    reference, model = (make_model(name, dtype=torch.bfloat16, seed=seed) for seed, name in enumerate(("a", "b")))
    its = blocks(model)
    rotated = write_aligned(its, align(blocks(reference), its), tmp_path / "rotated")
    permuted = write_aligned(its, align(blocks(reference), its, "none"), tmp_path / "permuted")
    assert {tensor.dtype for tensor in load_file(tmp_path / "rotated" / "model.safetensors").values()} == {
        torch.bfloat16
    }
    assert permuted.difference < permuted.allowed < rotated.difference < rotated.allowed


class TestNotAtAll:
    """When something is wrong, nothing is left."""

    def test_another_function_is_not_written(self, make_model: MakeModel, tmp_path: Path) -> None:
        """An alignment that forgets to move query heads with their values."""
        its, reference = blocks(make_model("model")), blocks(make_model("reference", seed=1))
        right = align(reference, its, "none")
        wrong = [replace(layer, heads=replace(layer.heads, kv_heads_G=torch.tensor([1, 0]))) for layer in right.layers]
        still = [replace(each, heads=replace(each.heads, query_heads_H=torch.arange(4))) for each in wrong]
        with pytest.raises(EvomergeError, match=r"logits differ by .* 1e-04 is allowed\. Nothing was written\."):
            write_aligned(its, Alignment(tuple(still)), tmp_path / "out")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "reference"]

    def test_what_exists_is_not_overwritten(self, make_model: MakeModel, tmp_path: Path) -> None:
        its = blocks(make_model("model"))
        with pytest.raises(ConfigError, match=r"exists already\. Choose another name, or move it away first\.$"):
            write_aligned(its, align(its, its), tmp_path / "model")
