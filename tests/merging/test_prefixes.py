"""Prefixes: layers that begin candidate after candidate are passed over, and nobody can tell from the logits."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.modeling_utils import PreTrainedModel

from evomerge.documents import parse
from evomerge.errors import CandidateFailed
from evomerge.merging import Library, ResidentModel, prefixes
from evomerge.recipe import Recipe
from evomerge.recipe.recipe import ModelRef
from tests.merging.conftest import save_model

TOKENS = torch.tensor([[2, 5, 9, 3], [7, 7, 1, 4]])
OTHERS = torch.tensor([[3, 5, 9, 3], [7, 7, 1, 4]])
MIX = {"origin": "base", "experts": ["math", "ja"], "pipe": [{"weigh": [0.3, 0.9]}, {"reduce": "sum"}]}


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deep")
    for seed, name in enumerate(("base", "math", "ja")):
        save_model(folder / name, seed, num_hidden_layers=4)
    return folder


def recipe(folder: Path, *sources: str, **ends: str) -> Recipe:
    """Four layers in their order, each from a source."""
    models = {name: {"path": str(folder / name)} for name in ("base", "math", "ja")}
    route = [{"from": source, "layers": [layer, layer]} for layer, source in enumerate(sources)]
    return parse(Recipe, {"models": models, "blends": {"mix": MIX}, "route": route, "ends": ends}, "recipe")


class Counted:
    """A resident model that counts how many layers were passed through."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.resident = ResidentModel(recipe(folder, "mix", "mix", "mix", "mix"), Library())
        self.count = 0

    def answer(self, *sources: str, tokens: torch.Tensor = TOKENS, **options: Any) -> tuple[torch.Tensor, int]:
        """Logits of a candidate, and the number of layers that were computed for them."""
        self.resident.hold(recipe(self.folder, *sources))
        handles = [layer.mlp.register_forward_hook(self._called) for layer in self.resident.model.base_model.layers]
        self.count = 0
        with torch.inference_mode():
            logits = self.resident.model(input_ids=tokens, **{"use_cache": False} | options).logits
        for handle in handles:
            handle.remove()
        return logits, self.count

    def _called(self, *_: Any) -> None:
        self.count += 1


def fresh(folder: Path, *sources: str, tokens: torch.Tensor = TOKENS, **options: Any) -> torch.Tensor:
    return Counted(folder).answer(*sources, tokens=tokens, **options)[0]


@pytest.fixture
def counted(deep: Path) -> Counted:
    """Two candidates that share three layers were asked."""
    model = Counted(deep)
    model.answer("mix", "math", "math", "ja")
    model.answer("mix", "math", "math", "base")
    return model


def test_a_shared_beginning_is_passed_over_from_the_third_candidate_on(deep: Path, counted: Counted) -> None:
    for sources, expected in ((("mix", "math", "math", "mix"), 1), (("mix", "math", "math", "math"), 1)):
        logits, count = counted.answer(*sources)
        assert count == expected
        assert torch.equal(logits, fresh(deep, *sources))


def test_a_beginning_counts_to_where_it_differs(deep: Path, counted: Counted) -> None:
    logits, count = counted.answer("mix", "math", "ja", "ja")
    assert count == 4, "two layers were shared, but the output of the third was kept"
    assert counted.answer("mix", "math", "base", "ja")[1] == 2
    assert torch.equal(logits, fresh(deep, "mix", "math", "ja", "ja"))


def test_other_tokens_masks_and_caches_are_other_matters(deep: Path, counted: Counted) -> None:
    sources = ("mix", "math", "math", "mix")
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
    for options in ({"tokens": OTHERS}, {"attention_mask": mask}, {"use_cache": True}, {"output_hidden_states": True}):
        logits, count = counted.answer(*sources, **options)
        assert count == 4
        assert torch.equal(logits, fresh(deep, *sources, **options))


def test_other_embeddings_are_another_beginning(deep: Path, counted: Counted) -> None:
    route = ("mix", "math", "math", "mix")
    counted.resident.hold(recipe(deep, *route, embeddings="ja"))
    with torch.inference_mode():
        logits = counted.resident.model(TOKENS, use_cache=False).logits
    assert not torch.equal(logits, fresh(deep, *route))


def test_candidates_that_share_nothing_cost_no_memory(deep: Path) -> None:
    model = Counted(deep)
    for first in ("mix", "math", "ja", "base"):
        model.answer(first, "math", "math", "math")
    assert not model.resident._prefixes._kept


def test_what_is_kept_has_its_room(counted: Counted) -> None:
    each = 2 * 4 * 16 * 4  # rows, tokens, hidden size, bytes
    counted.resident._prefixes._room_bytes = each
    for third in ("ja", "base", "mix"):
        for last in ("ja", "base"):
            counted.answer("mix", "math", third, last)
    assert len(counted.resident._prefixes._kept) == 2


def test_beginnings_that_come_no_more_are_forgotten(deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefixes, "_MOST_SEEN", 9)
    model = Counted(deep)
    for second, third, fourth in itertools.product(("mix", "math", "ja", "base"), ("mix", "math"), ("ja", "base")):
        sources = ("mix", second, third, fourth)
        assert torch.equal(model.answer(*sources)[0], fresh(deep, *sources))
        assert len(model.resident._prefixes._seen) <= 9
    counts = [model.answer("mix", "base", "math", fourth)[1] for fourth in ("mix", "math")]
    assert counts[-1] < 4, "what came last is still known"


def test_a_candidate_that_fails_halfway_leaves_no_trace(deep: Path, counted: Counted, tmp_path: Path) -> None:
    save_model(tmp_path, 7, num_hidden_layers=4)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["model.layers.1.mlp.down_proj.weight"] = torch.ones(3, 3)
    save_file(tensors, tmp_path / "model.safetensors")
    sources = ("mix", "mix", "math", "ja")
    good = recipe(deep, *sources)
    bad = good.model_copy(update={"models": good.models | {"ja": ModelRef(path=str(tmp_path), digest="x")}})
    with pytest.raises(CandidateFailed, match=r"layers\.1"):
        counted.resident.hold(bad)
    for these in (sources, ("mix", "math", "math", "mix")):
        assert torch.equal(counted.answer(*these)[0], fresh(deep, *these))


def test_text_is_written_as_before(deep: Path, counted: Counted) -> None:
    def greedy(model: PreTrainedModel) -> list[int]:
        options = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
        return model.generate(TOKENS[:1], attention_mask=torch.ones_like(TOKENS[:1]), **options)[0].tolist()  # type: ignore[no-any-return]

    counted.answer("mix", "math", "math", "mix")
    other = Counted(deep)
    other.answer("mix", "math", "math", "mix")
    assert greedy(counted.resident.model) == greedy(other.resident.model)
