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


def test_every_variant_runs_is_reported_and_is_not_repeated(digits, images, tmp_path, monkeypatch, capsys):
    pair = tmp_path / "pair.npy"
    np.save(pair, digits.random_models(2, 16, 5))
    trials = [
        digits.Trial(16, start, variant, 0, 20)
        for start in ("scratch", "pairs", "given_pair")
        for variant in digits.SETTINGS
    ]
    monkeypatch.setattr(digits, "plan", lambda quick: trials)
    monkeypatch.setattr(sys, "argv", ["digits.py", "--out", str(tmp_path)])
    digits.main()
    points = digits.done_in(tmp_path / "curves.csv")
    assert {point.start for point in points} == {"scratch", "pairs"}
    assert {point.variant for point in points} == set(digits.SETTINGS)
    assert all(0 <= point.test <= 1 for point in points)
    assert all(math.isnan(point.entropy) == (point.variant in ("map_elites", "sep_cma")) for point in points)
    monkeypatch.setattr(sys, "argv", ["digits.py", "--out", str(tmp_path), "--pair", str(pair)])
    digits.main()
    both = digits.done_in(tmp_path / "curves.csv")
    assert [point for point in both if point.start == "given_pair"] == both[len(points) :]
    lines = (tmp_path / "tables.md").read_text().splitlines()
    assert lines.count("### scratch, 16 hidden units") == 1
    assert len(lines) == 3 * (5 + len(digits.SETTINGS)) - 1
    assert capsys.readouterr().out.endswith(lines[-1] + "\n\n")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_what_m2n2_is_ahead_by_is_paired(digits):
    def end(variant, seed, test):
        return digits.Point(16, "scratch", variant, seed, 10, test, test, 1.0, 1.0, 1.0)

    tests = {"m2n2": [0.5, 0.6, 0.7, 0.1], "ga": [0.4, 0.5, 0.5]}
    points = [end(variant, seed, test) for variant, values in tests.items() for seed, test in enumerate(values)]
    row = list(digits.table(digits.grouped(points)[16, "scratch"]))[-1]
    assert "| ga | 3 | 46.7 ± 3.3 | 45.0 to 50.0 |" in row
    assert "| 13.3 ± 3.3 | 4.0 |" in row
