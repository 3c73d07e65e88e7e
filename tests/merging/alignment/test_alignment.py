"""A scrambled copy computes the same and is recovered; a fine-tune stays as it is; nothing gains more."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from evomerge.checkpoints import Checkpoint
from evomerge.merging.alignment import FAMILIES, Alignment, Blocks, Likeness, align, likeness
from evomerge.merging.alignment.likeness import _cosines

Tensors = dict[str, torch.Tensor]
Change = Callable[[Tensors], Tensors]
MakeModel = Callable[..., Path]
CopyOf = Callable[[Path, str, Change], Path]
Scramble = Callable[..., Change]

NORMED = ("gemma3_text", "qwen3")  # a norm between projection and rotary embedding: queries and keys may not be turned
IN_ONE_FOLDER = [HealthCheck.function_scoped_fixture]


def blocks(folder: Path) -> Blocks:
    return Blocks(Checkpoint(folder))


def logits(folder: Path) -> torch.Tensor:
    with torch.inference_mode():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        return model(torch.arange(1, 31).reshape(2, 15)).logits


def aligned(model: Path, alignment: Alignment) -> Tensors:
    its = blocks(model)
    return {name: alignment.tensor(its, name) for name in its.checkpoint.names}


def farthest(reference: Path, tensors: Tensors) -> float:
    """Largest difference of any weight."""
    wanted = load_file(reference / "model.safetensors")
    return max(float((tensors[name] - wanted[name]).abs().max()) for name in wanted)


@pytest.mark.parametrize("family", FAMILIES)
class TestScrambledCopies:
    """Hidden units, key/value heads and query heads permuted; values rotated, keys turned."""

    def test_they_compute_the_same(
        self, family: str, make_model: MakeModel, copy_of: CopyOf, scramble: Scramble
    ) -> None:
        model = make_model("model", family)
        other = copy_of(model, "other", scramble(1, turn=family not in NORMED))
        assert torch.allclose(logits(model), logits(other), atol=1e-4)
        assert farthest(model, load_file(other / "model.safetensors")) > 0.1

    def test_they_are_recovered(self, family: str, make_model: MakeModel, copy_of: CopyOf, scramble: Scramble) -> None:
        model = make_model("model", family)
        other = copy_of(model, "other", scramble(2, turn=family not in NORMED))
        alignment = align(blocks(model), blocks(other))
        assert farthest(model, aligned(other, alignment)) < 1e-5
        assert alignment.is_rotating
        found = likeness(blocks(model), blocks(other), alignment)
        assert all(part.before < 0.9 and part.after == pytest.approx(1) for part in found.values())

    @pytest.mark.parametrize("gauge", ["none", "rotation"])
    def test_permuted_bits_come_back(
        self, family: str, gauge: str, make_model: MakeModel, copy_of: CopyOf, scramble: Scramble
    ) -> None:
        def change(tensors: Tensors) -> Tensors:
            return {name: tensor.bfloat16() for name, tensor in scramble(3, rotate=False)(tensors).items()}

        model = make_model("model", family, dtype=torch.bfloat16)
        other = copy_of(model, "other", change)
        alignment = align(blocks(model), blocks(other), gauge)
        assert farthest(model, aligned(other, alignment)) == 0
        assert not alignment.is_rotating
        assert not alignment.is_identity

    def test_drift_does_not_hide_them(
        self, family: str, make_model: MakeModel, copy_of: CopyOf, scramble: Scramble
    ) -> None:
        """A fine-tune of the scrambled copy comes back to within what fine-tuning changed."""
        model = make_model("model", family)
        hidden = copy_of(model, "hidden", scramble(4, turn=family not in NORMED))
        other = copy_of(hidden, "other", drift(5, 0.03))
        found = likeness(blocks(model), blocks(other), align(blocks(model), blocks(other)))
        assert min(part.after for part in found.values()) > 0.98
        assert min(part.before for part in found.values()) < 0.9

    @pytest.mark.parametrize("gauge", ["none", "rotation"])
    def test_fine_tunes_stay_as_they_are(self, family: str, gauge: str, make_model: MakeModel, copy_of: CopyOf) -> None:
        model = make_model("model", family)
        other = copy_of(model, "other", drift(6, 0.05))
        alignment = align(blocks(model), blocks(other), gauge)
        assert alignment.is_identity
        assert set(alignment.moved.values()) == {0}
        assert farthest(other, aligned(other, alignment)) == 0

    def test_a_foreign_model_computes_what_it_did(self, family: str, make_model: MakeModel, copy_of: CopyOf) -> None:
        reference, model = make_model("reference", family), make_model("model", family, seed=1)
        alignment = align(blocks(reference), blocks(model))
        assert not alignment.is_identity
        out = copy_of(model, "out", lambda tensors: tensors | aligned(model, alignment))
        assert torch.allclose(logits(out), logits(model), atol=1e-4)
        found = likeness(blocks(reference), blocks(model), alignment)
        assert sum(part.after for part in found.values()) > sum(part.before for part in found.values()) + 1


def drift(seed: int, size: float) -> Change:
    def change(tensors: Tensors) -> Tensors:
        generator = torch.Generator().manual_seed(seed)
        return {
            name: tensor + size * torch.randn(tensor.shape, generator=generator) * tensor.std()
            for name, tensor in sorted(tensors.items())
        }

    return change


@settings(max_examples=15, suppress_health_check=IN_ONE_FOLDER)
@given(seed=st.integers(0, 10**6), rotate=st.booleans(), family=st.sampled_from(list(FAMILIES)))
def test_any_scramble_is_recovered(
    seed: int, rotate: bool, family: str, make_model: MakeModel, copy_of: CopyOf, scramble: Scramble
) -> None:
    model = make_model(f"model-{next(COUNTER)}", family, seed=seed)
    other = copy_of(model, f"other-{next(COUNTER)}", scramble(seed, rotate, turn=family not in NORMED))
    assert farthest(model, aligned(other, align(blocks(model), blocks(other)))) < 1e-5


COUNTER = itertools.count()


def test_no_permutation_of_hidden_units_gains_more(make_model: MakeModel) -> None:
    """Foreign models of four hidden units, against all 24 permutations."""
    reference, model = (make_model(name, seed=seed, intermediate_size=4) for seed, name in enumerate(("a", "b")))
    wanted, found = (load_file(folder / "model.safetensors") for folder in (reference, model))
    result = aligned(model, align(blocks(reference), blocks(model)))
    for layer in range(2):
        gate, up, down = names = [f"model.layers.{layer}.mlp.{part}_proj.weight" for part in ("gate", "up", "down")]
        permuted = [
            {gate: found[gate][order], up: found[up][order], down: found[down][:, order]}
            for order in map(list, itertools.permutations(range(4)))
        ]
        assert product(wanted, result, names) == pytest.approx(max(product(wanted, each, names) for each in permuted))


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
class TestOptimum:
    """Foreign models of few heads, against every permutation there is, as the paper states the sum."""

    def test_no_permutation_of_heads_gains_more(self, kv_heads: int, make_model: MakeModel) -> None:
        reference = make_model("reference", num_key_value_heads=kv_heads)
        model = make_model("model", seed=1, num_key_value_heads=kv_heads)
        wanted, found = load_file(reference / "model.safetensors"), load_file(model / "model.safetensors")
        result = aligned(model, align(blocks(reference), blocks(model), "none"))
        for layer in range(2):
            gains = [product(wanted, permuted, attention(layer)) for permuted in every_order(found, layer, kv_heads)]
            assert product(wanted, result, attention(layer)) == pytest.approx(max(gains))

    def test_rotations_gain_more_than_permutations(self, kv_heads: int, make_model: MakeModel) -> None:
        reference = make_model("reference", num_key_value_heads=kv_heads)
        model = make_model("model", seed=1, num_key_value_heads=kv_heads)
        wanted = load_file(reference / "model.safetensors")
        fixed, free = (aligned(model, align(blocks(reference), blocks(model), gauge)) for gauge in ("none", "rotation"))
        assert all(
            product(wanted, free, attention(layer)) > product(wanted, fixed, attention(layer)) for layer in range(2)
        )


@pytest.mark.parametrize("seed", range(3))
def test_no_exchange_of_query_heads_gains_with_rotations(seed: int, make_model: MakeModel) -> None:
    """Four query heads on one key/value head of a foreign model."""
    reference, model = (make_model(name, seed=s, num_key_value_heads=1) for s, name in ((seed, "a"), (seed + 9, "b")))
    wanted, found = (load_file(folder / "model.safetensors") for folder in (reference, model))
    alignment = align(blocks(reference), blocks(model))
    result = aligned(model, alignment)
    for layer in range(2):
        names = attention(layer)
        order = alignment.layers[layer].heads.query_heads_H.tolist()
        gained = best_product(wanted, found, names, order)
        assert product(wanted, result, names) == pytest.approx(gained, rel=1e-4)
        assert gained >= best_product(wanted, found, names, [0, 1, 2, 3])
        for one, other in itertools.combinations(range(4), 2):
            exchanged = order.copy()
            exchanged[one], exchanged[other] = order[other], order[one]
            assert best_product(wanted, found, names, exchanged) <= gained


def best_product(wanted: Tensors, found: Tensors, names: list[str], order: list[int]) -> float:
    """The largest sum of inner products that rotations reach for an order of query heads, as the papers state it.

    For values and outputs it is the nuclear norm of the overlaps (orthogonal Procrustes); for keys and queries, the
    absolute value of the overlap of each pair of channels as a complex number.
    """
    query, key, value, out = names
    overlaps = wanted[value] @ found[value].T
    paired_overlaps = (paired(wanted[key]).conj() * paired(found[key])).sum(1)
    for place, head in enumerate(order):
        there, here = slice(4 * place, 4 * place + 4), slice(4 * head, 4 * head + 4)
        overlaps = overlaps + wanted[out][:, there].T @ found[out][:, here]
        paired_overlaps = paired_overlaps + (paired(wanted[query][there]).conj() * paired(found[query][here])).sum(1)
    return float(torch.linalg.matrix_norm(overlaps, "nuc") + paired_overlaps.abs().sum())


def paired(rows: torch.Tensor) -> torch.Tensor:
    """Four channels as the two complex numbers that a rotary embedding turns."""
    return torch.complex(rows[:2], rows[2:])


def attention(layer: int) -> list[str]:
    return [f"model.layers.{layer}.self_attn.{part}_proj.weight" for part in "qkvo"]


def product(one: Tensors, other: Tensors, names: list[str]) -> float:
    """Sum of inner products of weights."""
    return sum(float((one[name] * other[name]).sum()) for name in names)


def every_order(tensors: Tensors, layer: int, kv_heads: int) -> list[Tensors]:
    """A layer's attention with its heads in every order that grouped attention allows."""
    each = 4 // kv_heads
    names = attention(layer)
    query, key, value, out = (tensors[name] for name in names)
    orders = []
    for groups in itertools.permutations(range(kv_heads)):
        for within in itertools.product(itertools.permutations(range(each)), repeat=kv_heads):
            shared = torch.tensor([4 * group + channel for group in groups for channel in range(4)])
            heads = [each * group + one for group, order in zip(groups, within, strict=True) for one in order]
            own = torch.tensor([4 * head + channel for head in heads for channel in range(4)])
            parts = (query[own], key[shared], value[shared], out[:, own])
            orders.append(dict(zip(names, parts, strict=True)))
    return orders


def test_a_part_of_zeros_is_like_nothing() -> None:
    assert _cosines(0.0, 0.0, 2.0, 0.0) == Likeness(0.0, 0.0)
