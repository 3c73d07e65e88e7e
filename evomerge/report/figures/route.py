"""The route of the chosen merge: which layer of which source stands where, and how loud it is."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evomerge.recipe.route import Hop, depth_of, hops_of
from evomerge.report import style
from evomerge.report.figures.picture import Picture
from evomerge.report.verdict import chosen
from evomerge.runs.results import Results

CAPTION = (
    "Each point is a layer of the merge, from the embeddings on the left to the head on the right: which layer of "
    "which blend or model it is. A line that climbs step by step is layers in their usual order; one that falls goes "
    "back, and one that leaps leaves layers out."
)
READ = (
    " The recipe has factors on what layers read, too. Where they read through a norm, only layers with a negative one "
    "are not as they were."
)
WRITE = " Below stands the factor on what each layer adds to the residual stream."


def route(results: Results) -> Picture | None:
    """The chosen merge's layers; None where they are one blend's own in their order, or nothing was chosen."""
    best = chosen(results)
    if best is None or (segments := best.recipe.canonical.route) is None:
        return None
    hops = hops_of(segments, {part.source: depth_of(best.recipe.canonical, part.source) or 1 for part in segments})
    is_scaled = any(hop.write != 1 for hop in hops)
    svg = style.render("route", 3.2 if is_scaled else 2.4, lambda figure: _draw(figure, hops, is_scaled=is_scaled))
    title = f"The {len(hops)} layers of the chosen merge, {best.name}"
    later = (WRITE if is_scaled else "") + (READ if any(hop.read != 1 for hop in hops) else "")
    return Picture("route", title, svg, CAPTION + later)


def _draw(figure: Figure, hops: Sequence[Hop], *, is_scaled: bool) -> None:
    above, *below = figure.subplots(
        2 if is_scaled else 1, 1, sharex=True, squeeze=False, height_ratios=[2.2, 1] if is_scaled else [1]
    )[:, 0]
    above.plot(range(len(hops)), [hop.layer for hop in hops], color=style.FAINT, linewidth=1.5, zorder=1)
    markers = "osD^vP*X"
    for index, source in enumerate(dict.fromkeys(hop.source for hop in hops)):
        places = [place for place, hop in enumerate(hops) if hop.source == source]
        color, marker = style.SERIES[index % len(style.SERIES)], markers[index % len(markers)]
        layers = [hops[place].layer for place in places]
        above.scatter(places, layers, s=42, color=color, marker=marker, label=style.clipped(source, 22), zorder=2)
        for axes in below:
            writes = [hops[place].write for place in places]
            axes.vlines(places, 1.0, writes, color=color, linewidth=3)
    above.set_ylabel("layer of its source")
    above.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    for axes in below:
        if min(hop.write for hop in hops) > 0:
            axes.set_yscale("log", base=2)
        axes.axhline(1.0, color=style.MUTED, linewidth=0.8)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_ylabel("factor")
    last = below[-1] if below else above
    last.set_xlabel("place in the merge")
    for axis in (above.yaxis, last.xaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
