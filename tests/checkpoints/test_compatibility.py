"""Which models can be merged, and why others cannot."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

from evomerge.checkpoints import Checkpoint, check_mergeable, merge_problems, route_problems, shared_rows
from evomerge.checkpoints.layers import likes_of
from evomerge.errors import ConfigError

Make = Callable[..., Path]
TENSORS = {"w": torch.ones(2, 3), "v": torch.ones(4)}
CONFIG = {"model_type": "llama", "num_attention_heads": 4}


def problems(*folders: Path) -> list[str]:
    checkpoints = {folder.name: Checkpoint(folder) for folder in folders}
    try:
        check_mergeable(checkpoints, "s.yaml")
    except ConfigError as error:
        return [str(problem).removeprefix("s.yaml: models.") for problem in error.problems]
    return []


def test_fine_tunes_of_one_ancestor(make: Make) -> None:
    other = {name: tensor * 2 for name, tensor in TENSORS.items()}
    assert problems(make("a", TENSORS, CONFIG), make("b", other, CONFIG), make("c", TENSORS, CONFIG, shards=2)) == []


def test_one_model_alone(make: Make) -> None:
    assert problems(make("a", TENSORS)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt2"}, "model_type is gpt2, not llama"),
        ({"num_attention_heads": 2}, "num_attention_heads is 2, not 4"),
        ({"num_key_value_heads": 1}, "num_key_value_heads is 1, not 2"),
        ({"head_dim": 8, "model_type": "x"}, "model_type is x, not llama; head_dim is 8, not 4"),
    ],
)
def test_other_meanings_of_the_same_shapes(make: Make, change: dict[str, Any], message: str) -> None:
    full = CONFIG | {"num_key_value_heads": 2, "head_dim": 4}
    assert problems(make("a", TENSORS, full), make("b", TENSORS, full | change)) == [
        f"b: is built differently from a: {message}. Merge fine-tunes of one ancestor."
    ]


@pytest.mark.parametrize("key", ["num_key_value_heads", "head_dim"])
def test_a_key_that_older_versions_left_out_is_no_difference(make: Make, key: str) -> None:
    assert problems(make("a", TENSORS, CONFIG), make("b", TENSORS, CONFIG | {key: 4})) == []
    assert problems(make("c", TENSORS, CONFIG | {key: 4}), make("d", TENSORS, CONFIG)) == []


def test_other_shapes(make: Make) -> None:
    other = TENSORS | {"w": torch.ones(2, 4)}
    assert problems(make("a", TENSORS), make("b", other)) == [
        "b: 1 tensors have other shapes than in a: w is [2, 4], not [2, 3]. "
        "Merge fine-tunes of one ancestor with one vocabulary."
    ]


def test_missing_and_further_tensors(make: Make) -> None:
    assert problems(make("a", TENSORS), make("b", {"w": torch.ones(2, 3), "x": torch.ones(1)})) == [
        "b: lacks 1 tensors of a, v among them. Merge fine-tunes of one ancestor.",
        "b: has 1 tensors that a lacks, x among them. Merge fine-tunes of one ancestor.",
    ]


def test_caches_of_old_checkpoints_are_no_difference(make: Make) -> None:
    old = TENSORS | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    assert problems(make("a", TENSORS), make("b", old), make("c", TENSORS)) == []


@pytest.mark.parametrize(
    ("one", "other", "counts"),
    [
        ({"a": 0, "b": 1}, {"a": 0, "c": 1, "b": 2}, "3 tokens against 2"),
        ({"a": 0, "b": 1}, {"a": 1, "b": 0}, "2 tokens against 2"),
        ([["a", -1.0], ["b", -2.0]], {"a": 0, "c": 1}, "2 tokens against 2"),
    ],
)
def test_other_vocabularies(make: Make, one: Any, other: Any, counts: str) -> None:
    assert problems(make("a", TENSORS, vocabulary=one), make("b", TENSORS, vocabulary=other)) == [
        f"b: has another vocabulary than a ({counts}). "
        "Rows of the embeddings would not mean the same tokens; use models that share a tokenizer."
    ]


class TestDepths:
    """Models of several depths: one blend wants one depth, a route does not."""

    def llama(self, make: Make, name: str, layers: int, width: int = 3) -> Path:
        names = ["model.embed_tokens.weight", *(f"model.layers.{n}.mlp.up_proj.weight" for n in range(layers))]
        return make(name, {name: torch.ones(2, width) for name in names}, CONFIG)

    def told(self, folders: list[Path], *kin: set[str]) -> list[str]:
        checkpoints = {folder.name: Checkpoint(folder) for folder in folders}
        return [str(problem) for problem in merge_problems(checkpoints, "s.yaml", kin)]

    def test_models_that_a_route_alone_joins_need_not_be_of_one_depth(self, make: Make) -> None:
        folders = [self.llama(make, "a", 2), self.llama(make, "b", 3), self.llama(make, "c", 3)]
        assert self.told(folders, {"a"}, {"b", "c"}) == self.told(folders[::-1], {"a"}, {"b", "c"}) == []
        assert self.told(folders, {"a", "b"}, {"c"}) == [
            "s.yaml: models.b: has 3 layers, and a, with which it is merged, has 2. Merge models of one depth; "
            "a route may take layers of models of several depths."
        ]

    def test_what_both_have_must_correspond(self, make: Make) -> None:
        (problem,) = self.told([self.llama(make, "a", 2), self.llama(make, "b", 3, width=4)], {"a"}, {"b"})
        assert problem.startswith("s.yaml: models.b: 3 tensors have other shapes than in a: ")
        bare = make("c", {"model.embed_tokens.weight": torch.ones(2, 3), "model.layers.0.x": torch.ones(1)}, CONFIG)
        lacking, extra = self.told([self.llama(make, "d", 2), bare], {"c"}, {"d"})
        assert "lacks 1 tensors of d, model.layers.0.mlp.up_proj.weight among them" in lacking
        assert "has 1 tensors that d lacks, model.layers.0.x among them" in extra


class TestRows:
    """Embeddings that are longer in one model than in another."""

    SMALL, LARGE = {"a": 0, "b": 1}, {"a": 0, "b": 1, "c": 2}
    CONFIG = {"model_type": "llama"}

    @staticmethod
    def tensors(rows: int, width: int = 3) -> dict[str, torch.Tensor]:
        return {"model.embed_tokens.weight": torch.ones(rows, width), "lm_head.weight": torch.ones(rows, width)}

    def test_further_tokens_or_mere_padding(self, make: Make) -> None:
        small = make("a", self.tensors(2), self.CONFIG, vocabulary=self.SMALL)
        larger = make("b", self.tensors(3), self.CONFIG, vocabulary=self.LARGE)
        padded = make("c", self.tensors(8), self.CONFIG, vocabulary=self.SMALL)
        assert problems(small, larger, padded) == problems(padded, larger, small) == []
        assert shared_rows([Checkpoint(folder) for folder in (larger, small, padded)]) == {
            "model.embed_tokens.weight": 2,
            "lm_head.weight": 2,
        }

    def test_tokenizers_must_be_known(self, make: Make) -> None:
        known, unknown = make("a", self.tensors(2), vocabulary=self.SMALL), make("b", self.tensors(3))
        (problem,) = problems(known, unknown)
        assert problem.startswith("b: 2 tensors have other shapes than in a: ")
        assert shared_rows([Checkpoint(known), Checkpoint(unknown)]) == {}

    def test_only_rows_may_differ(self, make: Make) -> None:
        one = make("a", self.tensors(2), vocabulary=self.SMALL)
        (problem,) = problems(one, make("b", self.tensors(3, width=4), vocabulary=self.LARGE))
        assert problem.startswith("b: 2 tensors have other shapes than in a: ")

    def test_other_tokens_are_still_refused(self, make: Make) -> None:
        one = make("a", self.tensors(2), self.CONFIG, vocabulary=self.SMALL)
        other = make("b", self.tensors(3), self.CONFIG, vocabulary={"a": 0, "c": 1, "b": 2})
        assert len(problems(one, other)) == 2
        assert shared_rows([Checkpoint(one), Checkpoint(other)]) == {}

    def test_models_of_one_length_share_all_rows(self, make: Make) -> None:
        one, other = (make(name, self.tensors(2), vocabulary=self.SMALL) for name in "ab")
        assert shared_rows([Checkpoint(one), Checkpoint(other)]) == {}


def test_other_kinds_of_numbers(make: Make) -> None:
    assert problems(make("a", TENSORS), make("b", TENSORS | {"w": torch.ones(2, 3, dtype=torch.int64)})) == [
        "b: 1 tensors are of another kind than in a: w is torch.int64, not torch.float32. "
        "Merge fine-tunes of one ancestor."
    ]
    assert problems(make("c", TENSORS), make("d", TENSORS | {"w": torch.ones(2, 3, dtype=torch.bfloat16)})) == []


def test_vocabularies_in_other_spellings_or_unknown(make: Make) -> None:
    known = make("a", TENSORS, vocabulary={"a": 0, "b": 1})
    unigram = make("b", TENSORS, vocabulary=[["a", -1.0], ["b", -2.0]])
    assert problems(known, unigram, make("c", TENSORS)) == []
    (unigram / "tokenizer.json").write_text("{", encoding="utf-8")
    assert problems(known, unigram) == []


def test_quantised_models(make: Make) -> None:
    quantised = make("b", TENSORS, CONFIG | {"quantization_config": {"bits": 4}})
    assert problems(make("a", TENSORS, CONFIG), quantised) == [
        "b: is quantised, and sums of codes mean nothing. Use the model in its original precision."
    ]


def test_every_model_that_differs_is_told(make: Make) -> None:
    found = problems(
        make("a", TENSORS, CONFIG),
        make("b", {"w": torch.ones(1)}, CONFIG),
        make("c", TENSORS, {"model_type": "gpt2"}),
    )
    assert [problem.split(":")[0] for problem in found] == ["b", "b", "c"]


class TestRoutable:
    """Layers that can stand in one model."""

    def save(self, folder: Path, **change: Any) -> Checkpoint:
        sizes = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
        LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2, **change)).save_pretrained(folder)
        return Checkpoint(folder)

    def test_layers_that_compute_otherwise_are_refused(self, tmp_path: Path) -> None:
        checkpoints = {
            "base": self.save(tmp_path / "base"),
            "like": self.save(tmp_path / "like"),
            "other": self.save(tmp_path / "other", rms_norm_eps=1e-3, hidden_act="gelu"),
        }
        assert route_problems(checkpoints, "base", ["base", "like"], "r.yaml") == []
        assert [*map(str, route_problems(checkpoints, "base", ["like", "other"], "r.yaml"))] == [
            "r.yaml: models.other: its layers compute otherwise than those of base: rms_norm_eps is 0.001, not 1e-06; "
            "hidden_act is gelu, not silu. Take none of them into the route."
        ]

    def test_layers_of_a_kind_that_the_model_with_the_config_does_not_have_are_refused(self, tmp_path: Path) -> None:
        sizes = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2}
        kinds = {"full": ["full_attention"] * 2, "mixed": ["full_attention", "sliding_attention", "full_attention"]}
        for name, types in kinds.items():
            more = {"num_hidden_layers": len(types), "layer_types": types, "num_key_value_heads": 1, "head_dim": 8}
            Gemma3ForCausalLM(Gemma3TextConfig(**sizes, **more)).save_pretrained(tmp_path / name)
        models = {name: Checkpoint(tmp_path / name) for name in kinds}
        assert likes_of(models["full"], models["mixed"]) == [0, None, 0]
        assert likes_of(models["mixed"], models["full"]) == [0, 0]
        assert [*map(str, route_problems(models, "full", ["full", "mixed"], "r.yaml"))] == [
            "r.yaml: models.mixed: full, which gives the config, has no layer of the kind of layer 1. "
            "Let mixed give the embeddings in `ends`."
        ]
        assert route_problems(models, "mixed", ["full", "mixed"], "r.yaml") == []

    def test_old_and_new_spellings_of_rope_are_compared(self, tmp_path: Path) -> None:
        new, old = self.save(tmp_path / "new"), self.save(tmp_path / "old")
        old.config = {k: v for k, v in old.config.items() if k != "rope_parameters"} | {"rope_theta": 5.0}
        (problem,) = route_problems({"new": new, "old": old}, "new", ["old"], "r.yaml")
        assert "rope_theta is 5.0, not 10000.0" in problem.what

    def test_families_whose_layers_are_not_known_are_refused(self, tmp_path: Path) -> None:
        checkpoint = self.save(tmp_path / "model")
        checkpoint.config = {**checkpoint.config, "model_type": "bert"}
        (problem,) = route_problems({"model": checkpoint}, "model", ["model"], "r.yaml")
        assert str(problem).startswith("r.yaml: route: layers of bert cannot be put in another order yet")
