"""Presets on singular values and vectors against their published formulas, written down plainly."""

from collections.abc import Sequence

import torch

from evomerge.merging.draws import Draw, chance
from evomerge.testing.formulas import Tensors, agreed, mean_of_agreed, trimmed
from evomerge.testing.matrices import (
    AloneContract,
    MatrixContract,
    Svd,
    by_matrix,
    led,
    mean,
    polar,
    product,
    svd,
    total,
)
from evomerge.testing.stages import LoneContract, MeanContract, PresetContract, SymmetricContract


def star(delta: torch.Tensor, share: float) -> torch.Tensor:
    left, values, right = svd(delta)
    rank = next(rank for rank in range(1, len(values) + 1) if values[:rank].sum() >= share * values.sum())
    rescaled = values[:rank] * values.sum() / values[:rank].sum()
    return left[:, :rank] @ torch.diag(rescaled) @ right[:rank]


class TestStar(MatrixContract):
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
    return product((left, (values - mu).clamp(min=0), right))


def lore(weights: Tensors, mu: float) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """arXiv:2502.10749, on whole weights: the common model and the remainders after twenty turns."""
    common = mean(weights)
    mu = mu * max(float(svd(weight - common)[1][0]) for weight in weights)
    for _ in range(20):
        left = [shrunk(weight - common, mu) for weight in weights]
        common = mean([weight - rest for weight, rest in zip(weights, left, strict=True)])
    return common, left


class TestLoreByMean(AloneContract, MeanContract, SymmetricContract):
    """The remainders by their mean, half as far again."""

    rule = {"use": "lore", "mu": 0.2, "combine": "mean", "gain": 1.5}
    lone = {"use": "lore"}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        def formula(weights: Tensors) -> torch.Tensor:
            common, left = lore(weights, 0.2)
            return common + 1.5 * mean(left)

        return by_matrix(experts, formula)


class TestLore(MatrixContract):
    """The remainders by TIES: trimmed to the largest half, those of the sign of their sum averaged."""

    rule = {"use": "lore", "density": 0.5}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        def formula(weights: Tensors) -> torch.Tensor:
            common, left = lore(weights, 0.1)
            kept = [trimmed(rest, 0.5) for rest in left]
            return common + mean_of_agreed(kept, [1.0] * len(kept))

        return by_matrix(experts, formula)


class TestIsoC(MatrixContract):
    """arXiv:2502.04959: U · mean(σ) · Vᵀ of the sum; the mean for what is no matrix."""

    rule = {"use": "iso_c", "scale": 1.3}
    scale = 1.3

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        left, values, right = svd(total(deltas))
        return values.mean() * left @ right


class TestHalfIsoC(AloneContract):
    """Halfway to its mean, every singular value is the average of itself and that."""

    rule = {"use": "iso_c", "strength": 0.5, "weights": [0.5, 0.8]}
    lone = {"use": "iso_c", "strength": 0.0}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        def formula(deltas: Tensors) -> torch.Tensor:
            left, values, right = svd(0.5 * deltas[0] + 0.8 * deltas[1])
            return left @ torch.diag((values + values.mean()) / 2) @ right

        deltas = [expert - origin for expert in experts]
        return origin + by_matrix(deltas, formula, lambda each: (0.5 * each[0] + 0.8 * each[1]) / 1.3)


class TestIsoCts(MatrixContract):
    """arXiv:2502.04959: so many directions of the sum, the rest divided among what experts have beyond them."""

    rule = {"use": "iso_cts", "common": 0.4}

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        size, count = min(deltas[0].shape), len(deltas)
        own = min(round((size - int(self.rule["common"] * size)) / count), size // count)
        shared = size - own * count
        left, values, right = svd(total(deltas))
        lefts, allvalues, rights = [left[:, :shared]], [values[:shared]], [right[:shared]]
        for delta in deltas:
            beyond = svd(delta - lefts[0] @ lefts[0].T @ delta)
            lefts.append(beyond[0][:, :own])
            allvalues.append(beyond[1][:own])
            rights.append(beyond[2][:own])
        return torch.cat(allvalues).mean() * polar(torch.cat(lefts, dim=1)) @ polar(torch.cat(rights))


class TestIsoCtsOfOwnDirectionsAlone(TestIsoCts):
    """Three experts cannot have two of five directions each."""

    rule = {"use": "iso_cts", "common": 0.0}
    num_experts = 3


class TestIsoCtsOfCommonDirectionsAlone(AloneContract):
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


class TestTsv(MatrixContract):
    """arXiv:2412.00081: Û diag(S) V̂ᵀ of each expert's leading ⌊m/n⌋ directions."""

    rule = {"use": "tsv_m", "scale": 0.9}
    scale = 0.9

    def matrices(self, deltas: Tensors) -> torch.Tensor:
        rank = max(1, min(deltas[0].shape) // len(deltas))
        return joined([led(svd(delta), rank) for delta in deltas])


class TestWeighedTsv(AloneContract):
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


class TestReweightedTsv(MatrixContract):
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


def inside(deltas: Tensors) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """arXiv:2410.19735: U of [τ_1 … τ_n] = U S [V_1ᵀ … V_nᵀ], and the blocks S V_kᵀ."""
    left, values, right = svd(torch.cat(list(deltas), dim=1))
    return left, list((torch.diag(values) @ right).split(deltas[0].shape[1], dim=1))


def ties(deltas: Tensors) -> torch.Tensor:
    return mean_of_agreed([trimmed(delta, 0.6) for delta in deltas], [1.0] * len(deltas))


class TestKnotsTies(MatrixContract, AloneContract):
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
        kept = []
        for delta, draw in zip(deltas, draws, strict=True):
            uniform = draw.uniform(torch.Size([start + delta.numel()]))[start:].view(delta.shape)
            kept.append(torch.where(uniform < chance(0.7), delta / chance(0.7), 0.0))
        return agreed(kept, [1.0] * len(kept))[0]


class TestSvc(MatrixContract, AloneContract):
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
