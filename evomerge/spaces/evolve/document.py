"""The document of mergekit-evolve: what a person writes for it, with every key known."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pydantic

from evomerge.documents import Tree, Value, fault
from evomerge.recipe.mergekit.document import Model
from evomerge.recipe.mergekit.settings import Place


class GenomeSection(Value):
    """What mergekit-evolve varies."""

    models: Annotated[tuple[Model, ...], pydantic.Field(min_length=1)]
    merge_method: Literal["linear", "task_arithmetic", "ties", "dare_ties", "slerp"]
    base_model: Model | None = None
    tokenizer_source: Model | None = None
    layer_granularity: int = 0
    normalize: bool | None = None
    allow_negative_weights: bool = False
    filters: tuple[str, ...] | None = None
    smooth: bool = False

    @property
    def experts(self) -> tuple[str, ...]:
        """The models whose genes count: all, but the base of task vectors."""
        is_input = self.merge_method in ("linear", "slerp")
        return self.models if is_input else tuple(model for model in self.models if model != self.base_model)

    @property
    def normalizes(self) -> bool:
        """Whether weights are divided by their sum."""
        usual = self.merge_method in ("linear", "ties", "dare_ties")
        return usual if self.normalize is None else self.normalize

    @property
    def places(self) -> dict[str, Place]:
        """Every model and where it stands, the base first."""
        places: dict[str, Place] = {self.base_model: ("genome", "base_model")} if self.base_model else {}
        for index, model in enumerate(self.models):
            places.setdefault(model, ("genome", "models", index))
        if self.tokenizer_source not in (None, "base", "union"):
            places.setdefault(str(self.tokenizer_source), ("genome", "tokenizer_source"))
        return places


class TaskSection(Value):
    """One task of the weighted sum."""

    name: str = pydantic.Field(min_length=1)
    weight: float = 1.0
    metric: str = "acc,none"


def _as_mapping(tree: Tree) -> Tree:
    return {"name": tree} if isinstance(tree, str) else tree


class EvolveDocument(Value):
    """A whole file."""

    genome: GenomeSection
    tasks: Annotated[
        tuple[Annotated[TaskSection, pydantic.BeforeValidator(_as_mapping)], ...], pydantic.Field(min_length=1)
    ]
    limit: int | None = pydantic.Field(default=None, ge=1)
    num_fewshot: int | None = pydantic.Field(default=None, ge=0)
    shuffle: bool = False
    random_init: bool = False
    apply_chat_template: bool = True
    fewshot_as_multiturn: bool = True

    @pydantic.model_validator(mode="after")
    def _some_weight(self) -> Self:
        if not any(task.weight for task in self.tasks):
            raise fault("no task has a weight, so that nothing is optimised. Give one a weight.")
        return self
