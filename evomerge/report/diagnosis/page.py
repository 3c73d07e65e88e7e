"""The page of a diagnosis, and its figures as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evomerge import __version__
from evomerge.checkpoints.diagnosis import Diagnosis, thresholds
from evomerge.errors import EvomergeError
from evomerge.report import pages
from evomerge.report.diagnosis.drawing import Drawing
from evomerge.report.diagnosis.groups import groups
from evomerge.report.diagnosis.kinship import kinship
from evomerge.report.diagnosis.matrix import matrix
from evomerge.report.diagnosis.norms import norms
from evomerge.report.diagnosis.tables import breakdown, experts, pairs


def drawings(diagnosis: Diagnosis) -> list[Drawing]:
    """Every figure that the models allow, in reading order."""
    drawn = (figure(diagnosis) for figure in (norms, matrix, kinship, groups))
    return [drawing for drawing in drawn if drawing is not None]


def write_page(path: Path, diagnosis: Diagnosis) -> Path:
    """Write the diagnosis as one self-contained HTML file.

    Raises:
        EvomergeError: If it cannot be written.
    """
    survey = diagnosis.survey
    told = {
        "version": __version__,
        "base": survey.base,
        "experts": survey.experts,
        "num_entries": survey.whole.num_entries,
        "findings": diagnosis.findings,
        "sheets": [sheet for sheet in (experts(survey), pairs(survey)) if sheet],
        "details": [breakdown(survey, "role"), breakdown(survey, "part")],
        "drawings": drawings(diagnosis),
        "grouping": diagnosis.grouping,
        "thresholds": thresholds(),
    }
    pages.write(path, pages.fill("diagnosis.html", told))
    return path


def write_figures(folder: Path, diagnosis: Diagnosis) -> Iterator[Path]:
    """Write every figure as PNG; the folder is made if it is missing.

    Raises:
        EvomergeError: If one cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvomergeError(f"{folder} cannot be made: {error.strerror}.") from error
    for drawing in drawings(diagnosis):
        path = folder / f"{drawing.name}.png"
        pages.write(path, drawing.png)
        yield path
