"""Statistics of gradients: texts pass one by one through a model, and back."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from evomerge.errors import EvomergeError
from evomerge.merging.statistics.inputs import add_to
from evomerge.merging.statistics.store import Measured
from evomerge.recipe.calibration import Calibration

Tick = Callable[[], None]
"""Told after every text."""

ROOM_BYTES = 1 << 30
"""For the gradients of all texts, of which medians are taken of as many parameters at a time as fit."""


class Gradients:
    """The gradients of a model's parameters at one text after another.

    The loss of a text is the mean over its tokens of −log p, so that long texts do not outvote short ones.

    Attributes:
        places: By the name of a tensor of the checkpoint, the parameter that holds it and its window on that.
        num_texts: How many texts there are.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        windows: Mapping[str, torch.Tensor],
        texts: Sequence[torch.Tensor],
        calibration: Calibration,
    ) -> None:
        """Prepare the passes.

        Args:
            model: A causal language model.
            windows: By the name of a tensor of the checkpoint, its place in the model: a parameter or a slice of one.
            texts: Tokens, shape (1, num_tokens) each.
            calibration: Says where labels come from.
        """
        self._model, self._texts, self._calibration = model, texts, calibration
        self.num_texts = len(texts)
        parameters = {parameter.untyped_storage().data_ptr(): parameter for parameter in model.parameters()}
        self.places = {
            name: (parameters[memory], window)
            for name, window in windows.items()
            if (memory := window.untyped_storage().data_ptr()) in parameters
        }

    def passes(self, names: Iterable[str]) -> Iterator[dict[str, torch.Tensor]]:
        """Per text, the gradients of the tensors of these names, float32; zero for those that took no part.

        Raises:
            EvomergeError: If a gradient is not finite.
        """
        wanted = {name: self.places[name] for name in names}
        memory = {id(parameter) for parameter, _ in wanted.values()}
        for parameter in self._model.parameters():
            parameter.requires_grad_(id(parameter) in memory)
        generator = torch.Generator().manual_seed(self._calibration.seed)
        for number, tokens in enumerate(self._texts, start=1):
            self._model.zero_grad(set_to_none=True)
            self._loss(tokens, generator).backward()  # type: ignore[no-untyped-call]
            gradients = {name: _window_of(parameter, window) for name, (parameter, window) in wanted.items()}
            if not all(bool(gradient.isfinite().all()) for gradient in gradients.values()):
                raise EvomergeError(f"{self._calibration.data}: text {number} gives gradients that are not finite.")
            yield gradients
        self._model.zero_grad(set_to_none=True)
        self._model.requires_grad_(False)

    def _loss(self, tokens: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        logits_TV = self._model(tokens, use_cache=False).logits[0, :-1].float()
        labels_T = tokens[0, 1:]
        if self._calibration.labels == "sampled":
            chances_TV = logits_TV.detach().softmax(dim=-1).cpu()
            labels_T = torch.multinomial(chances_TV, 1, generator=generator)[:, 0].to(tokens.device)
        return cross_entropy(logits_TV, labels_T)


def _window_of(parameter: torch.nn.Parameter, window: torch.Tensor) -> torch.Tensor:
    """The part of a parameter's gradient that lies where the window lies in the parameter."""
    if parameter.grad is None:
        return torch.zeros_like(window)
    gradient = parameter.grad.contiguous()
    return gradient.as_strided(window.shape, window.stride(), window.storage_offset() - parameter.storage_offset())


class OutputGrams:
    """Sums over tokens of g gᵀ, with g the gradient of a text's summed loss at what a linear map gives, float32."""

    def __init__(self, maps: Mapping[str, torch.nn.Module]) -> None:
        self._maps = maps
        self._sums: dict[str, torch.Tensor] = {}
        self._counts: dict[str, int] = {}

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hooks are in place inside."""
        handles = [
            module.register_full_backward_hook(functools.partial(self._hear, name))
            for name, module in self._maps.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def measured(self) -> Measured:
        """The means."""
        return Measured({name: (total / self._counts[name]).cpu() for name, total in self._sums.items()})

    def _hear(self, name: str, module: object, read: object, given: Any) -> None:
        (gradient,) = given
        gradient_NO = gradient.detach().flatten(0, -2).float() * (gradient.shape[-2] - 1)  # a mean over targets before
        self._counts[name] = self._counts.get(name, 0) + len(gradient_NO)
        add_to(self._sums, name, gradient_NO.T @ gradient_NO)


def squares_and_shares(gradients: Gradients, tick: Tick) -> tuple[Measured, dict[str, float]]:
    """Fisher information, and how sensitive the loss is to each tensor, both as means over texts.

    Returns:
        g² by tensor, added up in float32, and Σ |θ · g| by tensor.
    """
    squares: dict[str, torch.Tensor] = {}
    shares: dict[str, list[float]] = {name: [] for name in gradients.places}
    number = gradients.num_texts
    for found in gradients.passes(gradients.places):
        for name, gradient in found.items():
            add_to(squares, name, gradient.square())
            weights = gradients.places[name][1]
            shares[name].append(float((weights * gradient).abs().sum(dtype=torch.float64)))
        tick()
    means = {name: (total / number).cpu() for name, total in squares.items()}
    return Measured(means), {name: math.fsum(terms) / number for name, terms in shares.items()}


def medians(gradients: Gradients, tick: Tick) -> Measured:
    """The lower median over texts of |g|: most texts have |g| > c exactly where it is larger than c."""
    sizes = {name: window.numel() * gradients.num_texts * 4 for name, (_, window) in gradients.places.items()}
    values: dict[str, torch.Tensor] = {}
    for names in grouped(sizes, ROOM_BYTES):
        magnitudes: dict[str, list[torch.Tensor]] = {name: [] for name in names}
        for found in gradients.passes(names):
            for name, gradient in found.items():
                magnitudes[name].append(gradient.abs().cpu())
            tick()
        values |= {name: torch.stack(each).median(dim=0).values for name, each in magnitudes.items()}
    return Measured(values)


def grouped(sizes: Mapping[str, int], room: int) -> list[list[str]]:
    """Names in order, in groups whose sizes add up to `room` at most, unless one alone is larger."""
    groups: list[list[str]] = [[]]
    left = room
    for name, size in sizes.items():
        if groups[-1] and size > left:
            groups.append([])
            left = room
        groups[-1].append(name)
        left -= size
    return groups
