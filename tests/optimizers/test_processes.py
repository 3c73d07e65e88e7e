"""A run does not depend on the process: not on the hash seed, and not on what was imported or drawn before."""

import os
import subprocess
import sys

import pytest

CODE = """
import hashlib, random, sys
import numpy as np
from evomerge.optimizers.base import Scored
from evomerge.optimizers.registry import OPTIMIZERS, make_optimizer
from evomerge.testing.optimizers import MIXED_GENES, REAL_GENES, Loop

random.seed(int(sys.argv[1])); np.random.seed(int(sys.argv[1]))
for name, entry in OPTIMIZERS.items():
    genes = REAL_GENES if entry.genes == "real" else MIXED_GENES
    optimizer = make_optimizer({"name": name}, genes, 1, 7, (), 100)
    genomes = Loop(optimizer, lambda genome: Scored((float(genome[0]),))).run(budget=100, workers=1)
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
    assert len(outputs[0].splitlines()) == 6
