"""The model card of an exported merge: what it is made of, how it was found, how well it did on unseen items."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from huggingface_hub import ModelCardData

from evomerge.recipe import ModelRef, Recipe, dump_recipe

_HUB_FOLDER = re.compile(r"/models--([\w.-]+?)--([\w.-]+)/snapshots/")
"""Where huggingface_hub keeps the model OWNER/NAME."""


Kind: TypeAlias = Literal["model", "adapter"]


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """One task's score on the test split: items that no decision of the search rests on."""

    task: str
    metric: str
    value: float
    stderr: float
    num_items: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a recipe comes from.

    Attributes:
        origin: One sentence: the run, or the file.
        num_candidates: How many recipes the search tried; 0 when nothing was searched.
        scores: Test scores, where there are any.
    """

    origin: str
    num_candidates: int = 0
    scores: tuple[ScoreLine, ...] = ()


def model_card(recipe: Recipe, provenance: Provenance, kind: Kind = "model") -> str:
    """Text of README.md.

    Models that lie in the cache of the Hugging Face Hub are named as base models by their ids; other folders mean
    nothing to others.

    Args:
        recipe: What was merged.
        provenance: Where the recipe comes from.
        kind: What the folder holds: a whole model, or an adapter.
    """
    hub_ids = ["/".join(found.groups()) for m in recipe.models.values() if (found := _HUB_FOLDER.search(m.path))]
    data = ModelCardData(
        library_name="transformers" if kind == "model" else "peft",
        tags=["merge", "evomerge", *(["evolutionary-merge"] if provenance.num_candidates else [])],
        base_model=hub_ids or None,
        base_model_relation="merge" if hub_ids else None,
    )
    models = "\n".join(
        f"| {_plain(name)}{_base(model)} | {_code(model.path)} | {_code(model.digest or 'not recorded')} |"
        for name, model in recipe.models.items()
    )
    text = dump_recipe(recipe.canonical)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# A merged {kind}",
        f"Merged with evomerge. {_plain(provenance.origin)} Recipe `{recipe.digest[:12]}`.",
        f"| model | path | digest |\n|---|---|---|\n{models}",
        *_scores(provenance),
        f"## Recipe\n\n{fence}yaml\n{text}{fence}",
        f"To make this {kind} again: `evomerge export recipe.yaml OUT{'' if kind == 'model' else ' --adapter'}`, "
        "with the models above in place.",
    ]
    return "\n\n".join(parts) + "\n"


def _base(model: ModelRef) -> str:
    return f", an adapter on {_plain(model.adapts)}" if model.adapts else ""


def _scores(provenance: Provenance) -> list[str]:
    if not provenance.scores:
        return []
    rows = "\n".join(
        f"| {_plain(line.task)} | {_plain(line.metric)} | {line.value:.3f} ± {line.stderr:.3f} | {line.num_items} |"
        for line in provenance.scores
    )
    return [
        "## Scores on held-out items",
        f"The search tried {provenance.num_candidates} recipes on other items than these; ± is one standard error.",
        f"| task | metric | score | items |\n|---|---|---|---|\n{rows}",
    ]


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, without HTML, links or the end of a table cell."""
    return re.sub(r"([\\`*_\[\]<>|!#~&])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """A code span that fits a table cell."""
    return f"`{' '.join(text.split()).replace('`', chr(39)).replace('|', chr(92) + '|')}`"
