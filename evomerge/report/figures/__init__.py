"""Figures: what a run found, each understandable on its own."""

from evomerge.report.figures.belief import belief
from evomerge.report.figures.convergence import convergence
from evomerge.report.figures.front import front
from evomerge.report.figures.gap import gap
from evomerge.report.figures.niches import niches
from evomerge.report.figures.parallel import parallel
from evomerge.report.figures.picture import Picture
from evomerge.report.figures.progress import progress
from evomerge.report.figures.ranking import ranking
from evomerge.report.figures.route import route
from evomerge.report.figures.weights import weights
from evomerge.runs.results import Results

__all__ = ["Picture", "pictures"]


def pictures(results: Results) -> list[Picture]:
    """Every figure that the results allow, in reading order."""
    drawn = (
        figure(results)
        for figure in (ranking, front, parallel, progress, convergence, gap, belief, niches, weights, route)
    )
    return [picture for picture in drawn if picture is not None]
