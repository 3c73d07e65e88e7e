"""Data to measure on, and a cache of its own for every test."""

from pathlib import Path

import pytest

from evomerge.recipe.calibration import Calibration

TEXTS = ["w3 w4 w5 w6 w7 w8 w9", "w10 w3 w11", "w12 w13 w14 w15 w3 w3 w20 w21", "w30 w31 w5 w5", "w9 w8 w1"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where statistics are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "evomerge" / "statistics"


@pytest.fixture
def data(tmp_path: Path) -> Calibration:
    """Five texts."""
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(TEXTS) + "\n\n")
    return Calibration(data=str(file))
