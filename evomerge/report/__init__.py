"""Reports: a run's fronts, figures and tables, on the terminal and as one page."""

from evomerge.report.html import write_report
from evomerge.report.tables import finalists_table

__all__ = ["finalists_table", "write_report"]
