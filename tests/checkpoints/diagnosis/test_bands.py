"""Bands: the best cut of the layers, and what a person pastes."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evomerge.checkpoints import Checkpoint
from evomerge.checkpoints.diagnosis import diagnose
from evomerge.checkpoints.diagnosis.bands import FLAT, WORTH, cut, suggest
from evomerge.checkpoints.diagnosis.survey import survey
from evomerge.spaces.file import Groups

Save = Callable[..., dict[str, Checkpoint]]


def cuts(count: int) -> Iterator[list[int]]:
    """Every way to cut layers into contiguous bands."""
    for inner in itertools.product([False, True], repeat=count - 1):
        yield [index + 1 for index, ends in enumerate(inner) if ends] + [count]


def price(profile: np.ndarray, ends: list[int]) -> float:
    bands = np.split(profile, ends[:-1])
    inside = sum(((band - band.mean(axis=0)) ** 2).sum() for band in bands)
    return float(inside / ((profile - profile.mean(axis=0)) ** 2).sum() + WORTH * len(bands))


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=1, max_size=8))
def test_no_other_cut_is_better(layers: list[tuple[int, int]]) -> None:
    profile = np.array(layers, dtype=float)
    found = cut(profile)
    if np.ptp(profile, axis=0).max() <= FLAT:
        assert found == [len(layers)]
    else:
        assert price(profile, found) == pytest.approx(min(price(profile, ends) for ends in cuts(len(layers))))


def test_a_step_is_cut_where_it_is_and_a_ramp_into_three() -> None:
    step = np.repeat([[0.0], [1.0], [0.2]], [5, 3, 4], axis=0)
    assert cut(step) == [5, 8, 12]
    assert cut(np.arange(12.0)[:, None]) == [4, 8, 12]
    assert cut(step * FLAT / 10) == [12]


def test_layers_that_moved_alike_make_a_band_that_a_space_takes(save: Save, toy: Any) -> None:
    base = toy.model(0)
    math, ja = (
        {name: base[name] + (0.2 if ".0." in name else 0.02) * torch.randn(
            base[name].shape, generator=torch.Generator().manual_seed(seed)) for seed, name in enumerate(base, start)}
        for start in (1, 100)
    )  # fmt: skip
    grouping = diagnose(save(base=base, math=math, ja=ja)).grouping
    assert grouping is not None
    assert grouping.bands == ((0, 0), (1, 2))
    assert grouping.roles == ()
    assert grouping.explained > 0.9
    groups = Groups.model_validate(yaml.safe_load(grouping.yaml)["groups"])
    assert groups.bands == grouping.bands


def test_roles_that_differ_get_genes_of_their_own(save: Save, toy: Any) -> None:
    base = toy.model(0)
    loud = toy.tuned(base, 1, by=0.4)
    math = toy.tuned(base, 2) | {name: tensor for name, tensor in loud.items() if ".mlp." in name}
    grouping = suggest(survey(save(base=base, math=math)))
    assert grouping is not None
    assert grouping.yaml == "groups: {bands: [[0, 2]], roles: [attention, mlp]}"


def test_without_layers_there_is_nothing_to_cut(save: Save) -> None:
    models = {name: {"w.weight": torch.ones(2)} for name in "ab"}
    assert suggest(survey(save(**models))) is None
