"""Models that are adapters on other models: base + scale · B · A, or refused with what does not fit."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import Checkpoint
from evomerge.checkpoints.adapted import Adapted
from evomerge.checkpoints.adapter import Adapter
from evomerge.errors import ConfigError

Make = Callable[..., Path]
SaveAdapter = Callable[..., Path]
CONFIG = {"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 2, "tie_word_embeddings": False}
UP = "model.layers.0.mlp.up_proj"
HEAD, EMBEDDINGS = "lm_head.weight", "model.embed_tokens.weight"
P = "base_model.model."
TENSORS = {
    EMBEDDINGS: torch.arange(32.0).view(8, 4),
    f"{UP}.weight": torch.linspace(-1, 1, 24).view(6, 4).bfloat16(),
    "model.layers.1.mlp.down_proj.weight": torch.ones(4, 6),
    "model.layers.1.mlp.down_proj.bias": torch.ones(4),
    HEAD: torch.ones(8, 4),
}


def factors(rows: int, columns: int, rank: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, rank, generator=generator), torch.randn(rank, columns, generator=generator)


def embedding_factors(module: str = "model.embed_tokens") -> dict[str, torch.Tensor]:
    b, a = factors(4, 8)
    return {f"{P}{module}.lora_embedding_A": a, f"{P}{module}.lora_embedding_B": b}


class TestReading:
    """Like a checkpoint of its own."""

    def test_dense_tensor_by_tensor(self, make: Make, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        b, a = factors(6, 4)
        base = Checkpoint(make(tensors=TENSORS, config=CONFIG))
        model = Adapted(base, Adapter(save_adapter(tmp_path / "a", {UP: (b, a)})))
        assert (model.names, model.config, model.folder) == (base.names, base.config, base.folder)
        assert model.dtype(f"{UP}.weight") == torch.bfloat16
        assert model.shape(f"{UP}.weight") == (6, 4)
        assert torch.equal(model.tensor(f"{UP}.weight"), TENSORS[f"{UP}.weight"].float() + 2.0 * (b @ a))
        assert torch.equal(model.tensor(HEAD), TENSORS[HEAD])
        assert [name for name in model.names if model.has_factors(name)] == [f"{UP}.weight"]

    def test_the_task_vector_is_exact(self, make: Make, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        """A change far below the base's precision survives, which the difference of weights would not show."""
        b, a = factors(8, 4)
        base = Checkpoint(make(tensors=TENSORS | {HEAD: torch.full((8, 4), 1e4)}, config=CONFIG))
        model = Adapted(base, Adapter(save_adapter(tmp_path / "a", {"lm_head": (b, a * 1e-6)}, lora_alpha=2)))
        assert torch.equal(model.delta(HEAD), b @ (a * 1e-6))
        assert not torch.allclose(model.tensor(HEAD) - base.tensor(HEAD), model.delta(HEAD), rtol=0.1, atol=0)
        assert not model.delta(f"{UP}.weight").any()

    def test_tensors_brought_whole(self, make: Make, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        bias, head = torch.full((4,), 3.0), torch.zeros(8, 4)
        more = {f"{P}model.layers.1.mlp.down_proj.base_layer.bias": bias, f"{P}lm_head.weight": head}
        base = Checkpoint(make(tensors=TENSORS, config=CONFIG))
        model = Adapted(base, Adapter(save_adapter(tmp_path / "a", {UP: factors(6, 4)}, more)))
        assert torch.equal(model.tensor("model.layers.1.mlp.down_proj.bias"), bias)
        assert torch.equal(model.delta(HEAD), head - TENSORS[HEAD])
        assert model.is_whole(HEAD)

    def test_embeddings_that_peft_saves_beside_their_factors(
        self, make: Make, save_adapter: SaveAdapter, tmp_path: Path
    ) -> None:
        more = embedding_factors() | {f"{P}model.embed_tokens.base_layer.weight": TENSORS[EMBEDDINGS].clone()}
        base = Checkpoint(make(tensors=TENSORS, config=CONFIG))
        model = Adapted(base, Adapter(save_adapter(tmp_path / "a", {}, more, r=2, lora_alpha=2)))
        assert not model.is_whole(EMBEDDINGS)
        b, a = factors(4, 8)
        torch.testing.assert_close(model.delta(EMBEDDINGS), (b @ a).T)

    def test_the_flag_of_transposed_weights_may_be_wrong(
        self, make: Make, save_adapter: SaveAdapter, tmp_path: Path
    ) -> None:
        """One flag for all layers, but GPT-2 has both kinds: the shapes tell."""
        b, a = factors(6, 4)
        base = Checkpoint(make(tensors=TENSORS, config=CONFIG))
        model = Adapted(base, Adapter(save_adapter(tmp_path / "a", {UP: (b, a)}, fan_in_fan_out=True)))
        torch.testing.assert_close(model.delta(f"{UP}.weight"), 2.0 * (b @ a))

    @pytest.mark.parametrize(("drop", "add"), [("", "transformer."), ("model.", "")])
    def test_either_side_may_leave_the_prefix_out(
        self, make: Make, save_adapter: SaveAdapter, tmp_path: Path, drop: str, add: str
    ) -> None:
        base = Checkpoint(make(tensors=TENSORS, config=CONFIG))
        module = add + UP.removeprefix(drop)
        model = Adapted(base, Adapter(save_adapter(tmp_path / "a", {module: factors(6, 4)})))
        assert model.has_factors(f"{UP}.weight")


class TestRefused:
    """Adapters that do not fit."""

    def refused(self, folder: Path, base: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            Adapted(Checkpoint(base), Adapter(folder), "recipe.yaml: models.math")
        return str(caught.value)

    def test_another_base(self, make: Make, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        modules = {"model.layers.7.mlp.up_proj": factors(6, 4), UP: factors(6, 5)}
        folder, base = save_adapter(tmp_path / "a", modules), make(tensors=TENSORS, config=CONFIG)
        assert self.refused(folder, base).splitlines() == [
            f"recipe.yaml: models.math: {folder} changes 1 tensors that {base} lacks, "
            "model.layers.7.mlp.up_proj.weight among them. Name the model that the adapter was trained on.",
            f"recipe.yaml: models.math: {folder} makes {UP}.weight [6, 5], but in {base} it is [6, 4]. "
            "Name the model that the adapter was trained on.",
        ]

    def test_more_tokens(self, make: Make, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        more = {f"{P}lm_head.weight": torch.ones(9, 4)}
        folder = save_adapter(tmp_path / "a", {UP: factors(6, 4)}, more)
        assert "makes lm_head.weight [9, 4], but in" in self.refused(folder, make(tensors=TENSORS, config=CONFIG))

    def test_tied_embeddings(self, make: Make, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        tied = {name: tensor for name, tensor in TENSORS.items() if name != HEAD}
        base = make(tensors=tied, config=CONFIG | {"tie_word_embeddings": True})
        looked_up = save_adapter(tmp_path / "a", {}, embedding_factors(), r=2)
        assert re.search(
            r"has factors for model\.embed_tokens\.weight, which the model ties", self.refused(looked_up, base)
        )
        head = save_adapter(tmp_path / "b", {"lm_head": factors(8, 4)})
        assert "A head that the model ties to its embeddings cannot" in self.refused(head, base)

    def test_tied_embeddings_replaced_together(self, make: Make, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        tied = {name: tensor for name, tensor in TENSORS.items() if name != HEAD}
        base = Checkpoint(make(tensors=tied, config=CONFIG | {"tie_word_embeddings": True}))
        more = {f"{P}lm_head.weight": torch.zeros(8, 4), f"{P}model.embed_tokens.weight": torch.zeros(8, 4)}
        model = Adapted(base, Adapter(save_adapter(tmp_path / "a", {UP: factors(6, 4)}, more)))
        assert not model.tensor(EMBEDDINGS).any()
