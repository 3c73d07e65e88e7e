"""Refining: one recipe, its coefficients, some texts, and steps along the gradient of a method's loss."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from evomerge.errors import ConfigError, EvomergeError, Problem
from evomerge.merging import Library, ResidentModel
from evomerge.recipe import Recipe
from evomerge.refinement.coefficients import Coefficients, Numbers
from evomerge.refinement.methods import Method
from evomerge.refinement.plane import Plane, heard
from evomerge.refinement.samples import Sample, in_turn, read_samples, stretch

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and of how much."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to refine.

    Attributes:
        method: The refiner.
        data: Files of texts, each with the expert that it belongs to, or None.
        rate: Of the descent.
        steps: How many.
        batch: Texts per step; None for all.
        samples: Texts of each file, from the first on.
        tokens: Of each text.
        device: Torch device.
    """

    method: Method
    data: Sequence[tuple[str | None, Path]]
    rate: float
    steps: int
    batch: int | None
    samples: int = 256
    tokens: int = 512
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Refined:
    """What came of it.

    Attributes:
        recipe: With refined weights, which merge to the very model that has the loss `after`.
        before: Loss of the given recipe over all texts, penalty included.
        after: Loss of the refined one.
    """

    recipe: Recipe
    before: float
    after: float


def refine(coefficients: Coefficients, library: Library, plan: Plan, progress: Progress = lambda *_: None) -> Refined:
    """Move a recipe's weights so that a method's loss falls.

    Everything is merged in float32, whatever the recipe's dtype; the losses before and after are those of real merges
    with rounded weights, not of the plane.

    Memory: what `Plane` says, and where experts are asked, their logits and hidden states at every token of every text:
    4 · (vocabulary + (layers + 1) · width) bytes per token.

    Args:
        coefficients: Of the recipe.
        library: Where models are opened.
        plan: How.
        progress: Told after every merge and every step.

    Raises:
        ConfigError: If data cannot be read or belong to no expert, or a rule does not suit the method.
        EvomergeError: If the loss is not finite, or is not lower afterwards.
        CandidateFailed: If the models' tensors do not fit together.
    """
    _check(coefficients, plan)
    exact = coefficients.recipe.model_copy(update={"dtype": "float32"})
    exact_coefficients = dataclasses.replace(coefficients, recipe=exact)
    bench = _Bench(exact_coefficients, ResidentModel(exact, library, plan.device), plan)
    before = bench.loss(coefficients.start_RE)
    count, total = itertools.count(1), coefficients.start_RE.size
    plane = Plane(exact_coefficients, bench.resident, lambda: progress("merges", next(count), total))
    descent = plan.method.descent(coefficients, plane.norms_RE, plan.rate)
    weights_RE = coefficients.start_RE
    for number in range(plan.steps):
        batch = stretch(bench.samples, number, plan.batch or len(bench.samples))
        loss, gradient_RE = slope(plane, plan.method, weights_RE, coefficients.start_RE, batch)
        weights_RE = descent.step(number, weights_RE, gradient_RE)
        progress(f"loss {loss:.4f}", number + 1, plan.steps)
    after = bench.loss(weights_RE)
    if not after < before:
        what = f"the loss over all texts was {before:.6g} and is {after:.6g} now, so that nothing is gained"
        raise EvomergeError(f"{what}. Lower the rate, give more texts, or leave the recipe as it is.")
    return Refined(coefficients.with_weights(weights_RE), before, after)


def slope(
    plane: Plane, method: Method, weights_RE: Numbers, start_RE: Numbers, samples: Sequence[Sample]
) -> tuple[float, Numbers]:
    """The mean loss of some texts with its penalty, and the derivatives by the weights.

    The chain rule is cut at the merged tensors, so that texts go through the model one by one and the sum of their
    gradients goes back to the weights once.
    """
    weights, start = torch.tensor(weights_RE, requires_grad=True), torch.from_numpy(start_RE)
    merged = plane.at(weights)
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in merged.items()}
    losses = [method.penalty(weights, start)]
    losses[0].backward()  # type: ignore[no-untyped-call]
    losses[0] = losses[0].detach()
    for sample in samples:
        losses.append(method.loss(plane.says(leaves, sample.tokens), sample) / len(samples))
        losses[-1].backward()  # type: ignore[no-untyped-call]
        losses[-1] = losses[-1].detach()
    used = [name for name, leaf in leaves.items() if leaf.grad is not None]
    torch.autograd.backward([merged[name] for name in used], [leaves[name].grad for name in used])
    assert weights.grad is not None
    total, gradient_RE = float(sum(map(float, losses))), weights.grad.numpy()
    if not np.isfinite(total) or not np.isfinite(gradient_RE).all():
        raise EvomergeError("the loss of the merged model is not finite. Lower the rate, or look at the recipe.")
    return total, gradient_RE


class _Bench:
    """A model that takes real merges, and the texts."""

    def __init__(self, coefficients: Coefficients, resident: ResidentModel, plan: Plan) -> None:
        self._coefficients, self._method, self.resident = coefficients, plan.method, resident
        files = []
        for name, path in plan.data:
            samples = read_samples(path, resident.tokenizer, plan.samples, plan.tokens)
            if plan.method.asks_experts and name is not None:
                resident.hold(coefficients.expert(name))
                samples = [dataclasses.replace(one, teacher=heard(resident.model, one.tokens).cpu()) for one in samples]
            files.append(samples)
        self.samples = in_turn(files)

    def loss(self, weights_RE: Numbers) -> float:
        """Of the recipe with these weights, as it is merged, over all texts."""
        self.resident.hold(self._coefficients.with_weights(weights_RE))
        model, start = self.resident.model, torch.from_numpy(self._coefficients.start_RE)
        losses = [float(self._method.loss(heard(model, one.tokens), one)) for one in self.samples]
        return math.fsum(losses) / len(losses) + float(self._method.penalty(torch.from_numpy(weights_RE), start))


def _check(coefficients: Coefficients, plan: Plan) -> None:
    """Data and rules must suit the method."""
    problems, experts = [], ", ".join(coefficients.experts)
    for name, path in plan.data:
        if name is None and plan.method.asks_experts:
            what = f"each expert shows on its own texts what to do. Say whose they are: NAME={path}, of {experts}."
            problems.append(Problem(f"--data {path}", what))
        elif name is not None and name not in coefficients.experts:
            problems.append(Problem(f"--data {name}={path}", f'"{name}" is none of the experts {experts}.'))
    if coefficients.is_mean_R.any() and not plan.method.takes_means:
        what = "Frank-Wolfe adds experts up, and a rule takes a mean. Write it as `reduce: sum` with weights of sum 1."
        problems.append(Problem("--method", what))
    ConfigError.raise_if_any(problems)
