"""Quantities from sums, against the same computed plainly on whole arrays."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.checkpoints.diagnosis import Moments

weights = st.lists(
    st.tuples(*[st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0]) for _ in range(4)]), min_size=2, max_size=30
)


def plain(base: np.ndarray, one: np.ndarray, other: np.ndarray) -> dict[str, float | None]:
    """Norms and kinship as a textbook has them."""
    a, b = one - base, other - base
    both = (a != 0) & (b != 0)
    weight = np.abs(a * b)
    opposed = np.sign(a) != np.sign(b)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "norm": np.linalg.norm(a),
            "relative_norm": np.linalg.norm(a) / np.linalg.norm(base),
            "cosine_with_base": base @ one / np.linalg.norm(base) / np.linalg.norm(one),
            "zero_share": np.mean(a == 0),
            "cosine": a @ b / np.linalg.norm(a) / np.linalg.norm(b),
            "pearson": np.corrcoef(a, b)[0, 1] if a.std() > 0 and b.std() > 0 else np.nan,
            "conflict": (both & opposed).sum() / both.sum(),
            "weighted_conflict": weight[opposed].sum() / weight.sum(),
        }


def check(moments: Moments, base: np.ndarray, experts: list[np.ndarray]) -> None:
    for i, j in ((0, 1), (1, 0), (1, 2)):
        found = moments.change(i).model_dump() | moments.kinship(i, j).model_dump()
        for name, value in plain(base, experts[i], experts[j]).items():
            if value is None or not np.isfinite(value):
                assert found[name] is None, name
            else:
                assert found[name] == pytest.approx(value, abs=1e-9), name


@given(weights, st.data())
def test_sums_of_pieces_say_what_the_whole_says(rows: list[tuple[float, ...]], data: st.DataObject) -> None:
    base, *experts = np.array(rows).T
    cut = data.draw(st.integers(0, len(rows)))
    pieces = [
        Moments.of(torch.tensor(base[part]), [torch.tensor(expert[part]) for expert in experts])
        for part in (slice(None, cut), slice(cut, None))
    ]
    total = sum(pieces, Moments.nothing(3))
    assert total.num_entries == len(rows)
    check(total, base, experts)


def test_random_weights_in_low_precision_are_compared_exactly() -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(500, generator=generator).to(torch.bfloat16)
    experts = [(base.float() + 0.01 * torch.randn(500, generator=generator)).to(torch.bfloat16) for _ in range(3)]
    moments = Moments.of(base, experts)
    check(moments, base.double().numpy(), [expert.double().numpy() for expert in experts])
    assert 0 < moments.change(0).zero_share < 1, "some steps are smaller than bfloat16 can tell"


def test_equal_experts_are_at_no_distance_and_others_are() -> None:
    base, one = torch.zeros(3), torch.tensor([1.0, 2.0, 2.0])
    moments = Moments.of(base, [one, one, 2 * one])
    assert moments.distance(0, 1) == 0
    assert moments.distance(0, 2) == pytest.approx(0.5)
    assert Moments.of(base, [base, base]).distance(0, 1) == 0


def test_what_is_not_a_number_is_noticed() -> None:
    assert not Moments.of(torch.zeros(2), [torch.tensor([1.0, float("nan")])]).is_finite
    assert not Moments.of(torch.tensor([float("inf"), 1.0]), [torch.zeros(2)]).is_finite


@pytest.mark.parametrize("constant", [0.3, 0.7, 1 / 3])
def test_a_change_by_a_constant_correlates_with_nothing(constant: float) -> None:
    base = torch.zeros(50, dtype=torch.float64)
    moments = Moments.of(base, [base + constant, base + torch.linspace(-1, 2, 50, dtype=torch.float64)])
    kinship = moments.kinship(0, 1)
    assert (kinship.cosine is not None, kinship.pearson) == (True, None)
