"""The weights: the chosen recipe as a picture, one row for each part of the model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.figure import Figure

from evomerge.recipe import Blend, Recipe, canonical
from evomerge.recipe.recipe import PipeRule
from evomerge.recipe.stages import BernoulliGate, DensityGate, Sphere, Weigh
from evomerge.recipe.where import Where
from evomerge.report import style
from evomerge.report.figures.picture import Picture
from evomerge.report.verdict import chosen
from evomerge.runs.results import Results

CAPTION = (
    "One row for each part of the model, one column for each expert; the darker, the louder that expert speaks in "
    "that part. A weight multiplies what the expert learnt on top of the base model: 0 leaves it out, 1 takes it "
    "whole, above 1 exaggerates it. Where a row says “whole weights”, the base model has no part, and the weights "
    "are shares."
)
DENSITY = " Density is the share of an expert's changes that is kept before weighing; the others are dropped."
_ROW_IN, _MOST_ROWS = 0.27, 80


@dataclass(frozen=True, slots=True)
class Part:
    """One rule of a blend, as numbers and words.

    Attributes:
        name: Which tensors.
        weights: Per expert.
        densities: Per expert; 1 keeps all.
        method: The other stages, in words.
    """

    name: str
    weights: dict[str, float]
    densities: dict[str, float]
    method: str


def weights(results: Results) -> Picture | None:
    """The chosen merge's recipe; None before one was chosen, or where it is a route over models alone."""
    best = chosen(results)
    if best is None:
        return None
    shown = parts(best.recipe)[:_MOST_ROWS]
    if not shown:
        return None
    gated = any(density != 1 for part in shown for density in part.densities.values())
    svg = style.render("weights", 0.9 + _ROW_IN * len(shown), lambda figure: _draw(figure, shown, gated=gated))
    return Picture(
        "weights", f"What the chosen merge, {best.name}, is made of", svg, CAPTION + (DENSITY if gated else "")
    )


def parts(recipe: Recipe) -> list[Part]:
    """Every rule of every blend, in the canonical form, which is what is merged."""
    blends = canonical(recipe).blends
    return [
        _part(rule, blend, f"{name}: " if len(blends) > 1 else "")
        for name, blend in blends.items()
        for rule in blend.all_rules
        if isinstance(rule, PipeRule)  # canonical recipes have no others
    ]


def _part(rule: PipeRule, blend: Blend, prefix: str) -> Part:
    densities = dict.fromkeys(blend.experts, 1.0)
    spoken = dict.fromkeys(blend.experts, 1.0)
    for stage in rule.pipe:
        match stage:
            case BernoulliGate(density=density):
                densities = {name: densities[name] * kept for name, kept in _each(density, blend).items()}
            case DensityGate(density=density):  # a share of the whole tensor, whatever was dropped before
                densities = {name: min(densities[name], kept) for name, kept in _each(density, blend).items()}
            case Weigh(weigh=factors):
                spoken = _each(factors, blend)
            case Sphere(t=t):
                spoken = _each((1 - t, t), blend)
    place = _place(rule.where) or ("all other tensors" if len(blend.all_rules) > 1 else "all tensors")
    return Part(prefix + place, spoken, densities, ", ".join(filter(None, (stage.phrase for stage in rule.pipe))))


def _each(values: float | tuple[float, ...], blend: Blend) -> dict[str, float]:
    """One value per expert; a single one is for all."""
    each = values if isinstance(values, tuple) else (values,) * len(blend.experts)
    return dict(zip(blend.experts, each, strict=True))


def _place(where: Where | None) -> str:
    words = []
    if where and where.layers:
        first, last = where.layers
        words.append(f"layers {first}–{last}" if last > first else f"layer {first}")
    words += [" + ".join(group) for group in (where.roles, where.names) if group] if where else []
    if where and where.span:
        words.append(f"entries {where.span[0]:,}–{where.span[1] - 1:,}")
    return " · ".join(words)


def _draw(figure: Figure, shown: list[Part], *, gated: bool) -> None:
    panels = figure.subplots(1, 2 if gated else 1, sharey=True, squeeze=False)[0]
    experts = list(dict.fromkeys(name for part in shown for name in part.weights))
    weights_PE = np.array([[part.weights.get(name, math.nan) for name in experts] for part in shown])
    largest = float(np.nanmax(np.abs(weights_PE), initial=1.0))
    negative = bool((weights_PE < 0).any())
    _heat(
        panels[0],
        weights_PE,
        experts,
        ("PuOr", CenteredNorm(0, largest)) if negative else ("Blues", Normalize(0, largest)),
    )
    panels[0].set_title("weight of each expert")
    panels[0].set_yticks(np.arange(len(shown)) + 0.5, [part.name for part in shown])
    if gated:
        densities_PE = np.array([[part.densities.get(name, math.nan) for name in experts] for part in shown])
        _heat(panels[1], densities_PE, experts, ("Greens", Normalize(0, 1)))
        panels[1].set_title("density: share of changes kept")
    for row, part in enumerate(shown):
        panels[-1].text(len(experts) + 0.08, row + 0.5, part.method, va="center", fontsize=8, color=style.MUTED)
    panels[0].invert_yaxis()  # shared: the first rule on top


def _heat(axes: Axes, values_PE: npt.NDArray[np.float64], experts: list[str], colors: tuple[str, Normalize]) -> None:
    style.plain_axis(axes)
    cmap, norm = colors
    mesh = axes.pcolormesh(values_PE, cmap=cmap, norm=norm, edgecolors="white", linewidth=1.5)
    axes.xaxis.set_ticks(np.arange(len(experts)) + 0.5, [style.clipped(name, 14) for name in experts])
    axes.tick_params(labelcolor=style.INK)
    for (row, column), value in np.ndenumerate(values_PE):
        if not math.isnan(value):
            red, green, blue, _ = mesh.cmap(norm(value))
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
            axes.text(
                column + 0.5, row + 0.5, f"{value:.2f}", ha="center", va="center", fontsize=8.5,
                color="white" if dark else style.INK,
            )  # fmt: skip
