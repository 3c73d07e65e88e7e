"""CoPA against a plain statement of the authors' procedure (arXiv:2502.17159)."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.checkpoints.factors import Factors
from evomerge.merging.adapters.copa import copa

SEEDS = st.integers(0, 2**31)


def random_factors(rank: int, seed: int, scale: float = 1.0) -> Factors:
    generator = torch.Generator().manual_seed(seed)
    b, a = (torch.randn(shape, generator=generator) for shape in ((6, rank), (rank, 5)))
    return Factors(b, a, scale)


def kept(entries: list[float], density: float) -> list[float]:
    """The entries not below the one that stands at place ⌊(1 − density)·n⌋ in ascending order of magnitude."""
    place = max(1, int(len(entries) * (1 - density)))
    threshold = sorted(map(abs, entries))[place - 1]
    return [entry if abs(entry) >= threshold else 0.0 for entry in entries]


def plainly(terms: list[Factors], weights: list[float], density: float, quantile: float) -> torch.Tensor:
    rank, outputs, inputs = terms[0].rank, terms[0].b_OR.shape[0], terms[0].a_RI.shape[1]
    merged_a = [[0.0] * inputs for _ in range(rank)]
    merged_b = [[0.0] * rank for _ in range(outputs)]
    total_scales = [0.0] * rank
    for term, weight in zip(terms, weights, strict=True):
        a = term.a_RI.double().flatten().tolist()
        b = term.b_OR.double().flatten().tolist()
        pruned_a, pruned_b = kept(a, density), kept(b, density)
        scales = []
        for j in range(rank):
            before = sum(map(abs, a[j * inputs : (j + 1) * inputs]))
            after = sum(map(abs, pruned_a[j * inputs : (j + 1) * inputs]))
            scales.append(before / after if after else 1.0)
        floor = sorted(scales)[min(int(rank * quantile), rank - 1)]
        scales = [max(scale, floor) for scale in scales]
        for j in range(rank):
            total_scales[j] += scales[j]
            for i in range(inputs):
                merged_a[j][i] += weight * pruned_a[j * inputs + i]
            for o in range(outputs):
                merged_b[o][j] += weight * scales[j] * pruned_b[o * rank + j]
    b_OR = torch.tensor(merged_b) / torch.tensor(total_scales)
    return b_OR @ torch.tensor(merged_a)


@given(
    st.lists(SEEDS, min_size=1, max_size=3, unique=True),
    st.integers(1, 5),
    st.sampled_from([0.1, 0.2, 0.5, 1.0]),
    st.sampled_from([0.0, 0.5, 0.8]),
)
def test_equals_the_plain_statement(seeds: list[int], rank: int, density: float, quantile: float) -> None:
    terms = [random_factors(rank, seed) for seed in seeds]
    weights = [2.0 - 0.5 * index for index in range(len(seeds))]
    found = copa(terms, weights, density, quantile)
    assert found.rank == rank
    torch.testing.assert_close(found.dense(), plainly(terms, weights, density, quantile), rtol=1e-4, atol=1e-4)


def test_one_adapter_that_keeps_all_is_itself_times_its_weights() -> None:
    term = random_factors(3, 0, scale=0.5)
    torch.testing.assert_close(copa([term], [2.0], 1.0, 0.8).dense(), 4 * term.dense())


def test_a_common_scale_of_the_adapters_is_one_of_the_result() -> None:
    plain, scaled = ([random_factors(3, seed, scale) for seed in (0, 1)] for scale in (1.0, 4.0))
    torch.testing.assert_close(copa(scaled, [2, 2], 0.3, 0.8).dense(), 4 * copa(plain, [2, 2], 0.3, 0.8).dense())
