"""Operators that look at a whole model, on models of many tensors, against their formulas over all entries together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from evomerge.checkpoints import Checkpoint
from evomerge.merging import Library, Merge
from evomerge.recipe import Recipe
from evomerge.testing.formulas import balanced, disjoint, trimmed

MakeRecipe = Callable[..., Recipe]


def flat(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    """All entries of a model, one tensor after the other."""
    return torch.cat([tensor.flatten().double() for tensor in tensors.values()])


def model(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = Checkpoint(folder)
    return {name: checkpoint.tensor(name) for name in checkpoint.names}


@pytest.fixture
def moves(zoo: Path) -> list[torch.Tensor]:
    """The task vectors of two experts as flat float64 vectors."""
    return [flat(model(zoo / name)) - flat(model(zoo / "base")) for name in ("math", "ja")]


@pytest.fixture
def merged(recipe_of: MakeRecipe, zoo: Path) -> Callable[[dict[str, Any]], torch.Tensor]:
    """Gives the merged task vector of a rule, flat, as tensors come and as they are written in place."""

    def merge(rule: dict[str, Any]) -> torch.Tensor:
        merge = Merge(recipe_of(rule), Library())
        whole = {name: merge.tensor(name) for name in merge.names}
        for name, tensor in whole.items():
            torch.testing.assert_close(merge.rounded(name), tensor, rtol=1e-6, atol=1e-6)
        return flat(whole) - flat(model(zoo / "base"))

    return merge


Merged = Callable[[dict[str, Any]], torch.Tensor]


def assert_near(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("merge", ["mean", "sum", "max"])
def test_ties_of_the_paper(merged: Merged, moves: list[torch.Tensor], merge: str) -> None:
    expected = disjoint([trimmed(delta, 0.3) for delta in moves], merge)
    assert_near(merged({"use": "ties@paper", "density": 0.3, "merge": merge}), expected)


def test_pcb(merged: Merged, moves: list[torch.Tensor]) -> None:
    assert_near(merged({"use": "pcb", "ratio": 0.2}), balanced(moves, 0.2))


def test_metagpt(merged: Merged, moves: list[torch.Tensor]) -> None:
    squares = [float((delta**2).sum()) for delta in moves]
    expected = (squares[0] * moves[0] + squares[1] * moves[1]) / sum(squares)
    assert_near(merged({"use": "metagpt"}), expected)


def test_ram_plus(merged: Merged, moves: list[torch.Tensor]) -> None:
    moving = torch.stack([delta.abs() > 0.5 for delta in moves]).double()
    count = moving.sum(dim=0)
    expected = torch.zeros_like(moves[0])
    for delta, mask in zip(moves, moving, strict=True):
        shared, unique = float((mask * (count == 2)).sum()), float((mask * (count == 1)).sum())
        expected += mask * delta * torch.where(count == 1, 1 + 0.3 * min(5.0, shared / unique), 0.5)
    rule = {"use": "ram_plus", "epsilon": 0.5, "unit": "one", "strength": 0.3, "limit": 5.0}
    assert_near(merged(rule), expected)


def test_compeft(merged: Merged, moves: list[torch.Tensor]) -> None:
    expected = sum((0.5 * trimmed(d, 0.2).sign() * 1.5 * d.std() for d in moves), start=torch.zeros_like(moves[0]))
    assert_near(merged({"use": "compeft", "density": 0.2, "factor": 1.5}), expected)


def by_depth(zoo: Path, alpha: float, beta: float) -> torch.Tensor:
    """α + β l / (L − 1) for the entries of two layers, α for the others."""
    base = Checkpoint(zoo / "base")
    return flat(
        {
            name: torch.full_like(tensor, alpha + beta * (base.position(name).layer == 1))
            for name, tensor in model(zoo / "base").items()
        }
    )


def test_lines(merged: Merged, moves: list[torch.Tensor], zoo: Path) -> None:
    assert_near(merged({"use": "lines", "alpha": 0.2, "beta": 0.6}), by_depth(zoo, 0.2, 0.6) * (moves[0] + moves[1]))


def test_lines_from_norms_after_another_method(merged: Merged, moves: list[torch.Tensor], zoo: Path) -> None:
    """α = ‖Σ τ‖₁ / ‖D‖₁ / n with the D that TIES leaves."""
    ties = [{"gate": "top", "density": 0.3, "scope": "model"}, {"vote": "sign"}, {"reduce": "mean"}]
    result = disjoint([trimmed(delta, 0.3) for delta in moves], "mean")
    alpha = float((moves[0] + moves[1]).abs().sum() / result.abs().sum() / 2)
    assert_near(merged({"pipe": [*ties, {"post": "norm_ramp", "beta": 0.4}]}), by_depth(zoo, alpha, 0.4) * result)


def test_layers_are_swapped(recipe_of: MakeRecipe, zoo: Path) -> None:
    merge = Merge(recipe_of({"use": "layer_swap", "bottom": 1, "top": 0, "transition": 0}), Library())
    outer, inner = model(zoo / "math"), model(zoo / "ja")
    for name in merge.names:
        owner = inner if merge.donor.position(name).layer == 1 else outer
        torch.testing.assert_close(merge.tensor(name), owner[name])
