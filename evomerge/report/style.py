"""The style of all figures, in one place: colours, type, and the way to a small SVG that is the same every time."""

from __future__ import annotations

import contextlib
import io
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with any kind of colour vision can tell apart; shapes and labels say the same.
CANDIDATE = "#9fb3c8"
FINALIST = "#0072b2"
REFERENCE = "#3f3f3f"
BEST = "#d55e00"
SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#3f3f3f")
INK = "#1f2328"
FAINT = "#d0d7de"
MUTED = "#57606a"

WIDTH_IN = 7.4
_TITLE_IN = 0.3
_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"

_RC = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "legend.fontsize": 8.5,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's own typeface
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "grid.color": "#eaeef2",
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
}


def render(name: str, height_in: float, draw: Callable[[Figure], None]) -> str:
    """Draw a figure as SVG that can stand inside an HTML page.

    Equal drawings give equal text. No date, no fonts, no links; identifiers are prefixed, so that several figures can
    share a page.

    Args:
        name: Of the figure, unique on its page.
        height_in: Height in inches; the width is the same for all.
        draw: Fills the empty figure.
    """
    raw = io.StringIO()
    with _drawn(name, height_in, draw) as figure:
        figure.savefig(raw, format="svg", metadata={"Date": None})
    return _inline(raw.getvalue(), name)


def render_png(title: str, height_in: float, draw: Callable[[Figure], None], dots_per_inch: int = 200) -> bytes:
    """Draw the same figure as a PNG file that stands alone, under its title."""
    raw = io.BytesIO()
    with _drawn(title, height_in + _TITLE_IN, draw) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
        figure.savefig(raw, format="png", dpi=dots_per_inch, metadata={"Software": None})
    return raw.getvalue()


@contextlib.contextmanager
def _drawn(name: str, height_in: float, draw: Callable[[Figure], None]) -> Iterator[Figure]:
    """A figure in our style, for as long as the style holds."""
    with matplotlib.style.context(["default", {**_RC, "svg.hashsalt": name}]), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing"
        )  # the reader's browser has more glyphs than we measure with
        figure = Figure(figsize=(WIDTH_IN, height_in))
        FigureCanvasAgg(figure)  # measures text
        draw(figure)
        yield figure


def settle(figure: Figure) -> None:
    """Fix the layout now, so that what is placed afterwards by measuring stays where it is put."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def short(name: str) -> str:
    """A name as it fits beside a point; candidates go by their number."""
    return clipped(name.removeprefix("candidate "), 22)


def clipped(text: str, most: int) -> str:
    """The text, or its beginning and an ellipsis where it has more than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def plain_axis(axes: Axes) -> None:
    """Take the grid and the frame away, where there are no two scales to read."""
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _inline(svg: str, name: str) -> str:
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _LINK)
    root = ET.fromstring(svg)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for size in ("width", "height"):
        root.attrib.pop(size)  # the page decides; the viewBox keeps the proportions
    for element in root.iter():
        for key, value in element.attrib.items():
            element.set(key, _prefixed(key, value, name))
    return ET.tostring(root, encoding="unicode")


def _prefixed(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == f"{{{_LINK}}}href":
        return value.replace("#", f"#{name}-", 1)
    return value.replace("url(#", f"url(#{name}-")
