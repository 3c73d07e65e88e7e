"""Members: what the archive of a run that bred recipes holds, and whether every member exports to what was scored.

`python benchmarks/members.py RUN` replays the log of a finished run, holds each member of the archive in the resident
model, exports it, and compares the exported tensors with those in memory bit by bit.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from measure import heading, table

from evomerge.checkpoints import Checkpoint
from evomerge.merging import Library, ResidentModel
from evomerge.merging.export import Provenance, export_model
from evomerge.optimizers.generational import Generational
from evomerge.optimizers.m2n2.breeder import Breeder
from evomerge.runs import RunLog
from evomerge.runs.replay import replay
from evomerge.runs.results import examiner_of
from evomerge.settings import load_settings
from evomerge.spaces.lineage import LineageSpace
from evomerge.study import assemble


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    run: Path = parser.parse_args().run
    torch.set_num_threads(1)
    study = assemble(load_settings(run))
    optimizer = study.optimizer()
    if not (isinstance(study.space, LineageSpace) and isinstance(optimizer, Generational)):
        raise SystemExit(f"{run} bred no members.")
    started = time.perf_counter()
    with RunLog.read(run) as log:
        replay(log, optimizer, examiner_of(log, study.fitness, study.settings.seed))
    replayed_s = time.perf_counter() - started
    engine = optimizer.engine
    assert isinstance(engine, Breeder)
    recipes = [study.space.decode(member) for member in engine.members]
    library = Library()
    resident = ResidentModel(recipes[0], library)
    differing, num_bytes, times = 0, 0, []
    for recipe in recipes:
        started = time.perf_counter()
        resident.hold(recipe)
        times.append(time.perf_counter() - started)
        with tempfile.TemporaryDirectory() as folder:
            exported = Checkpoint(export_model(recipe, library, Path(folder) / "out", Provenance("a benchmark")))
            held = resident.model.state_dict()
            differing += not all(torch.equal(exported.tensor(name), held[name]) for name in exported.names)
            num_bytes = sum(exported.tensor(name).nbytes for name in exported.names)
    rules = [len(recipe.canonical.blends["member"].rules) for recipe in recipes]
    rows = [
        ["members, all different", len({recipe.digest for recipe in recipes})],
        ["members whose export differs from the model in memory", differing],
        ["rules of a member, median and most", f"{statistics.median(rules):g} and {max(rules)}"],
        ["genomes of the archive as text, kB", len(json.dumps(list(engine.members))) / 1e3],
        ["weights of one member, kB", num_bytes / 1e3],
        ["weights of as many members, MB", num_bytes * len(recipes) / 1e6],
        ["replay of the log, s", replayed_s],
        ["a member into memory, median ms", 1e3 * statistics.median(times)],
    ]
    print(heading("Members of a lineage"), table(["what", "found"], rows), sep="\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
