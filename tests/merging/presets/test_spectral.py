"""Presets on singular values and vectors against their published formulas, written down plainly."""

from collections.abc import Callable, Sequence

import torch

from evomerge.merging.draws import Draw, chance
from evomerge.testing.formulas import Tensors
from evomerge.testing.stages import LoneContract, MeanContract, PresetContract, StillContract, SymmetricContract

Svd = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def svd(matrix: torch.Tensor) -> Svd:
    return torch.linalg.svd(matrix, full_matrices=False)


def polar(matrix: torch.Tensor) -> torch.Tensor:
    left, _, right = svd(matrix)
    return left @ right


def total(tensors: Tensors) -> torch.Tensor:
    return torch.stack(list(tensors)).sum(dim=0)


def mean(tensors: Tensors) -> torch.Tensor:
    return torch.stack(list(tensors)).mean(dim=0)


def by_matrix(
    deltas: Tensors, formula: Callable[[Tensors], torch.Tensor], elsewhere: Callable[[Tensors], torch.Tensor] = mean
) -> torch.Tensor:
    """The formula on a matrix or on every matrix of a stack, something else on what is none."""
    if deltas[0].dim() < 2:
        return elsewhere(deltas)
    if deltas[0].dim() == 2:
        return formula(deltas)
    return torch.stack([by_matrix(each, formula) for each in zip(*deltas, strict=True)])


class Alone(PresetContract):
    """One expert alone comes out as it is, up to the rounding of a decomposition."""

    lone: dict[str, object]

    def test_one_expert_alone_comes_out(self) -> None:
        for (expert, *_), origin in self._examples():
            pipe = self._pipe(self.lone, 1)
            torch.testing.assert_close(self._run(pipe, [expert], origin), expert, rtol=1e-5, atol=1e-5)


class Spectral(PresetContract, SymmetricContract):
    """A symmetric preset whose formula is one of matrices, times a factor."""

    num_experts = 3
    scale = 1.0

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        return origin + self.scale * by_matrix(deltas, self.matrices, self.elsewhere)

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        raise NotImplementedError

    def elsewhere(self, deltas: Tensors) -> torch.Tensor:
        return mean(deltas)


def star(delta: torch.Tensor, share: float) -> torch.Tensor:
    left, values, right = svd(delta)
    rank = next(rank for rank in range(1, len(values) + 1) if values[:rank].sum() >= share * values.sum())
    rescaled = values[:rank] * values.sum() / values[:rank].sum()
    return left[:, :rank] @ torch.diag(rescaled) @ right[:rank]


class TestStar(Spectral):
    """arXiv:2502.10339: the smallest rank that holds 40 % of the nuclear norm, scaled to all of it; the mean."""

    rule = {"use": "star"}

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        return mean([star(delta, 0.4) for delta in deltas])


class TestStarPerExpert(PresetContract, LoneContract):
    """Its share may differ from expert to expert, and weights make the mean a weighted one."""

    rule = {"use": "star", "density": [0.7, 1.0], "weights": [1, 3], "scale": 1.2}
    lone = {"use": "star", "density": 1.0}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        first, second = (expert - origin for expert in experts)
        return origin + 1.2 * by_matrix(
            [first, second],
            lambda deltas: (star(deltas[0], 0.7) + 3 * deltas[1]) / 4,
            lambda deltas: (deltas[0] + 3 * deltas[1]) / 4,
        )


class TestWholeStar(PresetContract, MeanContract):
    """All of the nuclear norm is the plain mean."""

    rule = {"use": "star", "density": 1.0}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return mean(experts)


def shrunk(matrix: torch.Tensor, mu: float) -> torch.Tensor:
    left, values, right = svd(matrix)
    return left @ torch.diag((values - mu).clamp(min=0)) @ right


def lore(weights: Tensors, mu: float) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """arXiv:2502.10749, on whole weights: the common model and the remainders after twenty turns."""
    common = mean(weights)
    mu = mu * max(float(svd(weight - common)[1][0]) for weight in weights)
    for _ in range(20):
        left = [shrunk(weight - common, mu) for weight in weights]
        common = mean([weight - rest for weight, rest in zip(weights, left, strict=True)])
    return common, left


class TestLoreByMean(Alone, MeanContract, SymmetricContract):
    """The remainders by their mean, half as far again."""

    rule = {"use": "lore", "mu": 0.2, "combine": "mean", "gain": 1.5}
    lone = {"use": "lore"}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        def formula(weights: Tensors) -> torch.Tensor:
            common, left = lore(weights, 0.2)
            return common + 1.5 * mean(left)

        return by_matrix(experts, formula)


class TestLore(Spectral):
    """The remainders by TIES: trimmed to the largest half, those of the sign of their sum averaged."""

    rule = {"use": "lore", "density": 0.5}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        def formula(weights: Tensors) -> torch.Tensor:
            common, left = lore(weights, 0.1)
            trimmed = []
            for rest in left:
                threshold = rest.abs().flatten().sort(descending=True).values[int(0.5 * rest.numel()) - 1]
                trimmed.append(torch.where(rest.abs() >= threshold, rest, 0.0))
            sign = torch.where(total(trimmed) >= 0, 1.0, -1.0)
            agreeing = [torch.where(rest * sign > 0, rest, 0.0) for rest in trimmed]
            speakers = total([(rest != 0).double() for rest in agreeing])
            return common + total(agreeing) / speakers.clamp(min=1)

        return by_matrix(experts, formula)


class TestIsoC(Spectral):
    """arXiv:2502.04959: U · mean(σ) · Vᵀ of the sum; the mean for what is no matrix."""

    rule = {"use": "iso_c", "scale": 1.3}
    scale = 1.3

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        left, values, right = svd(total(deltas))
        return values.mean() * left @ right


class TestHalfIsoC(Alone):
    """Halfway to its mean, every singular value is the average of itself and that."""

    rule = {"use": "iso_c", "strength": 0.5, "weights": [0.5, 0.8]}
    lone = {"use": "iso_c", "strength": 0.0}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        def formula(deltas: Tensors) -> torch.Tensor:
            left, values, right = svd(0.5 * deltas[0] + 0.8 * deltas[1])
            return left @ torch.diag((values + values.mean()) / 2) @ right

        deltas = [expert - origin for expert in experts]
        return origin + by_matrix(deltas, formula, lambda each: (0.5 * each[0] + 0.8 * each[1]) / 1.3)


class TestIsoCts(Spectral):
    """arXiv:2502.04959: so many directions of the sum, the rest divided among what experts have beyond them."""

    rule = {"use": "iso_cts", "common": 0.4}

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        size, count = min(deltas[0].shape), len(deltas)
        own = round((size - int(0.4 * size)) / count)
        shared = size - own * count
        left, values, right = svd(total(deltas))
        lefts, allvalues, rights = [left[:, :shared]], [values[:shared]], [right[:shared]]
        for delta in deltas:
            beyond = svd(delta - lefts[0] @ lefts[0].T @ delta)
            lefts.append(beyond[0][:, :own])
            allvalues.append(beyond[1][:own])
            rights.append(beyond[2][:own])
        return torch.cat(allvalues).mean() * polar(torch.cat(lefts, dim=1)) @ polar(torch.cat(rights))


class TestIsoCtsOfCommonDirectionsAlone(Alone):
    """With nothing left to experts it is Iso-C."""

    rule = {"use": "iso_cts", "common": 1.0}
    lone = {"use": "iso_cts", "strength": 0.0}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        def formula(deltas: Tensors) -> torch.Tensor:
            left, values, right = svd(total(deltas))
            return values.mean() * left @ right

        return origin + by_matrix([expert - origin for expert in experts], formula)


def joined(parts: Sequence[Svd]) -> torch.Tensor:
    left = polar(torch.cat([left for left, _, _ in parts], dim=1))
    right = polar(torch.cat([right for _, _, right in parts], dim=0))
    return left @ torch.diag(torch.cat([values for _, values, _ in parts])) @ right


def led(parts: Svd, rank: int) -> Svd:
    return parts[0][:, :rank], parts[1][:rank], parts[2][:rank]


class TestTsv(Spectral):
    """arXiv:2412.00081: Û diag(S) V̂ᵀ of each expert's leading ⌊m/n⌋ directions."""

    rule = {"use": "tsv_m", "scale": 0.9}
    scale = 0.9

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        rank = max(1, min(deltas[0].shape) // len(deltas))
        return joined([led(svd(delta), rank) for delta in deltas])


class TestWeighedTsv(Alone):
    """Weights, of either sign, scale each expert's strengths."""

    rule = {"use": "tsv_m", "rank": 0.4, "weights": [0.5, -0.7]}
    lone = {"use": "tsv_m"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        def formula(deltas: Tensors) -> torch.Tensor:
            rank = max(1, int(0.4 * min(deltas[0].shape)))
            return joined([led(svd(0.5 * deltas[0]), rank), led(svd(-0.7 * deltas[1]), rank)])

        deltas = [expert - origin for expert in experts]
        return origin + by_matrix(deltas, formula, lambda each: (0.5 * each[0] - 0.7 * each[1]) / -0.2)


class TestWholeTsvOfOneExpertTwice(PresetContract, MeanContract):
    """Directions that coincide are one direction: the authors' code fills the gap with arbitrary ones."""

    rule = {"use": "tsv_m", "rank": 1.0}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        return origin + by_matrix(deltas, lambda each: joined([svd(delta) for delta in each]))


class TestReweightedTsv(Spectral):
    """arXiv:2502.06876 as reconstructed: rows clipped at 1.2 root mean squares, ranks bounded by filled entries."""

    rule = {"use": "r_tsvm", "sigmas": 1.2}
    num_experts = 2

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        parts = []
        for delta in deltas:
            limits = 1.2 * delta.square().mean(dim=1, keepdim=True).sqrt()
            clipped = delta.sign() * torch.minimum(delta.abs(), limits)
            filled = clipped.abs().sum() ** 2 / clipped.numel() / clipped.square().sum()
            rank = max(1, int(min(delta.shape) / 2 * min(1.0, 2 * float(filled))))
            parts.append(led(svd(clipped), rank))
        return joined(parts)


def interference(deltas: Tensors, tasks: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
    """The normal equations M C = B of Σ_k ‖(M − τ_k) τ_kᵀ‖² / ‖τ_k‖²."""
    squares = [delta.square().sum() for delta in deltas]
    c = total([task.T @ task / square for task, square in zip(tasks, squares, strict=True)])
    return c, total([task @ task.T @ task / square for task, square in zip(tasks, squares, strict=True)])


class TestWudi(Spectral, Alone):
    """arXiv:2503.08099: where the gradient of the interference is zero."""

    rule = {"use": "wudi"}
    lone = {"use": "wudi"}

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        c, b = interference(deltas, deltas)
        return torch.linalg.solve(c, b, left=False)


class TestEarlyWudi(Spectral):
    """Stopped early: small steps of gradient descent from the sum."""

    rule = {"use": "wudi", "t": 2.5, "scale": 0.6}
    scale = 0.6

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        c, b = interference(deltas, deltas)
        optimum = torch.linalg.solve(c, b, left=False)
        return optimum + (total(deltas) - optimum) @ torch.matrix_exp(-2.5 * c)


class TestOptMerge(Alone, MeanContract, SymmetricContract):
    """arXiv:2505.19892: from the mean, against the leading ⌊m/n⌋ directions of each expert."""

    rule = {"use": "optmerge"}
    lone = {"use": "optmerge"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        def formula(deltas: Tensors) -> torch.Tensor:
            rank = max(1, min(deltas[0].shape) // len(deltas))
            tasks = [left @ torch.diag(values) @ right for left, values, right in (led(svd(d), rank) for d in deltas)]
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
            tasks = []
            for delta in deltas:
                left, values, right = led(svd(delta), min(delta.shape) // 2)
                tasks.append(left @ torch.diag(values) @ right)
            for _ in range(300):
                descent.zero_grad()
                losses = [
                    ((merged - t) @ t.T).square().sum() / d.square().sum() for t, d in zip(tasks, deltas, strict=True)
                ]
                torch.stack(losses).sum().backward()
                descent.step()
            ours = self._merge(experts, origin) - origin
            assert float((ours - merged).detach().norm() / (merged - mean(deltas)).detach().norm()) < 0.05


class TestSwudi(Spectral):
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


class TestAswudi(Spectral):
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


class TestOpcm(Alone, MeanContract):
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


def inside(deltas: Tensors) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """arXiv:2410.19735: U of [τ_1 … τ_n] = U S [V_1ᵀ … V_nᵀ], and the blocks S V_kᵀ."""
    left, values, right = svd(torch.cat(list(deltas), dim=1))
    return left, list((torch.diag(values) @ right).split(deltas[0].shape[1], dim=1))


def elected(deltas: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum and number of those that have the sign of the sum."""
    sign = torch.where(total(deltas) >= 0, 1.0, -1.0)
    agreeing = [torch.where(delta * sign > 0, delta, 0.0) for delta in deltas]
    return total(agreeing), total([(delta != 0).double() for delta in agreeing])


def ties(deltas: Tensors) -> torch.Tensor:
    trimmed = []
    for delta in deltas:
        count = max(1, int(0.6 * delta.numel()))
        threshold = delta.abs().flatten().sort(descending=True).values[count - 1]
        trimmed.append(torch.where(delta.abs() >= threshold, delta, 0.0))
    summed, speakers = elected(trimmed)
    return summed / speakers.clamp(min=1)


class TestKnotsTies(Spectral, Alone):
    """TIES on the blocks S V_kᵀ, and back."""

    rule = {"use": "knots_ties", "density": 0.6}
    lone = {"use": "knots_ties", "density": 1.0}

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        left, blocks = inside(deltas)
        return left @ ties(blocks)

    def elsewhere(self, deltas: Tensors) -> torch.Tensor:
        return ties(deltas)


class TestKnotsDareTies(PresetContract):
    """DARE-TIES on the blocks S V_kᵀ, and back."""

    rule = {"use": "knots_dare_ties", "density": 0.7, "weights": [1, 1]}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        if origin.dim() < 2:
            return origin + self._dare(deltas, draws, 0)
        stacks = [delta.reshape(-1, *delta.shape[-2:]) for delta in deltas]
        merged = []
        for index, each in enumerate(zip(*stacks, strict=True)):
            left, blocks = inside(each)
            merged.append(left @ self._dare(blocks, draws, index * each[0].numel()))
        return origin + torch.stack(merged).reshape(origin.shape)

    @staticmethod
    def _dare(deltas: Tensors, draws: Sequence[Draw], start: int) -> torch.Tensor:
        dropped = []
        for delta, draw in zip(deltas, draws, strict=True):
            uniform = draw.uniform(torch.Size([start + delta.numel()]))[start:].view(delta.shape)
            dropped.append(torch.where(uniform < chance(0.7), delta / chance(0.7), 0.0))
        return elected(dropped)[0]


class TestSvc(Spectral, Alone):
    """arXiv:2602.05536, algorithm 1, on half the sum."""

    rule = {"use": "svc", "scale": 1.1}
    lone = {"use": "svc", "weights": [1]}
    scale = 1.1

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        left, values, right = svd(0.5 * total(deltas))
        merged = torch.zeros_like(deltas[0])
        for r in range(len(values)):
            response = left[:, r] @ (0.5 * total(deltas))
            own = [left[:, r] @ delta for delta in deltas]
            counts = [max(0.3, float(response @ a / (a @ a))) for a in own]
            merged += len(deltas) / sum(counts) * values[r] * torch.outer(left[:, r], right[r])
        return merged

    def elsewhere(self, deltas: Tensors) -> torch.Tensor:
        return 0.5 * total(deltas)
