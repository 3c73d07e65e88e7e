"""A diagnosis as tables, figures and a page."""

from evomerge.report.diagnosis.page import drawings, write_figures, write_page
from evomerge.report.diagnosis.tables import LEVELS, Level, breakdown, experts, pairs

__all__ = ["LEVELS", "Level", "breakdown", "drawings", "experts", "pairs", "write_figures", "write_page"]
