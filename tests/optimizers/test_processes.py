"""A run does not depend on the process: not on the hash seed, and not on what was imported or drawn before."""

import os
import subprocess
import sys

import pytest

from evomerge.optimizers.registry import OPTIMIZERS

CODE = """
import hashlib, importlib.util, random, sys
import numpy as np
from evomerge.optimizers.base import Scored
from evomerge.optimizers.registry import OPTIMIZERS, make_optimizer
from evomerge.testing.optimizers import MIXED_GENES, REAL_GENES, Loop

random.seed(int(sys.argv[1])); np.random.seed(int(sys.argv[1]))
for name, entry in OPTIMIZERS.items():
    if name == "gp" or entry.genes == "members" or (name == "tpe" and importlib.util.find_spec("optuna") is None):
        continue
    genes = REAL_GENES if entry.genes == "real" else MIXED_GENES
    losses = 2 if entry.objectives == "several" else 1
    optimizer = make_optimizer({"name": name}, genes, losses, 7, (), 100)
    judge = lambda genome: Scored((float(genome[0]), -float(genome[0]))[:losses])
    genomes = Loop(optimizer, judge).run(budget=100, workers=1)
    print(name, hashlib.sha256(repr(genomes).encode()).hexdigest())
"""


@pytest.mark.slow
def test_two_processes_make_the_same_run() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", CODE, seed],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    breeding = [name for name, entry in OPTIMIZERS.items() if entry.genes == "members"]
    assert len(outputs[0].splitlines()) >= len(OPTIMIZERS) - len(breeding) - 2  # those of the extra optuna
