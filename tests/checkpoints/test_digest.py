"""Digests of checkpoints: what they depend on, and what is remembered."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import Checkpoint, digest_of

Make = Callable[..., Path]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "evomerge" / "digests.json"


def digest(folder: Path) -> str:
    return digest_of(Checkpoint(folder))


@pytest.mark.usefixtures("cache")
def test_it_depends_on_contents_and_not_on_the_place(make: Make) -> None:
    assert digest(make("a")) == digest(make("b"))
    assert digest(make("c")).startswith("sha256:")
    assert digest(make("d", shards=2)) != digest(make("e", shards=3))


@pytest.mark.usefixtures("cache")
def test_it_notices_other_weights_and_another_config(make: Make) -> None:
    first = digest(make("a", tensors={"w": torch.ones(3)}))
    assert digest(make("b", tensors={"w": torch.ones(3) * 2})) != first
    assert digest(make("c", tensors={"w": torch.ones(3)}, config={"n_layer": 9})) != first
    assert digest(make("d", tensors={"v": torch.ones(3)})) != first


@pytest.mark.usefixtures("cache")
def test_it_notices_a_change_that_hides_behind_old_times(make: Make) -> None:
    folder = make(tensors={"w": torch.ones(3)})
    file = folder / "model.safetensors"
    before, times = digest(folder), file.stat()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digest(folder) != before


def test_it_is_remembered(make: Make, cache: Path) -> None:
    folder = make()
    first = digest(folder)
    known = json.loads(cache.read_text(encoding="utf-8"))
    assert len(known) == 2
    cache.write_text(json.dumps(dict.fromkeys(known, "0" * 64)), encoding="utf-8")
    assert digest(folder) != first, "the file was hashed again although its digest was known"
    cache.unlink()
    assert digest(folder) == first


def test_what_is_remembered_of_other_models_is_kept(make: Make, cache: Path) -> None:
    digest(make("a"))
    digest(make("b"))
    assert len(json.loads(cache.read_text(encoding="utf-8"))) == 4


@pytest.mark.parametrize("text", ["", "[1]", '{"x": 3}', "{"])
def test_a_damaged_memory_is_passed_over(make: Make, cache: Path, text: str) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text(text, encoding="utf-8")
    first = digest(make("a"))
    assert digest(make("b")) == first


def test_a_home_that_cannot_be_written_only_costs_time(make: Make, cache: Path) -> None:
    cache.parent.parent.write_text("in the way", encoding="utf-8")
    assert digest(make("a")) == digest(make("b"))


def test_without_xdg_the_cache_lies_in_the_home_folder(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    digest(make())
    assert (tmp_path / ".cache" / "evomerge" / "digests.json").is_file()
