"""What a reader of recipe languages is told of a checkpoint."""

from pathlib import Path

from evomerge.checkpoints import Checkpoint
from evomerge.checkpoints.layout import layout_of
from evomerge.recipe.mergekit import Spot


def test_the_layout_of_a_checkpoint(zoo: Path) -> None:
    checkpoint = Checkpoint(zoo / "base")
    layout = layout_of(checkpoint)
    assert layout.num_layers == checkpoint.num_layers
    assert [spot.name for spot in layout.spots] == checkpoint.names
    assert Spot("model.layers.1.self_attn.q_proj.weight", 1, "attention") in layout.spots
    assert Spot("model.norm.weight", None, "norm") in layout.spots
    assert layout.vocabulary is not None
    assert sorted(layout.vocabulary.values()) == list(range(len(layout.vocabulary)))


def test_without_a_tokenizer_there_is_no_vocabulary(zoo: Path, tmp_path: Path) -> None:
    for file in (zoo / "base").iterdir():
        if "token" not in file.name:
            (tmp_path / file.name).symlink_to(file)
    assert layout_of(Checkpoint(tmp_path)).vocabulary is None
