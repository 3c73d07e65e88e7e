"""The clock: wall time above an axis that counts candidates."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from evomerge.report import style
from evomerge.report.summary import duration
from evomerge.runs.results import Results

_ROUND_S = np.array([1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400])
_MOST_TICKS = 6


def show_time(axes: Axes, results: Results) -> None:
    """Add an upper axis that says by when so many candidates were told, in time since the run began."""
    told_s = np.maximum.accumulate([one.told_s for one in results.candidates if one.losses])
    step_s = next((step for step in _ROUND_S if told_s[-1] / step <= _MOST_TICKS), _ROUND_S[-1])
    # how many were told by then; the last time of several with as many
    ticks = {int((told_s <= time_s).sum()): float(time_s) for time_s in np.arange(step_s, told_s[-1], step_s)}
    ticks.pop(0, None)
    if not ticks:
        return
    upper = axes.secondary_xaxis("top")
    upper.set_xticks(list(ticks), [duration(time_s) for time_s in ticks.values()])
    upper.tick_params(labelsize=8, length=2, colors=style.MUTED)
    upper.spines["top"].set_visible(False)
