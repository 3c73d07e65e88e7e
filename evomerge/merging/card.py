"""The model card of an exported merge: what it is made of, how it was found, how well it did on unseen items."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import ModelCardData

from evomerge.recipe import Recipe, dump_recipe

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


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


def model_card(recipe: Recipe, folder: Path, provenance: Provenance) -> str:
    """Text of README.md.

    Only Hub ids are named as base models in the front matter; local paths mean nothing to others.

    Args:
        recipe: What was merged.
        folder: Where the model is being written; an existing folder on disk is not a Hub id.
        provenance: Where the recipe comes from.
    """
    hub_ids = [m.path for m in recipe.models.values() if _HUB_ID.fullmatch(m.path) and not Path(m.path).exists()]
    data = ModelCardData(
        library_name="transformers",
        tags=["merge", "evomerge", *(["evolutionary-merge"] if provenance.num_candidates else [])],
        **({"base_model": hub_ids, "base_model_relation": "merge"} if hub_ids else {}),
    )
    models = "\n".join(f"| {name} | `{model.path}` | `{model.digest}` |" for name, model in recipe.models.items())
    parts = [
        f"---\n{data.to_yaml()}\n---",
        "# A merged model",
        f"Merged with evomerge. {provenance.origin} Recipe `{recipe.digest[:12]}`.",
        f"| model | path | digest |\n|---|---|---|\n{models}",
        *_scores(provenance),
        f"## Recipe\n\n```yaml\n{dump_recipe(recipe.canonical)}```",
        "To make this model again: `evomerge export recipe.yaml OUT`, with the models above in place.",
    ]
    return "\n\n".join(parts) + "\n"


def _scores(provenance: Provenance) -> list[str]:
    if not provenance.scores:
        return []
    rows = "\n".join(
        f"| {line.task} | {line.metric} | {line.value:.3f} ± {line.stderr:.3f} | {line.num_items} |"
        for line in provenance.scores
    )
    return [
        "## Scores on held-out items",
        f"The search tried {provenance.num_candidates} recipes on other items than these; ± is one standard error.",
        f"| task | metric | score | items |\n|---|---|---|---|\n{rows}",
    ]
