"""Rotations inside a head: the best of those that change nothing (methods.md, law L12)."""

import math

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from evomerge.merging.alignment.assignment import assign
from evomerge.merging.alignment.gauge import fixed, gain, orthogonal, rotary, worthwhile
from evomerge.merging.alignment.heads import _climb, _match, _Meeting

SIZE = 8


def random_matrix(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scores(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """What attention sees of one head's queries and keys, (positions, channels), after the rotary embedding."""
    embedding = LlamaRotaryEmbedding(LlamaConfig(hidden_size=SIZE, num_attention_heads=1, head_dim=SIZE))
    cos, sin = embedding(queries[None], torch.arange(len(queries))[None])
    turned = apply_rotary_pos_emb(queries[None, None], keys[None, None], cos, sin)
    return turned[0] @ turned[1].transpose(-1, -2)


@pytest.mark.parametrize("fit", [fixed, orthogonal, rotary])
def test_it_is_a_rotation(fit) -> None:
    found = fit(random_matrix(0, 3, 2, SIZE, SIZE))
    assert found.shape == (3, 2, SIZE, SIZE)
    assert torch.allclose(found @ found.transpose(-1, -2), torch.eye(SIZE, dtype=torch.float64).expand_as(found))


def test_rotary_turns_survive_the_rotary_embedding_and_others_do_not() -> None:
    queries, keys = random_matrix(1, 6, SIZE), random_matrix(2, 6, SIZE)
    overlaps = random_matrix(3, SIZE, SIZE)
    expected = scores(queries, keys)
    turn, rotation = rotary(overlaps), orthogonal(overlaps)
    assert torch.allclose(scores(queries @ turn.T, keys @ turn.T), expected, atol=1e-5)
    assert not torch.allclose(scores(queries @ rotation.T, keys @ rotation.T), expected, atol=1e-1)


def test_no_rotation_is_nearer() -> None:
    reference, model = random_matrix(4, SIZE, 20), random_matrix(5, SIZE, 20)
    found = (reference - orthogonal(reference @ model.T) @ model).norm()
    for seed in range(200):
        other = torch.linalg.qr(random_matrix(seed, SIZE, SIZE))[0]
        near = torch.linalg.matrix_exp(0.1 * (other - other.T)) @ orthogonal(reference @ model.T)
        assert (reference - other @ model).norm() > found
        assert (reference - near @ model).norm() > found


def test_no_turn_is_nearer() -> None:
    reference, model = random_matrix(6, SIZE, 20), random_matrix(7, SIZE, 20)
    found = (reference - rotary(reference @ model.T) @ model).square()
    for pair in range(SIZE // 2):
        channels = [pair, pair + SIZE // 2]
        for degrees in range(360):
            cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            turn = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
            other = (reference[channels] - turn @ model[channels]).square().sum()
            assert other >= found[channels].sum() - 1e-12


@pytest.mark.parametrize(("degrees", "is_kept"), [(2, False), (30, True), (180, True)])
def test_a_small_rotation_is_not_worthwhile(degrees: int, is_kept: bool) -> None:
    """Cosines of 2 and 30 degrees are 0.9994 and 0.87; standing still must lose more than one percent."""
    angle = torch.full((SIZE // 2,), math.radians(degrees), dtype=torch.float64)
    cos, sin = torch.diag(angle.cos()), torch.diag(angle.sin())
    rotation = torch.cat([torch.cat([cos, -sin], 1), torch.cat([sin, cos], 1)])
    kept = worthwhile(rotation, rotation)
    assert torch.equal(kept, rotation if is_kept else torch.eye(SIZE, dtype=torch.float64))


def test_gain_is_an_inner_product() -> None:
    one, other = random_matrix(8, 3, SIZE, SIZE), random_matrix(9, 3, SIZE, SIZE)
    expected = torch.stack([torch.trace(a.T @ b) for a, b in zip(one, other, strict=True)])
    assert torch.allclose(gain(one, other), expected)


def test_of_two_starts_the_better_end_is_taken() -> None:
    """Among heads without likeness, exchanges end in different places; each start wins now and then."""
    wins = [0, 0]
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        shared_DD, own_QQDD = (torch.randn(*shape, 3, 3, generator=generator).double() for shape in ((), (8, 8)))
        meeting = _Meeting(shared_DD, own_QQDD, orthogonal)
        ends = [_climb((meeting,), start).gain for start in (torch.arange(8), assign(meeting.gains_of_pairs()))]
        assert _match(meeting).gain == max(ends)
        wins[ends[1] > ends[0]] += 1
    assert min(wins) > 0
