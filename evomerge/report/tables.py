"""Tables: finalists and references with their scores, for the terminal and for the page."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from evomerge.fitness import Estimate, Fitness
from evomerge.fitness.constraints import total_violation
from evomerge.fitness.goals import Mean
from evomerge.fitness.items import SPLITS
from evomerge.report.standing import standing
from evomerge.report.verdict import chosen
from evomerge.report.yardstick import of_tasks
from evomerge.runs.results import Contender, Results


@dataclass(frozen=True, slots=True)
class Row:
    """One contender.

    Attributes:
        contender: Whose scores these are.
        tasks: Test score by task; None where it has none.
        others: Test value by objective that is no mean of tasks; None where it has none.
        excess: How far it breaks constraints on the test split in total, 0 where it holds them; None where there are
            none, or it has no test scores.
        means: Mean of all tasks by split; None where it has none.
        on_front: Whether no other finalist beats it on all objectives of the selection split.
        is_best: Whether it is the chosen merge.
        membership: Probability that it is on that front, the errors of the scores allowed for; None of references and
            of those without selection scores.
    """

    contender: Contender
    tasks: Mapping[str, Estimate | None]
    others: Mapping[str, Estimate | None]
    excess: float | None
    means: Mapping[str, Estimate | None]
    on_front: bool
    is_best: bool
    membership: float | None

    @property
    def mark(self) -> str:
        """A sign for what it is."""
        return "★" if self.is_best else "●" if self.on_front else ""

    @property
    def percent(self) -> str:
        """The probability of being on the front, in per cent."""
        return "" if self.membership is None else f"{100 * self.membership:.0f}"

    @property
    def holds(self) -> str:
        """Whether it holds all constraints on the test split, and how far it breaks them if not."""
        return "–" if self.excess is None else f"no: {self.excess:.3f}" if self.excess else "yes"


def rows(results: Results) -> list[Row]:
    """Finalists, then references, each from the best to the worst on the selection split."""
    on_front, front = standing(results).on_front, results.front()
    found: list[Row] = []
    for group in (results.finalists, results.references):
        for contender in sorted(group, key=lambda contender: _rank(results, contender)):
            found.append(_row(results, contender, front, on_front.get(contender.name)))
    return found


def finalists_table(results: Results) -> Table:
    """The table for the terminal; three tasks fit into 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, title=title(results), title_justify="left")
    table.caption, table.caption_justify = note(results), "left"
    table.add_column("%", justify="right")
    table.add_column("name", overflow="fold", min_width=min(24, max(map(len, results.contenders), default=4)))
    for heading in headings(results.fitness):
        table.add_column(Text(heading), justify="right", min_width=6)
    for split in SPLITS:
        table.add_column(Text(f"mean\n{split}"), justify="right", min_width=max(5, len(split)))
    for group in itertools.groupby(rows(results), key=lambda row: row.contender.kind):
        for row in group[1]:
            table.add_row(*_cells(row, bool(results.fitness.spec.constraints)))
        table.add_section()
    return table


def headings(fitness: Fitness) -> list[str]:
    """Of the columns with test scores: tasks, other objectives than means, and whether constraints hold."""
    objectives = fitness.objectives
    scores = {**objectives.directions, **dict.fromkeys(_other_objectives(fitness), False)}
    marked = [name if is_higher_better else f"{name} ↓" for name, is_higher_better in scores.items()]
    return [*marked, "holds"] if fitness.spec.constraints else marked


def _cells(row: Row, is_constrained: bool) -> Iterator[str | Text]:
    yield f"{row.mark}{row.percent:>3}"
    yield Text(row.contender.name, style="bold" if row.is_best else "")
    for estimate in (*row.tasks.values(), *row.others.values()):
        yield f"{estimate.value:.3f} ±{estimate.stderr:.3f}" if estimate else "–"
    if is_constrained:
        yield row.holds
    for estimate in row.means.values():
        yield f"{estimate.value:.3f}" if estimate else "–"


def title(results: Results) -> str:
    """What the table shows."""
    return "Finalists and references" if results.contenders else "No finalist has been scored yet"


def note(results: Results) -> str:
    """How to read the table."""
    return (
        f"Tasks: test scores ± one standard error. Means: {of_tasks(results.fitness).axis}, on each split. "
        "★ chosen: best mean of the objectives on the selection split, by which the rows are ordered; ● on its front. "
        f"%: probability {_odds(results)}, the errors of the selection scores allowed for."
        f"{' ↓ lower is better.' if any(name.endswith('↓') for name in headings(results.fitness)) else ''}"
        f"{_note_on_constraints(results.fitness)}"
    )


def _note_on_constraints(fitness: Fitness) -> str:
    if not fitness.spec.constraints:
        return ""
    all_of_them = "; ".join(constraint.text for constraint in fitness.spec.constraints)
    return f" Holds: {all_of_them}, on test items; whoever breaks them on the selection split ranks behind all others."


def _other_objectives(fitness: Fitness) -> list[str]:
    """Objectives that no column of a task shows."""
    return [name for name, part in fitness.objectives.parts.items() if not isinstance(part, Mean)]


def _odds(results: Results) -> str:
    """What the probability of a finalist is of."""
    return "of being on the front" if results.fitness.num_objectives > 1 else "of being the best finalist"


def _row(results: Results, contender: Contender, front: list[Contender], on_front: float | None) -> Row:
    yardstick = of_tasks(results.fitness)
    scored = {split: contender.estimates[split] for split in SPLITS if contender.complete(split)}
    values = results.values(contender, "test") if "test" in scored else {}
    broken = results.worth(contender, "test").violations if "test" in scored else ()
    return Row(
        contender,
        {label: scored.get("test", {}).get(label) for label in results.fitness.spec.tasks},
        {name: values.get(name) for name in _other_objectives(results.fitness)},
        total_violation(broken) if broken else None,
        {split: yardstick.mean(scored[split]) if split in scored else None for split in SPLITS},
        on_front=contender in front,
        is_best=contender is chosen(results),
        membership=on_front if contender.kind == "finalist" else None,
    )


def _rank(results: Results, contender: Contender) -> tuple[float, float]:
    return results.rank(contender, "selection") if contender.complete("selection") else (math.inf, math.inf)
