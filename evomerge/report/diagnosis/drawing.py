"""A drawing: a figure with its words, before it has a format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from evomerge.report import style


@dataclass(frozen=True, slots=True)
class Drawing:
    """One figure.

    Attributes:
        name: Unique among its fellows.
        title: What it shows or what was found.
        caption: How to read it, in plain words.
        height_in: Inches.
        draw: Fills the empty figure.
    """

    name: str
    title: str
    caption: str
    height_in: float
    draw: Callable[[Figure], None]

    @property
    def svg(self) -> str:
        """For a page, which has the title and the caption."""
        return style.render(self.name, self.height_in, self.draw)

    @property
    def png(self) -> bytes:
        """For a file; the title is in it."""
        return style.render_png(self.title, self.height_in, self.draw)
