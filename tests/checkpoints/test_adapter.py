"""Adapters: what peft saved is read as peft would apply it, and what is not plain LoRA is refused by key."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from evomerge.checkpoints.adapter import Adapter
from evomerge.checkpoints.digest import digest_of_files
from evomerge.checkpoints.lora_config import LoraConfig
from evomerge.errors import ConfigError

SaveAdapter = Callable[..., Path]
UP, DOWN = "model.layers.0.mlp.up_proj", "model.layers.1.mlp.down_proj"
P = "base_model.model."


def factors(rows: int, columns: int, rank: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, rank, generator=generator), torch.randn(rank, columns, generator=generator)


def message(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        Adapter(folder, "recipe.yaml: models.math")
    return str(caught.value)


class TestFactors:
    """scale · B · A."""

    @pytest.mark.parametrize(("config", "scale"), [({}, 2.0), ({"use_rslora": True}, 8 / 2), ({"lora_alpha": 3}, 0.75)])
    def test_the_scale(self, save_adapter: SaveAdapter, tmp_path: Path, config: dict[str, Any], scale: float) -> None:
        b, a = factors(6, 5, 4)
        adapter = Adapter(save_adapter(tmp_path / "a", {UP: (b, a)}, **config))
        assert torch.equal(adapter.factors(f"{UP}.weight").dense(), (b @ a) * scale)
        assert adapter.factors(f"{UP}.weight").shape == adapter.shape(f"{UP}.weight") == (6, 5)

    def test_patterns_of_rank_and_alpha(self, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        """As in peft: a regular expression for the end of the module's path, after a dot or from its start."""
        modules = {UP: factors(6, 5, 2), DOWN: factors(5, 6, 4), "model.layers.0.mlp.xup_proj": factors(6, 5, 4)}
        config = {"r": 4, "lora_alpha": 4, "rank_pattern": {r"0\.mlp.up_proj": 2}, "alpha_pattern": {"down_proj": 10}}
        adapter = Adapter(save_adapter(tmp_path / "a", modules, **config))
        scales = [adapter.factors(f"{module}.weight").scale for module in modules]
        assert scales == [4 / 2, 10 / 4, 4 / 4]
        config["use_rslora"] = True
        adapter = Adapter(save_adapter(tmp_path / "b", modules, **config))
        assert adapter.factors(f"{UP}.weight").scale == 4 / math.sqrt(2)

    def test_a_pattern_matches_whole_parts_of_a_path(self) -> None:
        config = LoraConfig(4, 8.0, {"proj": 2, r"mlp\.up": 3}, {}, False, False, {})
        assert [config.rank_of(module) for module in ("a.proj", "a.q_proj", "proj", "a.mlp.up")] == [2, 4, 2, 3]

    def test_weights_stored_transposed(self, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        b, a = factors(6, 5, 4)
        adapter = Adapter(save_adapter(tmp_path / "a", {"h.0.attn.c_attn": (b, a)}, fan_in_fan_out=True))
        found = adapter.factors("h.0.attn.c_attn.weight")
        assert found.shape == adapter.shape("h.0.attn.c_attn.weight") == (5, 6)
        torch.testing.assert_close(found.dense(), (b @ a).T * 2)

    def test_embeddings(self, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        b, a = factors(5, 32, 4)  # peft stores them as width × rank and rank × tokens
        name = f"{P}model.embed_tokens.lora_embedding_"
        folder = save_adapter(tmp_path / "a", {}, {f"{name}A": a, f"{name}B": b}, r=4, lora_alpha=4)
        adapter = Adapter(folder)
        assert adapter.shape("model.embed_tokens.weight") == (32, 5)
        torch.testing.assert_close(adapter.factors("model.embed_tokens.weight").dense(), (b @ a).T)

    def test_tensors_that_are_replaced_whole(self, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        head, bias = torch.randn(32, 5), torch.randn(6)
        more = {f"{P}lm_head.weight": head, f"{P}{UP}.base_layer.bias": bias}
        folder = save_adapter(tmp_path / "a", {UP: factors(6, 5, 4)}, more, modules_to_save=["lm_head"], bias="all")
        adapter = Adapter(folder)
        assert set(adapter.replaced) == {"lm_head.weight", f"{UP}.bias"}
        assert torch.equal(adapter.replacement("lm_head.weight"), head)
        assert adapter.shape("lm_head.weight") == (32, 5)
        assert torch.equal(adapter.replacement(f"{UP}.bias"), bias)

    def test_unknown_keys_that_are_off_do_no_harm(self, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        off = {"of_next_year": None, "use_dora": False, "layer_replication": [], "peft_version": "9.9"}
        assert Adapter(save_adapter(tmp_path / "a", {UP: factors(6, 5, 4)}, **off)).targets

    def test_the_digest_covers_config_and_weights(self, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        one, same, other_scale, other_weights = (
            Adapter(save_adapter(tmp_path / str(index), {UP: factors(6, 5, 4, seed)}, lora_alpha=alpha))
            for index, (seed, alpha) in enumerate([(0, 8), (0, 8), (0, 9), (1, 8)])
        )
        digests = [digest_of_files(adapter.digest_files) for adapter in (one, same, other_scale, other_weights)]
        assert digests[0] == digests[1]
        assert len({*digests}) == 3


class TestRefused:
    """Each with the file, the key and what to do."""

    @pytest.mark.parametrize(
        ("key", "value", "what"),
        [
            ("use_dora", True, "is DoRA, which rescales every row by a learned magnitude. Merge it into its base"),
            ("lora_bias", True, "adds a bias to the factors. Merge it into its base"),
            ("layer_replication", [[0, 2]], "repeats layers"),
            ("target_parameters", ["mlp.experts"], "adapts bare parameters"),
            ("trainable_token_indices", [1], "trains single rows of the embeddings"),
            ("of_next_year", 1, "is 1, which evomerge does not know. Merge it into its base"),
            ("init_lora_weights", "pissa_niter_4", "pissa_niter_4 changes the base's weights before training"),
            ("init_lora_weights", "olora", "path_initial_model_for_weight_conversion"),
            ("peft_type", "IA3", "is IA3. Only plain LoRA adapters can be merged."),
            ("r", 0, "0 is no rank. A rank is a whole number from 1."),
            ("r", True, "true is no rank. A rank is a whole number from 1."),
            ("lora_alpha", "16", "'16' is not a finite number."),
            ("rank_pattern", {"up_proj": 0}, "{up_proj: 0} does not map modules to ranks."),
            ("alpha_pattern", {"(": 1}, '"(" is no regular expression'),
        ],
    )
    def test_configs(self, save_adapter: SaveAdapter, tmp_path: Path, key: str, value: object, what: str) -> None:
        folder = save_adapter(tmp_path / "a", {UP: factors(6, 5, 4)}, **{key: value})
        text = message(folder)
        assert text.startswith(f"{folder}/adapter_config.json: {key}: ")
        assert what in text

    def test_all_keys_at_once(self, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        folder = save_adapter(tmp_path / "a", {UP: factors(6, 5, 4)}, use_dora=True, lora_bias=True, r=None)
        assert [line.split(": ")[1] for line in message(folder).splitlines()] == ["use_dora", "lora_bias", "r"]

    @pytest.mark.parametrize("text", ["{", "[1]"])
    def test_a_config_that_is_none(self, save_adapter: SaveAdapter, tmp_path: Path, text: str) -> None:
        folder = save_adapter(tmp_path / "a", {UP: factors(6, 5, 4)})
        (folder / "adapter_config.json").write_text(text, encoding="utf-8")
        assert message(folder).startswith(f"recipe.yaml: models.math: {folder}/adapter_config.json ")

    def test_folders_without_weights(self, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        folder = save_adapter(tmp_path / "a", {UP: factors(6, 5, 4)})
        weights = folder / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-8])
        assert "is damaged or incomplete" in message(folder)
        weights.unlink()
        assert message(folder) == f"recipe.yaml: models.math: {folder} holds no adapter_model.safetensors."
        (folder / "adapter_model.bin").write_bytes(b"")
        assert "can run code when loaded; load it with peft and save it again" in message(folder)

    @pytest.mark.parametrize(
        ("tensors", "key", "what"),
        [
            ({f"{P}{UP}.lora_A.weight": (4, 5)}, f"{P}{UP}.lora_A.weight", "has no partner B."),
            ({f"{UP}.lora_A.weight": (4, 5)}, f"{UP}.lora_A.weight", "does not begin with base_model.model."),
            ({f"{P}{UP}.lora_magnitude_vector": (6,)}, f"{P}{UP}.lora_magnitude_vector", "is no factor of plain LoRA"),
            (
                {f"{P}{UP}.lora_A.weight": (3, 5), f"{P}{UP}.lora_B.weight": (6, 3)},
                UP,
                "A is [3, 5] and B is [6, 3], but adapter_config.json gives the rank 4.",
            ),
            (
                {f"{P}{UP}.lora_A.weight": (4, 5, 1, 1), f"{P}{UP}.lora_B.weight": (6, 4, 1, 1)},
                UP,
                "adapts a convolution or a bare parameter (A is [4, 5, 1, 1], B is [6, 4, 1, 1]).",
            ),
        ],
    )
    def test_tensors(self, tmp_path: Path, tensors: dict[str, tuple[int, ...]], key: str, what: str) -> None:
        config = {"peft_type": "LORA", "r": 4, "lora_alpha": 4}
        (tmp_path / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
        save_file({name: torch.ones(shape) for name, shape in tensors.items()}, tmp_path / "adapter_model.safetensors")
        text = message(tmp_path)
        assert text.startswith(f"{tmp_path}/adapter_model.safetensors: {key}: ")
        assert what in text

    def test_no_factors_at_all(self, save_adapter: SaveAdapter, tmp_path: Path) -> None:
        folder = save_adapter(tmp_path / "a", {}, {f"{P}lm_head.weight": torch.ones(2, 2)})
        assert message(folder) == f"{folder}/adapter_model.safetensors: holds no factors. Save the adapter again."

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_numbers_that_are_none(self, save_adapter: SaveAdapter, tmp_path: Path, bad: float) -> None:
        b, a = factors(6, 5, 4)
        a[1, 2] = bad
        adapter = Adapter(save_adapter(tmp_path / "a", {UP: (b, a)}))
        with pytest.raises(ConfigError, match=r"up_proj\.lora_A\.weight: holds NaN or infinity\."):
            adapter.factors(f"{UP}.weight")
