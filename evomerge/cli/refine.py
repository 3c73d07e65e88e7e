"""`evomerge refine`: a recipe's weights moved along a gradient, as the polish of an elite or a start for a search."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar

from evomerge.cli import parser
from evomerge.cli.bars import progress_bar
from evomerge.cli.sources import check_models
from evomerge.cli.words import device
from evomerge.documents import Tree
from evomerge.errors import ConfigError
from evomerge.merging import Library
from evomerge.recipe import Recipe, load_recipe
from evomerge.recipe.files import dump_recipe
from evomerge.refinement import METHODS, Coefficients, Plan, Refined, coefficients_of, refine
from evomerge.settings import load_settings
from evomerge.spaces import SearchSpace


def run(argv: Sequence[str]) -> int:
    """Write a recipe whose weights have a lower loss on the texts given."""
    given = _arguments(argv)
    if given.out.exists() or not given.out.parent.is_dir():
        what = "exists. Name a new file." if given.out.exists() else "lies in no folder that exists. Make it."
        raise ConfigError.at("--out", f"{given.out} {what}")
    torch.set_num_threads(given.threads)
    disable_progress_bar()  # of transformers
    coefficients, library = _coefficients(given), Library()
    plan = _plan(given)
    if plan.method.remark:
        print(plan.method.remark)
    with progress_bar(given.out.name) as progress:
        refined = refine(coefficients, library, plan, progress)
    given.out.write_text(dump_recipe(refined.recipe), encoding="utf-8")
    print(_summary(coefficients, refined, given))
    return 0


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    arguments = parser(
        "refine",
        epilog="adamerging: entropy of what is predicted, unlabelled. expert_merging: hidden states and logits of each "
        "expert on its texts, unlabelled. dam: logits of each expert on its texts, unlabelled. fw_merging: Frank-Wolfe "
        "over the experts, labelled texts.",
    )
    arguments.add_argument("source", type=Path, help="a run's folder, or a recipe.yaml")
    arguments.add_argument("--finalist", help='of a run, such as "candidate 17"; absent: the best on selection')
    arguments.add_argument("--candidate", type=int, help="number of any candidate of the run, a finalist or not")
    arguments.add_argument("--method", required=True, choices=sorted(METHODS))
    arguments.add_argument(
        "--data",
        required=True,
        nargs="+",
        metavar="[EXPERT=]FILE",
        help="one text per line, or .jsonl with a text, or a prompt and an answer, in each line; no items that results "
        "are reported on",
    )
    arguments.add_argument("--out", required=True, type=Path, help="a new recipe.yaml")
    arguments.add_argument("--steps", type=int, help="default: the method's")
    arguments.add_argument("--rate", type=float, help="of the descent; default: the method's")
    arguments.add_argument("--batch", type=int, help="texts per step; default: the method's")
    arguments.add_argument("--samples", type=int, default=256, help="texts of each file (default: %(default)s)")
    arguments.add_argument("--tokens", type=int, default=512, help="of each text (default: %(default)s)")
    arguments.add_argument("--device", type=device, default="cpu", help="cpu, cuda:0 or auto (default: cpu)")
    arguments.add_argument("--threads", type=int, default=1)
    return arguments.parse_args(argv)


def _coefficients(given: argparse.Namespace) -> Coefficients:
    """Of a run, only genes may move, within their ends; of a file, all weights."""
    where = str(given.source)
    if not given.source.is_dir():
        if given.finalist is not None or given.candidate is not None:
            raise ConfigError.at(
                "refine", "--finalist and --candidate belong to runs. Drop them, or name a run's folder."
            )
        return coefficients_of(check_models(load_recipe(given.source), Library(), where), where)
    recipe, template = _from_run(given.source, given.finalist, given.candidate)
    return coefficients_of(check_models(recipe, Library(), where), where, template)


def _from_run(run_dir: Path, name: str | None, number: int | None) -> tuple[Recipe, Tree | None]:
    """One of its recipes, and the space's recipe with genes for leaves; None of a space that has no genes."""
    from evomerge.cli.finalists import asked, chosen  # these bring lm-eval along, which takes seconds to import
    from evomerge.runs import RunLog
    from evomerge.runs.results import Results
    from evomerge.study import assemble

    study = assemble(load_settings(run_dir))
    if number is not None:
        recipe = study.space.decode(asked(run_dir, number)[number])
    else:
        with RunLog.read(run_dir) as log:
            recipe = chosen(Results(log, study.fitness), name, run_dir).recipe
    return recipe, study.space.template if isinstance(study.space, SearchSpace) else None


def _plan(given: argparse.Namespace) -> Plan:
    for name in ("steps", "rate", "batch", "samples", "tokens"):
        if (value := getattr(given, name)) is not None and not value > 0:
            raise ConfigError.at(f"--{name}", f"{value} is not above 0. Give a positive number.")
    method, data = METHODS[given.method], [word.rpartition("=") for word in given.data]
    return Plan(
        method,
        [(name or None, Path(file)) for name, _, file in data],
        given.rate or method.rate,
        given.steps or method.steps,
        given.batch or method.batch,
        given.samples,
        given.tokens,
        given.device,
    )


def _summary(coefficients: Coefficients, refined: Refined, given: argparse.Namespace) -> str:
    loss = f"Loss over all texts {refined.before:.6g} before, {refined.after:.6g} after"
    moved = f"{int(coefficients.free.sum())} weights of {', '.join(coefficients.experts)} were free"
    use = f"evomerge evaluate {given.out} --fitness NAME; evomerge export {given.out} OUT"
    return f"Wrote {given.out}, recipe {refined.recipe.digest[:12]}. {loss}; {moved}.\nThe loss is no score: {use}"
