"""Foresight: what a search will cost, what it can tell apart, and what would be better spent, before it begins."""

from evomerge.foresight.designs import Design, Prospect, designs_for
from evomerge.foresight.forecast import Forecast, forecast
from evomerge.foresight.measure import Measured, measure

__all__ = ["Design", "Forecast", "Measured", "Prospect", "designs_for", "forecast", "measure"]
