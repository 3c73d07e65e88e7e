"""SVG that can stand in a page: the same every time, harmless, and alone."""

import re
import warnings
import xml.etree.ElementTree as ET

import matplotlib
import pytest
from matplotlib.figure import Figure

from evomerge.report import style

HOSTILE = ["<script>alert(1)</script>", "$\\frac{1}$ & $", '"><img src=x>', "]]>", "_underscore", "日本語"]


def _draw(figure: Figure) -> None:
    axes = figure.subplots()
    for index, name in enumerate(HOSTILE):
        axes.text(0.1, index / 10, name)
    axes.plot([0, 1], [0, 1], marker="o")
    axes.set_xlim(0.2, 0.8)


def test_drawing_twice_gives_the_same_text_whatever_the_users_settings() -> None:
    first = style.render("name", 2, _draw)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": None}):
        assert style.render("name", 2, _draw) == first
        assert matplotlib.rcParams["font.size"] == 30, "the caller's settings are put back"
    assert "<dc:date>" not in first
    assert "<metadata" not in first


def test_names_are_text_and_nothing_else() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        root = ET.fromstring(style.render("name", 2, _draw))
    texts = [element.text for element in root.iter() if element.tag.endswith("}text")]
    assert set(HOSTILE) <= set(texts)
    assert not [element.tag for element in root.iter() if element.tag.endswith(("}script", "}img", "}image"))]


def test_identifiers_are_the_figures_own_and_links_stay_inside() -> None:
    svg = style.render("own", 2, _draw)
    identifiers = set(re.findall(r'\bid="([^"]*)"', svg))
    targets = set(re.findall(r'href="#([^"]*)"', svg)) | set(re.findall(r"url\(#([^)]*)\)", svg))
    assert identifiers
    assert all(identifier.startswith("own-") for identifier in identifiers)
    assert targets
    assert targets <= identifiers
    assert identifiers.isdisjoint(re.findall(r'\bid="([^"]*)"', style.render("other", 2, _draw)))


def test_the_page_decides_on_the_size() -> None:
    root = ET.fromstring(style.render("name", 2, _draw))
    assert root.get("width") is None
    assert root.get("viewBox") == f"0 0 {style.WIDTH_IN * 72:.1f} 144"


@pytest.mark.parametrize(
    ("name", "shown"), [("candidate 17", "17"), ("math", "math"), ("a" * 30, "a" * 21 + "…"), ("b" * 22, "b" * 22)]
)
def test_names_are_shortened_to_fit(name: str, shown: str) -> None:
    assert style.short(name) == shown
