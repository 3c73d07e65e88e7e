"""What an evaluation of evolution on parameter vectors costs, in CPU time, and what scoring many vectors at once saves.

Networks of 64 pixels and 10 digits are scored on 1,437 images: as a module of torch that takes one network's parameters
after the other; as experiments/digits.py scores them, one product after the other; and twenty at once, as one product
of the images with all first layers. Below that, the whole loop: parents, crossover, mutation, scoring, archive.

    OMP_NUM_THREADS=1 python benchmarks/dense.py

OpenBLAS does not know every processor; where it takes one with AVX-512 for a Haswell, OPENBLAS_CORETYPE=SkylakeX helps.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import measure
import numpy as np
import torch

sys.dont_write_bytecode = True  # the folder of the experiments is shipped whole
sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))
import digits  # noqa: E402

BATCH, ROUNDS, EVALUATIONS, BLOCK = 20, 5, 1000, 240


def cpu_us(call: Callable[[], object], times: int) -> float:
    """The least CPU time of one call over some rounds, for others may use the machine's caches meanwhile."""
    rounds = []
    for _ in range(ROUNDS):
        began_s = time.process_time()
        for _ in range(times):
            call()
        rounds.append((time.process_time() - began_s) / times)
    return 1e6 * min(rounds)


def by_module(batch_BD: np.ndarray, images: digits.Images) -> None:
    vectors, pixels_IP, digits_I = torch.from_numpy(batch_BD), *map(torch.tensor, images)
    hidden = (batch_BD.shape[1] - 10) // 75
    network = torch.nn.Sequential(torch.nn.Linear(65, hidden, bias=False), torch.nn.ReLU(), torch.nn.Linear(hidden, 10))
    with torch.no_grad():
        for vector_D in vectors:
            first, second, biases = vector_D.split([65 * hidden, 10 * hidden, 10])
            state = {"0.weight": first.view(65, hidden).T, "2.weight": second.view(hidden, 10).T, "2.bias": biases}
            network.load_state_dict(state)
            network(pixels_IP).argmax(1) == digits_I  # noqa: B015


def at_once(batch_BD: np.ndarray, images: digits.Images) -> None:
    """Blocks of images, so that what all networks make of them stays in the cache."""
    count, hidden = len(batch_BD), (batch_BD.shape[1] - 10) // 75
    first_PBH = batch_BD[:, : 65 * hidden].reshape(count, 65, hidden).transpose(1, 0, 2).reshape(65, count * hidden)
    second_BHK = batch_BD[:, 65 * hidden : -10].reshape(count, hidden, 10)
    logits_BIK = np.empty((count, len(images.digits_I), 10), np.float32)
    for start in range(0, len(images.digits_I), BLOCK):
        hidden_IBH = images.pixels_IP[start : start + BLOCK] @ first_PBH
        np.maximum(hidden_IBH, 0, out=hidden_IBH)
        of_networks_BIH = hidden_IBH.reshape(-1, count, hidden).transpose(1, 0, 2)
        np.matmul(of_networks_BIH, second_BHK, out=logits_BIK[:, start : start + BLOCK])
    (logits_BIK + batch_BD[:, None, -10:]).argmax(axis=2) == images.digits_I  # noqa: B015


def loop_us(hidden: int, start: str, variant: str, training: digits.Images, testing: digits.Images) -> float:
    trial = digits.Trial(hidden, start, variant, 0, EVALUATIONS)
    return cpu_us(lambda: list(digits.run(trial, training, testing, points=1)), 1) / EVALUATIONS


def main() -> None:
    torch.set_num_threads(1)
    training, testing = digits.load_images()
    print(measure.heading("Evolution on parameter vectors: CPU time of an evaluation", ["torch", "numpy", "cmaes"]))
    rows = []
    for hidden in (16, 256):
        batch_BD = digits.random_models(BATCH, hidden, 0)
        ways = (by_module, digits.score, at_once)
        times_us = [cpu_us(partial(way, batch_BD, training), 200 // hidden + 2) / BATCH for way in ways]
        rows.append([hidden, batch_BD.shape[1], *times_us, times_us[0] / times_us[1], times_us[1] / times_us[2]])
    head = ["hidden", "parameters", "module, µs", "one by one, µs", f"{BATCH} at once, µs"]
    print(measure.table([*head, "module / one by one", "one by one / at once"], rows))
    loops = [
        [hidden, start, variant, loop_us(hidden, start, variant, training, testing)]
        for hidden in (16, 256)
        for start, variant in (("scratch", "m2n2"), ("scratch", "sep_cma"), ("pairs", "m2n2"), ("pairs", "map_elites"))
    ]
    print(measure.table(["hidden", "start", "variant", "whole loop, µs per evaluation"], loops))


if __name__ == "__main__":
    main()
