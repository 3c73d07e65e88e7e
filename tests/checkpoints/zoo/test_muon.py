"""Muon against torch's own, which works in bfloat16."""

import pytest
import torch

from evomerge.checkpoints.zoo.muon import Muon, orthogonalised


def test_orthogonalised_brings_singular_values_near_one_and_keeps_the_vectors() -> None:
    matrices_KMN = torch.randn(5, 24, 40, generator=torch.Generator().manual_seed(0))
    result_KMN = orthogonalised(matrices_KMN)
    values_KM = torch.linalg.svdvals(result_KMN)
    assert values_KM.min() > 0.6
    assert values_KM.max() < 1.3
    left_KMM, _, right_KMN = torch.linalg.svd(matrices_KMN, full_matrices=False)
    diagonal_KMM = left_KMM.mT @ result_KMN @ right_KMN.mT
    assert torch.allclose(
        diagonal_KMM - torch.diag_embed(diagonal_KMM.diagonal(dim1=1, dim2=2)), torch.zeros(()), atol=1e-4
    )


@pytest.mark.parametrize("shape", [(16, 16), (40, 16), (16, 40)])
def test_steps_are_those_of_torch_within_its_precision(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(shape, generator=generator)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    steps = Muon([ours], lr=0.1), torch.optim.Muon([theirs], lr=0.1, weight_decay=0.0)
    for _ in range(4):
        gradient = torch.randn(shape, generator=generator)
        for matrix, optimizer in zip((ours, theirs), steps, strict=True):
            matrix.grad = gradient.clone()
            optimizer.step()
    moved, expected = ours.detach() - start, theirs.detach() - start
    assert (moved - expected).norm() < 0.03 * expected.norm()


def test_matrices_of_several_shapes_each_take_their_own_step() -> None:
    generator = torch.Generator().manual_seed(2)
    matrices = [
        torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((8, 4), (4, 4), (4, 8), (4, 4))
    ]
    alone = [torch.nn.Parameter(matrix.detach().clone()) for matrix in matrices]
    for one, other in zip(matrices, alone, strict=True):
        one.grad = torch.randn(one.shape, generator=generator)
        other.grad = one.grad.clone()
        Muon([other], lr=0.1).step()
    Muon(matrices, lr=0.1).step()
    for one, other in zip(matrices, alone, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
