"""`evomerge zoo build`: small real models to try everything on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import TaskID

from evomerge.checkpoints.zoo import FULL, MICRO, Progress, build_zoo
from evomerge.cli import parser

_PLANS = {"full": FULL, "micro": MICRO}


def run(argv: Sequence[str]) -> int:
    """Build a zoo, or finish one."""
    arguments = parser("zoo")
    build = arguments.add_subparsers(required=True, metavar="build").add_parser("build", help="train the models")
    build.add_argument("folder", type=Path, help="where; made if missing")
    build.add_argument("--seed", type=int, default=0, help="another seed gives other models")
    build.add_argument("--plan", choices=_PLANS, default="full", help="micro takes seconds and gives poor models")
    given = arguments.parse_args(argv)
    plan = dataclasses.replace(_PLANS[given.plan], seed=given.seed)
    with Bars(console=Console(), transient=False) as bars:
        build_zoo(given.folder, plan, _Reporter(bars))
    print(f"{given.folder} holds the models {', '.join(('base', *plan.experts))} and their tasks.")
    return 0


class _Reporter:
    """One bar per model on a terminal; a line per model elsewhere."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._rows: dict[str, TaskID] = {}

    def __call__(self, progress: Progress) -> None:
        if progress.model not in self._rows:
            self._rows[progress.model] = self._bars.add_task(progress.model, total=progress.num_steps)
        text = f"{progress.model}: loss {progress.loss:.3f}"
        self._bars.update(self._rows[progress.model], completed=progress.step, description=text)
        if progress.step == progress.num_steps and not self._bars.console.is_terminal:
            self._bars.console.print(f"{text} after {progress.num_steps} steps, {progress.seconds:.0f} s")
