"""`evomerge align`: a model in the coordinates of another one, before a merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from evomerge.checkpoints import Checkpoint
from evomerge.cli import parser
from evomerge.cli.bars import progress_bar
from evomerge.merging.alignment import (
    Alignment,
    Blocks,
    Gauge,
    Likeness,
    Part,
    align,
    check_alignable,
    likeness,
    specs_of,
    write_aligned,
)
from evomerge.merging.folder import check_room

_ALIKE = 0.5
"""Cosine below which parts are called unlike; those of fine-tunes lie near 1."""


def run(argv: Sequence[str]) -> int:
    """Align a model, unless it is aligned already."""
    arguments = parser("align", epilog="Comparing what both compute needs memory for one model in float32.")
    arguments.add_argument("reference", type=Path, help="the model whose coordinates are wanted, such as the base")
    arguments.add_argument("model", type=Path, help="the model to re-coordinate; what it computes stays the same")
    arguments.add_argument("destination", type=Path, help="a new folder")
    arguments.add_argument(
        "--gauge",
        choices=get_args(Gauge),
        default="rotation",
        help="rotate heads too, or only permute them (default: %(default)s)",
    )
    given = arguments.parse_args(argv)
    reference, model = Blocks(Checkpoint(given.reference)), Blocks(Checkpoint(given.model))
    check_alignable(reference, model)
    check_room(given.destination, sum(spec.num_bytes for spec in specs_of(model)))  # before what takes minutes
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("matching layers", total=None)
        alignment = align(
            reference, model, given.gauge, lambda done, total: bar.update(task, completed=done, total=total)
        )
    found = likeness(reference, model, alignment)
    _show(found, alignment)
    if unlike := [part for part, cosines in found.items() if cosines.after < _ALIKE]:
        print(f"Still unlike: {', '.join(unlike)}. What is left is no order or rotation of units. Models of other")
        print("ancestors differ in their residual streams too, which nothing inside a layer can mend.")
    if alignment.is_identity:
        print(f"{given.model} already lies in the best coordinates, as fine-tunes of one ancestor do. Nothing needs")
        print("doing and nothing was written.")
        return 0
    with progress_bar(str(given.destination)) as advance:
        check = write_aligned(model, alignment, given.destination, partial(advance, ""))
    print(f"Wrote {given.destination}. On {check.num_tokens} random tokens in float32 its logits differ from those of")
    print(f"{given.model} by {check.difference:.1e} of their standard deviation; {check.allowed:.0e} is allowed.")
    return 0


def _show(found: Mapping[Part, Likeness], alignment: Alignment) -> None:
    table = Table(title="cosine to the reference", title_justify="left", box=None, padding=(0, 3, 0, 1))
    for name in ("part", "before", "after"):
        table.add_column(name, justify="left" if name == "part" else "right")
    for part, cosines in found.items():
        table.add_row(part, f"{cosines.before:.4f}", f"{cosines.after:.4f}")
    Console().print(table)
    moved = ", ".join(f"{count} {kind}" for kind, count in alignment.moved.items() if count)
    print(f"Moved: {moved or 'nothing'}.")
