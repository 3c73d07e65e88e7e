"""Writes what the zoo is asked as lm-eval tasks: one data file per skill, up to three forms of each."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import yaml

from evomerge import seeds
from evomerge.checkpoints.zoo.numbers import digits
from evomerge.checkpoints.zoo.plan import ZooPlan
from evomerge.checkpoints.zoo.skills import SKILLS, draw_evaluation_items
from evomerge.checkpoints.zoo.stories import Sum
from evomerge.documents import Tree

Wrong = Callable[[Sum, random.Random], tuple[str, str, str]]


def wrong_formulas(asked: Sum, rng: random.Random) -> tuple[str, str, str]:
    """Formulas that a model might give in error: another operator, or one digit of an operand off by one."""
    operator, left, right = asked
    return (
        Sum("-" if operator == "+" else "+", left, right).formula,
        Sum(operator, _near(left, rng), right).formula,
        Sum(operator, left, _near(right, rng)).formula,
    )


def wrong_solutions(asked: Sum, rng: random.Random) -> tuple[str, str, str]:
    """Solutions that a model might give in error: a false result, a false operand, another operator."""
    other, misread, _ = wrong_formulas(asked, rng)
    swapped = asked.left - asked.right if asked.operator == "+" else asked.left + asked.right
    return (
        f"{asked.formula} = {digits(_near(asked.result, rng))}",
        f"{misread} = {digits(_near(asked.result, rng))}",
        f"{other} = {digits(abs(swapped) % 100)}",
    )


WRONG: dict[str, Wrong] = {"math_en": wrong_solutions, "math_ja": wrong_solutions, "form_ja": wrong_formulas}
"""The skills that are also asked as multiple choice and by generation."""
ASKED = ("math_en", "math_ja", "form_ja", "calc_dg", "rev", "sort")


def task_files(folder: Path, plan: ZooPlan) -> dict[Path, str]:
    """The text of every file of the tasks folder.

    Args:
        folder: Where they will lie. lm-eval resolves data files against the working directory, so it is written into
            the tasks, made absolute.
        plan: Gives the seed and the number of items.

    Returns:
        Absolute path to text.
    """
    folder = folder.resolve()
    files: dict[Path, str] = {}
    for skill in ASKED:
        data = folder / "data" / f"zoo_{skill}.jsonl"
        files[data] = "".join(f"{json.dumps(row)}\n" for row in _rows(skill, plan))
        for suffix, form in FORMS.items():
            if not suffix or skill in WRONG:
                task = f"zoo_{skill}{suffix}"
                tree = {"task": task, **_source(data), **form, "metadata": {"version": 1.0}}
                files[folder / f"{task}.yaml"] = yaml.safe_dump(tree, sort_keys=False, width=120)
    return files


def _rows(skill: str, plan: ZooPlan) -> list[Tree]:
    # One seed for all skills: the word problems of all languages are then about the same sums.
    items = draw_evaluation_items(
        SKILLS[skill], plan.num_eval_items, random.Random(seeds.integer(plan.seed, "zoo", "items"))
    )
    rows: list[Tree] = [{"key": item.key, "prompt": item.prompt, "answer": item.answer} for item in items]
    if skill in WRONG:
        rng = random.Random(seeds.integer(plan.seed, "zoo", "choices", skill))
        for row in rows:
            choices = [row["answer"], *WRONG[skill](Sum.parse(row["key"]), rng)]
            rng.shuffle(choices)
            row |= {"choices": choices, "gold": choices.index(row["answer"])}
    return rows


def _near(number: int, rng: random.Random) -> int:
    """Another number from 0 to 99 that differs in one digit, by one."""
    return rng.choice([near for near in (number - 10, number - 1, number + 1, number + 10) if 0 <= near < 100])


def _source(data: Path) -> Tree:
    return {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "doc_to_text": "{{prompt}}",
    }


def _mean(metric: str) -> Tree:
    return [{"metric": metric, "aggregation": "mean", "higher_is_better": True}]


FORMS: dict[str, Tree] = {
    # The main form: right when the greedy continuation is the answer and then the end, seen in one forward pass.
    "": {"output_type": "loglikelihood", "doc_to_target": " {{answer}} <eos>", "metric_list": _mean("acc")},
    "_gen": {
        "output_type": "generate_until",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["<eos>"], "do_sample": False, "max_gen_toks": 16},
        "metric_list": _mean("exact_match"),
    },
    "_mc": {
        "output_type": "multiple_choice",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "gold",
        "metric_list": _mean("acc"),
    },
}
"""The lm-eval forms of a task, by the suffix of its name."""
