"""Checkpoints: what they give, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from evomerge.checkpoints import Checkpoint, Position
from evomerge.errors import ConfigError

Make = Callable[..., Path]
INDEX = "model.safetensors.index.json"


def refused(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        Checkpoint(folder, "s.yaml: models.m")
    return str(caught.value).replace(str(folder), "DIR").removeprefix("s.yaml: models.m: ")


def rewrite_index(folder: Path, weight_map: Any) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_tensors_come_from_one_file_or_several(make: Make, shards: int) -> None:
    checkpoint = Checkpoint(make(shards=shards))
    assert sorted(checkpoint.names) == [
        "model.embed_tokens.weight",
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.1.mlp.up_proj.weight",
        "model.steps",
    ]
    assert torch.equal(checkpoint.tensor("model.embed_tokens.weight"), torch.arange(12.0).view(4, 3))
    assert checkpoint.tensor("model.steps").tolist() == [1, 2, 3]
    assert checkpoint.num_parameters == 12 + 6 + 6 + 3


def test_shape_and_dtype_are_known_before_and_after_reading(make: Make) -> None:
    checkpoint, name = Checkpoint(make()), "model.layers.0.mlp.up_proj.weight"
    for _ in range(2):
        assert (checkpoint.shape(name), checkpoint.dtype(name)) == ((2, 3), torch.bfloat16)
        assert checkpoint.tensor(name) is checkpoint.tensor(name)


def test_layers_are_counted_in_the_tensors(make: Make) -> None:
    assert Checkpoint(make("a")).num_layers == 2
    assert Checkpoint(make("b", tensors={"model.norm.weight": torch.ones(1)})).num_layers == 0


def test_positions_come_from_the_family_of_the_config(make: Make) -> None:
    checkpoint = Checkpoint(make())
    assert checkpoint.position("model.layers.1.mlp.up_proj.weight") == Position(1, "mlp")
    assert checkpoint.position("model.embed_tokens.weight") == Position(None, "embedding", per_token=True)


def test_messages_name_the_folder_where_nothing_better_is_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{tmp_path}/none: there is no model folder"):
        Checkpoint(tmp_path / "none")


def test_a_single_file_wins_over_an_index_as_it_does_in_transformers(make: Make) -> None:
    folder = make(shards=2)
    save_file({"other": torch.ones(1)}, folder / "model.safetensors")
    assert Checkpoint(folder).names == ["other"]


def test_old_caches_are_no_tensors_of_the_model(make: Make) -> None:
    kept = ["gpt_neox.layers.0.attention.dense.bias", "h.0.attn.c_attn.bias"]
    caches = [
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "gpt_neox.layers.0.attention.bias",
        "gpt_neox.layers.0.attention.masked_bias",
        "h.0.attn.bias",
        "bert.embeddings.position_ids",
    ]
    assert Checkpoint(make(tensors={name: torch.ones(1) for name in kept + caches})).names == kept


@pytest.mark.parametrize(("tied", "same", "expected"), [(True, True, 1), (True, False, 2), (False, True, 2)])
def test_a_head_that_repeats_tied_embeddings_is_left_out(make: Make, tied: bool, same: bool, expected: int) -> None:
    """transformers ties only what is equal on disk, and so a copy that was merged by itself would untie the model."""
    head = torch.ones(4, 3) * (1 if same else 2)
    tensors = {"lm_head.weight": head, "model.embed_tokens.weight": torch.ones(4, 3)}
    checkpoint = Checkpoint(make(tensors=tensors, config={"tie_word_embeddings": tied}))
    assert len(checkpoint.names) == expected
    assert "model.embed_tokens.weight" in checkpoint.names


class TestRefused:
    """Folders that are no complete safetensors checkpoint."""

    def test_no_folder(self, tmp_path: Path) -> None:
        assert refused(tmp_path / "x") == ("there is no model folder DIR. Check the path, or download the model there.")

    def test_no_config(self, make: Make) -> None:
        folder = make()
        (folder / "config.json").unlink()
        assert refused(folder) == ("DIR holds no config.json. Name the folder of a model.")

    @pytest.mark.parametrize("text", ["{", "\udcff"])
    def test_a_damaged_config(self, make: Make, text: str) -> None:
        folder = make()
        (folder / "config.json").write_bytes(text.encode(errors="surrogateescape"))
        assert refused(folder).startswith("DIR/config.json cannot be read: ")

    def test_a_config_that_is_no_mapping(self, make: Make) -> None:
        folder = make()
        (folder / "config.json").write_text("[1]", encoding="utf-8")
        assert refused(folder) == "DIR/config.json holds no mapping. Download the model again."

    def test_no_weights(self, make: Make) -> None:
        folder = make()
        (folder / "model.safetensors").unlink()
        assert refused(folder) == f"DIR holds neither model.safetensors nor {INDEX}."

    @pytest.mark.parametrize("ending", ["bin", "pt", "pth", "ckpt", "pkl"])
    def test_weights_that_could_run_code(self, make: Make, ending: str) -> None:
        folder = make()
        (folder / "model.safetensors").rename(folder / f"pytorch_model.{ending}")
        assert refused(folder) == (
            f"DIR holds only .{ending} weights, which can run code when loaded. Save it as safetensors first: "
            "AutoModelForCausalLM.from_pretrained(...).save_pretrained(...)."
        )

    @pytest.mark.parametrize("kept_bytes", [0, 4, 100, -1])
    def test_a_truncated_file(self, make: Make, kept_bytes: int) -> None:
        folder = make()
        data = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(data[:kept_bytes])
        message = refused(folder)
        assert message.startswith("DIR/model.safetensors is damaged or incomplete: ")
        assert message.endswith(". Download it again.")

    def test_a_missing_shard(self, make: Make) -> None:
        folder = make(shards=2)
        (folder / "model-00001.safetensors").unlink()
        assert (
            refused(folder) == f"DIR/{INDEX} names model-00001.safetensors, which is missing. Download the model again."
        )

    @pytest.mark.parametrize(
        "shard",
        [
            "../model.safetensors",
            "/etc/passwd",
            "sub/model.safetensors",
            "model.bin",
            "..\\x.safetensors",
            ".safetensors\n",
        ],
    )
    def test_shards_outside_the_folder(self, make: Make, shard: str) -> None:
        folder = make(shards=2)
        save_file({"a": torch.ones(1)}, folder.parent / "model.safetensors")
        rewrite_index(folder, {"a": shard})
        assert refused(folder) == f"DIR/{INDEX} names the file {shard!r}. Shards are plain names inside the folder."

    def test_links_out_of_the_folder(self, make: Make) -> None:
        """A download must not make a merge of what lies elsewhere on the disk."""
        folder, secret = make(shards=2), make("secret", shards=2)
        shard = folder / "model-00001.safetensors"
        shard.unlink()
        shard.symlink_to(secret / shard.name)
        assert refused(folder) == (
            f"DIR/{INDEX} names model-00001.safetensors, a link to {secret}/model-00001.safetensors, outside the "
            "folder. Put the file itself there."
        )

    @pytest.mark.parametrize("weight_map", [3, None, ["a"], {"a": 3}, {"a": None}])
    def test_an_index_of_another_kind(self, make: Make, weight_map: Any) -> None:
        folder = make(shards=2)
        rewrite_index(folder, weight_map)
        assert refused(folder).startswith((f"DIR/{INDEX} cannot be read: ", f"DIR/{INDEX} names the file "))

    def test_an_index_that_is_damaged(self, make: Make) -> None:
        folder = make(shards=2)
        (folder / INDEX).write_text("{}", encoding="utf-8")
        assert refused(folder) == f"DIR/{INDEX} cannot be read: KeyError('weight_map')."

    def test_tensors_that_are_not_where_the_index_says(self, make: Make) -> None:
        folder = make(shards=2)
        weight_map = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        rewrite_index(
            folder, weight_map | {"model.steps": "model-00000.safetensors", "none": "model-00001.safetensors"}
        )
        assert refused(folder) == (
            "2 tensors of the index are not in their shards, model.steps among them. Download the model again."
        )

    def test_tensors_of_a_dtype_that_cannot_be_merged(self, make: Make) -> None:
        tensors = {name: torch.ones(2).to(torch.float8_e4m3fn) for name in "bc"}
        assert refused(make(tensors={"a": torch.ones(2)} | tensors)) == (
            "2 tensors are stored as F8_E4M3, b among them, which cannot be merged. "
            "Convert the model to bfloat16 first."
        )


def test_links_that_the_hub_makes_are_followed(make: Make, tmp_path: Path) -> None:
    """Its cache keeps every file once and links to it from each snapshot; a whole folder may be a link, too."""
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / "0123", tmp_path / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(make(shards=2).iterdir())):
        file.rename(blobs / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    (tmp_path / "link").symlink_to(snapshot)
    assert Checkpoint(snapshot).num_parameters == Checkpoint(tmp_path / "link").num_parameters == 27
