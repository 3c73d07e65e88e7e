"""The breeding document: a search space in which models are bred, with `breed` in place of recipes with holes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import pydantic

from evomerge.documents import Tree, Value, fault, parse, suggestion
from evomerge.recipe.recipe import DType, ModelRef, TokenizerPolicy
from evomerge.recipe.where import Where
from evomerge.spaces.file import check_models


class Breed(Value):
    """What members are bred from and where they may be split.

    Attributes:
        experts: Names of the original models; they are the first members.
        origin: Model that task vectors are measured from, which are mixed then; absent: whole weights are mixed.
        chromosomes: Groups of tensors with a split point and a mixing weight of their own, each by layers, roles or
            names. A tensor belongs to the first that holds; those of none make up a last chromosome.
        resolution: How many parts of equal size a tensor may be split into; 1 splits between tensors only.
    """

    experts: Annotated[tuple[str, ...], pydantic.Field(min_length=2)]
    origin: str | None = None
    chromosomes: tuple[Where, ...] = ()
    resolution: int = pydantic.Field(default=4, ge=1, le=1000)

    @pydantic.field_validator("experts")
    @classmethod
    def _distinct(cls, experts: tuple[str, ...]) -> tuple[str, ...]:
        if twice := [name for index, name in enumerate(experts) if name in experts[:index]]:
            raise fault(f'"{twice[0]}" stands twice.')
        return experts

    @pydantic.field_validator("chromosomes")
    @classmethod
    def _whole(cls, chromosomes: tuple[Where, ...]) -> tuple[Where, ...]:
        for where in chromosomes:
            if where.span is not None:
                raise fault("a chromosome has whole tensors. Drop its span; split points are searched.")
        return chromosomes


class BreedFile(Value):
    """A search space of members, as written.

    Attributes:
        models: Checkpoints by name: a path, or a mapping with `path` and `digest`.
        breed: What is bred.
    """

    evomerge: Literal["space/1"]
    models: Annotated[dict[str, ModelRef], pydantic.Field(min_length=1), pydantic.AfterValidator(check_models)]
    breed: Breed
    dtype: DType | None = None
    tokenizer: TokenizerPolicy | None = None

    @pydantic.model_validator(mode="after")
    def _known(self) -> Self:
        places: dict[str, str | None] = {f"breed.experts[{at}]": name for at, name in enumerate(self.breed.experts)}
        places["breed.origin"] = self.breed.origin
        places["tokenizer.from"] = self.tokenizer.source if self.tokenizer else None
        for place, name in places.items():
            if name is not None and name not in self.models:
                raise fault(f'{place}: "{name}" is not a model. {suggestion(name, self.models)}')
        return self


def is_breed(tree: Tree) -> bool:
    """Whether plain data is meant as a breeding document."""
    return isinstance(tree, Mapping) and "breed" in tree


def parse_breed(tree: Tree, where: str) -> BreedFile:
    """Check a breeding document.

    Raises:
        ConfigError: With all problems of the file.
    """
    return parse(BreedFile, tree, where)
