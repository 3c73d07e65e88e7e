"""Presets that keep experts out of each other's way, against their published formulas, written down plainly."""

from collections.abc import Sequence

import torch

from evomerge.merging.draws import Draw
from evomerge.testing.formulas import Tensors
from evomerge.testing.matrices import AloneContract, MatrixContract, by_matrix, led, mean, product, svd, total
from evomerge.testing.stages import MeanContract, StillContract, SymmetricContract


def interference(deltas: Tensors, tasks: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
    """The normal equations M C = B of Σ_k ‖(M − τ_k) τ_kᵀ‖² / ‖τ_k‖²."""
    squares = [delta.square().sum() for delta in deltas]
    c = total([task.T @ task / square for task, square in zip(tasks, squares, strict=True)])
    return c, total([task @ task.T @ task / square for task, square in zip(tasks, squares, strict=True)])


class TestWudi(MatrixContract, AloneContract):
    """arXiv:2503.08099: where the gradient of the interference is zero."""

    rule = {"use": "wudi"}
    lone = {"use": "wudi"}

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        c, b = interference(deltas, deltas)
        return torch.linalg.solve(c, b, left=False)


class TestEarlyWudi(MatrixContract):
    """Stopped early: small steps of gradient descent from the sum."""

    rule = {"use": "wudi", "t": 2.5, "scale": 0.6}
    scale = 0.6

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        c, b = interference(deltas, deltas)
        optimum = torch.linalg.solve(c, b, left=False)
        return optimum + (total(deltas) - optimum) @ torch.matrix_exp(-2.5 * c)


class TestOptMerge(AloneContract, MeanContract, SymmetricContract):
    """arXiv:2505.19892: from the mean, against the leading ⌊m/n⌋ directions of each expert."""

    rule = {"use": "optmerge"}
    lone = {"use": "optmerge"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        def formula(deltas: Tensors) -> torch.Tensor:
            rank = max(1, min(deltas[0].shape) // len(deltas))
            tasks = [product(led(svd(delta), rank)) for delta in deltas]
            c, b = interference(deltas, tasks)
            gone = torch.eye(len(c), dtype=c.dtype) - torch.matrix_exp(-0.6 * c)
            return mean(deltas) + (b @ torch.linalg.pinv(c, rtol=1e-10) - mean(deltas)) @ gone

        return origin + by_matrix([expert - origin for expert in experts], formula)

    def test_it_is_where_the_authors_descent_arrives(self) -> None:
        """300 steps at 10⁻⁴ with momentum 0.9, from the mean."""
        for experts, origin in self._examples():
            if origin.dim() != 2:
                continue
            deltas = [expert - origin for expert in experts]
            merged = torch.nn.Parameter(mean(deltas))
            descent = torch.optim.SGD([merged], lr=1e-4, momentum=0.9)
            tasks = [product(led(svd(delta), min(delta.shape) // 2)) for delta in deltas]
            for _ in range(300):
                descent.zero_grad()
                losses = [
                    ((merged - t) @ t.T).square().sum() / d.square().sum() for t, d in zip(tasks, deltas, strict=True)
                ]
                torch.stack(losses).sum().backward()
                descent.step()
            ours = self._merge(experts, origin) - origin
            assert float((ours - merged).detach().norm() / (merged - mean(deltas)).detach().norm()) < 0.05


class TestSwudi(MatrixContract):
    """The filter 1 − exp(−300 λ) in the leading 65 % of the eigenvectors of C."""

    rule = {"use": "swudi"}

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        c, b = interference(deltas, deltas)
        values, vectors = torch.linalg.eigh(c)
        passed = 1 - torch.exp(-300 * values)
        passed[: len(values) - int(0.65 * len(values) + 0.999)] = 0
        start = total(deltas)
        return (
            start
            - start @ vectors @ torch.diag(passed) @ vectors.T
            + b @ vectors @ torch.diag(passed / values) @ vectors.T
        )


class TestAswudi(MatrixContract):
    """No filter, in ⌈(Σ√λ)² / Σλ⌉ eigenvectors."""

    rule = {"use": "aswudi"}

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        c, b = interference(deltas, deltas)
        values, vectors = torch.linalg.eigh(c)
        kept = vectors[:, len(values) - int(torch.ceil(values.sqrt().sum() ** 2 / values.sum())) :]
        start = total(deltas)
        return start + (b @ torch.linalg.inv(c) - start) @ kept @ kept.T


class TestDoge(StillContract):
    """arXiv:2501.01230, by autograd and PyTorch's Adam; what is no matrix stays the base's."""

    rule = {"use": "doge_ta", "steps": 60, "subspace": 0.4}
    num_experts = 2

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        if origin.dim() < 2:
            return origin
        kept = []
        for delta in deltas:
            threshold = delta.abs().flatten().sort(descending=True).values[max(1, int(0.3 * delta.numel())) - 1]
            kept.append(delta.abs() >= threshold)
        if origin.dim() == 2:
            return origin + self._matrix(deltas, kept)
        return origin + torch.stack(
            [self._matrix(d, k) for d, k in zip(zip(*deltas, strict=True), zip(*kept, strict=True), strict=True)]
        )

    def _matrix(self, deltas: Tensors, kept: Tensors) -> torch.Tensor:
        size = min(deltas[0].shape)
        factors = [0.07 / delta.norm() for delta in deltas]
        leading = torch.cat([svd(delta)[0][:, : size // 2] for delta in deltas], dim=1)
        basis = svd(leading)[0][:, : int(0.4 * size)]
        shared = torch.nn.Parameter(torch.zeros_like(deltas[0]))
        adam = torch.optim.Adam([shared], lr=1e-4)
        for _ in range(60):
            adam.zero_grad()
            merged = total([factor * (delta + shared) for factor, delta in zip(factors, deltas, strict=True)])
            torch.stack([(d * (d - merged)).sum(dim=1).square().sum() for d in deltas]).sum().backward()
            assert shared.grad is not None
            shared.grad -= basis @ basis.T @ shared.grad
            adam.step()
        return total([f * (d + shared.detach()) * mask for f, d, mask in zip(factors, deltas, kept, strict=True)])

    def test_the_order_of_the_experts_is_irrelevant(self) -> None:
        for experts, origin in self._examples():
            turned = self._merge(experts[::-1], origin)
            torch.testing.assert_close(turned, self._merge(experts, origin))

    def test_task_vectors_count_by_direction_alone(self) -> None:
        """Without a correction, every one of them gets the same norm."""
        for experts, origin in self._examples():
            zero = torch.zeros_like(origin)
            pipe = self._pipe(self.rule | {"steps": 0}, 2)
            doubled = self._run(pipe, [2 * expert for expert in experts], zero)
            torch.testing.assert_close(doubled, self._run(pipe, experts, zero))


class TestOpcm(AloneContract, MeanContract):
    """arXiv:2501.09522, step by step, with its factor at every step; the order counts."""

    rule = {"use": "opcm", "alpha": 0.6}
    lone = {"use": "opcm"}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        merged, factor, norms = deltas[0], 1.0, [float(deltas[0].norm())]
        for delta in deltas[1:]:
            norms.append(float(delta.norm()))
            added = by_matrix([merged, delta], self._step, lambda each: each[1])
            moved = factor * merged + added
            factor = float(moved.norm()) / (sum(norms) / len(norms))
            merged = moved / factor
        return origin + merged

    @staticmethod
    def _step(pair: Tensors) -> torch.Tensor:
        merged, delta = pair
        left, values, right = torch.linalg.svd(merged, full_matrices=True)
        projected = left.T @ delta @ right.T
        projected.diagonal().fill_(0)
        closed = next(i for i in range(len(values)) if values[: i + 1].sum() / values.sum() > 0.6)
        projected[:closed, :closed] = 0
        return left @ projected @ right
