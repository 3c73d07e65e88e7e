"""The kinship: what every two experts changed alike and where they contradict each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from evomerge.checkpoints import Position
from evomerge.checkpoints.diagnosis import Diagnosis, Kinship, Moments, Survey
from evomerge.recipe.where import Role
from evomerge.report import style
from evomerge.report.diagnosis.drawing import Drawing
from evomerge.report.diagnosis.modelmap import Block, ModelMap

CAPTION = (
    "One map for each pair of experts. Left: the cosine of their changes; blue parts learnt something in common, red "
    "parts pull apart, white parts have nothing to do with each other. Right: the share of opposite signs among the "
    "entries that both moved; 50 % is what chance gives. Where changes conflict, averaging cancels them, and sign "
    "votes and weights per group pay off most. Norm weights are left out: they are too few to say much."
)
_ROW_IN = 0.24
_MOST_PAIRS = 6
"""More pairs are shown by layer only, roles taken together."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One side of the figure.

    Attributes:
        name: For the colour bar.
        of: Takes it from a kinship.
        neutral: What experts without anything in common have; it is drawn white.
        least_span: Half the range of colours at least, so that noise stays pale.
        colors: From the lowest to the highest.
        numbers: Their format.
        coarse: The same where there is little room.
    """

    name: str
    of: Callable[[Kinship], float | None]
    neutral: float
    least_span: float
    colors: str
    numbers: str
    coarse: str


COSINE = Quantity("cosine of the changes", lambda kin: kin.cosine, 0.0, 0.1, "RdBu", "z.2f", "z.2f")
CONFLICT = Quantity("share of opposite signs", lambda kin: kin.conflict, 0.5, 0.05, "RdBu_r", ".1%", ".0%")


def kinship(diagnosis: Diagnosis) -> Drawing | None:
    """Cosines and sign conflicts by layer and role; None for a single expert."""
    survey = diagnosis.survey
    if not survey.pairs:
        return None
    parts = _parts(survey)
    layout = ModelMap.of(parts)
    title = _title(survey)
    height_in = 0.95 + _ROW_IN * layout.block_height * len(survey.pairs)
    return Drawing("kinship", title, CAPTION, height_in, lambda figure: _draw(figure, layout, survey, parts))


def _parts(survey: Survey) -> dict[Position, Moments]:
    """Without norms; of many pairs, without distinction of roles."""
    parts = {part: moments for part, moments in survey.parts.items() if part.role != "norm"}
    if len(survey.pairs) <= _MOST_PAIRS:
        return parts
    joined: dict[Position, Moments] = {}
    for part, moments in parts.items():
        role: Role = part.role if part.layer is None else "other"
        place = Position(part.layer, role)
        joined[place] = joined[place] + moments if place in joined else moments
    return joined


def _title(survey: Survey) -> str:
    whole = survey.whole
    kin = {pair: whole.kinship(*pair) for pair in survey.pairs}
    names = {pair: f"{survey.experts[pair[0]]} and {survey.experts[pair[1]]}" for pair in kin}
    known = {pair: found.cosine for pair, found in kin.items() if found.cosine is not None}
    if not known:
        return "The experts' changes have nothing to compare"
    closest = max(known, key=lambda pair: known[pair])
    if len(kin) == 1:
        return f"The changes of {names[closest]} have a cosine of {known[closest]:.2f}"
    return f"{names[closest]} have the most in common: a cosine of {known[closest]:.2f} over the whole model"


def _draw(figure: Figure, layout: ModelMap, survey: Survey, parts: dict[Position, Moments]) -> None:
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(figure, left, layout, survey, parts, COSINE)
    _panel(figure, right, layout, survey, parts, CONFLICT)
    right.tick_params(labelleft=False)


def _panel(
    figure: Figure, axes: Axes, layout: ModelMap, survey: Survey, parts: dict[Position, Moments], quantity: Quantity
) -> None:
    blocks = [
        Block(
            f"{style.clipped(survey.experts[one], 20)} – {style.clipped(survey.experts[other], 20)}",
            {part: quantity.of(moments.kinship(one, other)) for part, moments in parts.items()},
        )
        for one, other in survey.pairs
    ]
    shown = [value for block in blocks for value in block.values.values() if value is not None]
    span = max([abs(value - quantity.neutral) for value in shown], default=0.0)
    scale = CenteredNorm(quantity.neutral, max(span, quantity.least_span))
    colored = layout.draw(axes, blocks, (colormaps[quantity.colors], scale), quantity.numbers)
    words = FuncFormatter(lambda value, _: format(value, quantity.coarse))
    bar = figure.colorbar(colored, ax=axes, location="top", fraction=0.03, pad=0.03, aspect=40, format=words)
    bar.set_label(quantity.name)
    bar.outline.set_visible(False)
