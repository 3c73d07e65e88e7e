"""The experiment on digits, cut down to a few evaluations."""

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def digits():
    """The script as a module, leaving no compiled file in a folder that ships whole."""
    spec = importlib.util.spec_from_file_location("digits", TOP / "experiments" / "digits.py")
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.modules["digits"] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.dont_write_bytecode = before
        del sys.modules["digits"]


@pytest.fixture(scope="module")
def images(digits):
    return digits.load_images()


def test_the_images_and_the_networks_are_the_published_ones(digits, images):
    training, testing = images
    assert (len(training.digits_I), len(testing.digits_I)) == (1437, 360)
    assert training.pixels_IP[:, :64].max() == 16
    assert digits.random_models(2, 256, 0).shape == (2, 19_210)
    assert digits.random_models(2, 16, 0).shape == (2, 1_210)


def test_scores_are_those_of_a_network_written_out(digits, images):
    vector = digits.random_models(1, 16, 0)[0]
    hidden, head = torch.nn.Linear(64, 16), torch.nn.Linear(16, 10)
    ends = np.cumsum([64 * 16, 16, 16 * 10])
    with torch.no_grad():
        for parameter, values in zip((*hidden.parameters(), *head.parameters()), np.split(vector, ends), strict=True):
            parameter.copy_(torch.tensor(values.reshape(parameter.shape[::-1]).T))
        pixels = torch.tensor(images[1].pixels_IP[:, :64])
        expected = head(hidden(pixels).relu()).argmax(1).numpy() == images[1].digits_I
    np.testing.assert_array_equal(digits.score(vector[None], images[1])[0], expected)


def test_trained_pairs_know_their_own_digits(digits, images):
    training = images[0]
    right = digits.score(digits.trained_pair(256, 0, training), training)
    small = training.digits_I < 5
    assert right[0, small].mean() > 0.9
    assert right[1, ~small].mean() > 0.9
    assert not right[0, ~small].any()
    assert not right[1, small].any()


def test_every_variant_runs_and_is_reported(digits, images, tmp_path):
    curves = tmp_path / "curves.csv"
    for start in ("scratch", "pairs"):
        for variant in digits.SETTINGS:
            for seed in range(2):
                trial = digits.Trial(16, start, variant, seed, 40)
                digits.append(curves, list(digits.run(trial, *images, points=4)))
    points = digits.done_in(curves)
    assert len({point.seed for point in points}) == 2
    assert all(len([point for point in points if point.variant == name]) >= 8 for name in digits.SETTINGS)
    assert all(0 <= point.test <= 1 for point in points)
    assert math.isnan(next(point for point in points if point.variant == "map_elites").entropy)
    lines = list(digits.table(digits.grouped(points)[16, "scratch"]))
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == list(digits.SETTINGS)
    digits.draw(digits.grouped(points), tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").stat().st_size > 10_000
