"""The norms: how far each expert moved from the base, everywhere in the model."""

from __future__ import annotations

from matplotlib import colormaps
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from evomerge.checkpoints import Position
from evomerge.checkpoints.diagnosis import Diagnosis
from evomerge.checkpoints.diagnosis.findings import FOREIGN_NORM
from evomerge.report import style
from evomerge.report.diagnosis.drawing import Drawing
from evomerge.report.diagnosis.modelmap import Block, ModelMap

CAPTION = (
    "One map for each expert: a column for each layer, from the first to the last; a row for what the tensors do; at "
    "the ends what lies outside the layers. The darker, the further the expert moved there from the base, relative to "
    "the base's own weights and on a logarithmic scale. Grey did not move at all. An orange frame marks parts that no "
    "entrywise merge should mix: the expert moved by more than the base's own weights, or holds them in another gauge."
)
_ROW_IN = 0.24
_RANGE = 1e-4
"""Smallest share of the largest value that is still told apart."""

_PALE = 0.15
"""Part of the colours, from white, that is left for what did not move at all."""


def norms(diagnosis: Diagnosis) -> Drawing:
    """Relative norms of the task vectors by layer and role."""
    survey, whole = diagnosis.survey, diagnosis.survey.whole
    layout = ModelMap.of(survey.parts)
    blocks = [_block(diagnosis, index) for index in range(len(survey.experts))]
    moved = ", ".join(
        f"{name} {whole.change(index).relative_norm or 0:.1%}" for index, name in enumerate(survey.experts[:4])
    )
    more = ", …" if len(survey.experts) > 4 else ""
    title = f"How far the experts moved from {survey.base}: {moved}{more}"
    height_in = 0.9 + _ROW_IN * layout.block_height * len(blocks)
    return Drawing("norms", title, CAPTION, height_in, lambda figure: _draw(figure, layout, blocks))


def _block(diagnosis: Diagnosis, index: int) -> Block:
    survey = diagnosis.survey
    name = survey.experts[index]
    values = {part: moments.change(index).relative_norm or None for part, moments in survey.parts.items()}
    marked: set[Position] = {part for part, value in values.items() if value is not None and value > FOREIGN_NORM}
    marked |= {gauge.part for gauge in diagnosis.regauged if gauge.expert == name}
    return Block(style.clipped(name, 60), values, marked)


def _draw(figure: Figure, layout: ModelMap, blocks: list[Block]) -> None:
    shown = [value for block in blocks for value in block.values.values() if value]
    largest = max(shown, default=1.0)
    smallest = max(min(shown, default=largest), _RANGE * largest)
    palest = smallest * (smallest / largest) ** _PALE
    scale = LogNorm(palest, max(largest, 1.01 * palest), clip=True)
    axes = figure.subplots()
    colored = layout.draw(axes, blocks, (colormaps["Blues"], scale), ".1%")
    steps, words = LogLocator(10, (1, 2, 5)), FuncFormatter(lambda value, _: f"{100 * value:.3g}%")
    bar = figure.colorbar(colored, ax=axes, fraction=0.03, pad=0.015, aspect=30, ticks=steps, format=words)
    bar.minorticks_off()
    bar.set_label("norm of the changes (base: 100%)")
    bar.outline.set_visible(False)
