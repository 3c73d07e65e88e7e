"""Labels keep clear of one another and of what is drawn."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from evomerge.report.labels import Label, place, spread

heights = st.lists(st.floats(0, 1), max_size=12)


@given(heights, st.floats(0.001, 0.3))
def test_spread_heights_keep_their_order_and_distance(given_heights: list[float], gap: float) -> None:
    moved = spread(given_heights, gap, high=1.0)
    ordered = sorted(zip(given_heights, moved, strict=True))
    assert all(above - below >= gap - 1e-9 for below, above in itertools.pairwise(sorted(moved)))
    assert all(low[1] <= high[1] for low, high in itertools.pairwise(ordered) if low[0] < high[0])
    assert all(height <= 1 + 1e-9 for height in moved)


@given(heights)
def test_heights_that_are_far_enough_apart_stay(given_heights: list[float]) -> None:
    apart = [index + height / 2 for index, height in enumerate(given_heights)]
    assert spread(apart, 0.5, high=100.0) == pytest.approx(apart)


def _axes(points: list[tuple[float, float]]) -> Figure:
    figure = Figure(figsize=(7, 5))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    place(
        axes, [Label(f"model {i}", x, y, "black") for i, (x, y) in enumerate(points)], [(x, y, x, y) for x, y in points]
    )
    figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize(
    "points",
    [
        [(0.5, 0.5)] * 4,
        [(0.01, 0.01), (0.02, 0.02), (0.99, 0.99), (0.99, 0.01), (0.01, 0.99)],
        [(0.5 + 0.03 * index, 0.5) for index in range(5)],
    ],
)
def test_labels_cover_neither_points_nor_each_other(points: list[tuple[float, float]]) -> None:
    axes = _axes(points).axes[0]
    notes = [child for child in axes.get_children() if isinstance(child, Annotation)]
    boxes = [Text.get_window_extent(note) for note in notes]
    assert [note.get_text() for note in notes] == [f"model {index}" for index in range(len(points))]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    dots = axes.transData.transform(points)
    assert not any(box.contains(x, y) for box in boxes for x, y in dots)
    frame = axes.get_window_extent()
    assert all(frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1) for box in boxes)


def test_far_labels_are_joined_to_their_points() -> None:
    notes = [child for child in _axes([(0.5, 0.5)] * 12).axes[0].get_children() if isinstance(child, Annotation)]
    far = [max(map(abs, note.get_position())) > 11 for note in notes]
    assert far == [note.arrow_patch is not None for note in notes]
    assert any(far)
