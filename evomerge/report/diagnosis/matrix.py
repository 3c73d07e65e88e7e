"""The matrix: the kinship of all experts at a glance, over the whole models."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure

from evomerge.checkpoints.diagnosis import Diagnosis, Survey
from evomerge.report import style
from evomerge.report.diagnosis.drawing import Drawing
from evomerge.report.diagnosis.kinship import CONFLICT, COSINE, Quantity

CAPTION = (
    "Every two experts, over all their weights. Left: the cosine of their changes, which is their kinship; experts "
    "that are near relatives bring little news to a merge. Right: the share of opposite signs; 50 % is chance."
)
_ROW_IN, _FEWEST = 0.34, 3
_FINE, _MOST = 5, 10
"""Experts up to which there is room for exact numbers, and for numbers at all."""


def matrix(diagnosis: Diagnosis) -> Drawing | None:
    """Cosine and sign conflict of every two experts; None for fewer than three, where one number says it."""
    survey = diagnosis.survey
    count = len(survey.experts)
    if count < _FEWEST:
        return None
    title = f"How the changes of the {count} experts relate over the whole model"
    return Drawing("matrix", title, CAPTION, 1.1 + _ROW_IN * count, lambda figure: _draw(figure, survey))


def _draw(figure: Figure, survey: Survey) -> None:
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, quantity in ((left, COSINE), (right, CONFLICT)):
        _panel(axes, survey, quantity)
    right.tick_params(labelleft=False)


def _panel(axes: Axes, survey: Survey, quantity: Quantity) -> None:
    values_NN = _values(survey, quantity)
    span = float(np.nanmax(np.abs(values_NN - quantity.neutral), initial=quantity.least_span))
    colors, scale = colormaps[quantity.colors], CenteredNorm(quantity.neutral, span)
    style.plain_axis(axes)
    axes.pcolormesh(values_NN, cmap=colors, norm=scale, edgecolors="white", linewidth=1.5)
    numbers = quantity.numbers if len(values_NN) <= _FINE else quantity.coarse
    for (row, column), value in np.ndenumerate(values_NN):
        if not math.isnan(value) and len(values_NN) <= _MOST:
            is_dark = abs(value - quantity.neutral) > 0.6 * span
            axes.text(
                column + 0.5, row + 0.5, format(value, numbers), ha="center", va="center", fontsize=8,
                color="white" if is_dark else style.INK,
            )  # fmt: skip
    names = [style.clipped(name, 18) for name in survey.experts]
    places = np.arange(len(names)) + 0.5
    axes.set_yticks(places, names)
    axes.set_xticks(places, names, rotation=40, ha="right", rotation_mode="anchor")
    axes.tick_params(labelcolor=style.INK, labelsize=8.5)
    axes.set_ylim(len(names), 0)
    axes.set_title(quantity.name)


def _values(survey: Survey, quantity: Quantity) -> npt.NDArray[np.float64]:
    """The quantity of every two experts, nothing on the diagonal."""
    whole, count = survey.whole, len(survey.experts)
    values_NN = np.full((count, count), math.nan)
    for one, other in survey.pairs:
        value = quantity.of(whole.kinship(one, other))
        values_NN[one, other] = values_NN[other, one] = math.nan if value is None else value
    return values_NN
