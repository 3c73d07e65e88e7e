"""The settings of what breeds recipes, as they stand in `conf/optimizer/`."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import pydantic

from evomerge.documents import Value, fault
from evomerge.optimizers.m2n2.settings import M2N2Settings

Batch: TypeAlias = Annotated[int, pydantic.Field(ge=1, le=10_000)]
WarmUp: TypeAlias = Annotated[int, pydantic.Field(ge=0, le=100_000)]


class M2N2Config(M2N2Settings):
    """M2N2 over recipes; see `M2N2Settings` for the rest.

    Attributes:
        name: Which optimiser.
        batch: Children per generation. Those of one generation have parents that knew nothing of each other, so that
            small ones learn faster and large ones keep more workers busy.
        warm_up: How many of the first children have parents drawn evenly among the seeds.
    """

    name: Literal["m2n2"] = "m2n2"
    batch: Batch = 4
    warm_up: WarmUp = 10

    @property
    def arc(self) -> Literal["slerp", "linear"]:
        """How parents are mixed."""
        return "linear" if self.crossover == "linear" else "slerp"

    @pydantic.field_validator("crossover")
    @classmethod
    def _mixes(cls, crossover: str) -> str:
        if crossover == "none":
            raise fault("children of recipes that are neither mixed nor mutated are copies. Use slerp or linear.")
        return crossover

    @pydantic.field_validator("mutation")
    @classmethod
    def _mutates_nothing(cls, mutation: float) -> float:
        if mutation:
            raise fault(f"{mutation:g}: recipes hold no parameters that noise could be added to. Leave it at 0.")
        return mutation


class _ElitesConfig(Value):
    """What all who keep elites in grids of objectives are told.

    Attributes:
        batch: Children per generation.
        warm_up: How many of the first children have parents drawn evenly among the seeds.
        angle: Whether SLERP's angle is that of `whole` chromosomes or of each `side` of the split.
        duplicates: Whether a child that was born before may be asked again: `keep` or `refuse`.
        crossover: How parents are mixed: on the arc (`slerp`) or on the line (`linear`).
        split: Where the mixing weight turns into its complement: at a point drawn anew for each child (`evolving`), in
            the middle (`fixed`), or nowhere (`none`).
    """

    batch: Batch = 4
    warm_up: WarmUp = 10
    angle: Literal["whole", "side"] = "whole"
    duplicates: Literal["keep", "refuse"] = "refuse"
    crossover: Literal["slerp", "linear"]
    split: Literal["evolving", "fixed", "none"]

    @property
    def arc(self) -> Literal["slerp", "linear"]:
        """How parents are mixed."""
        return self.crossover


class MapElitesConfig(_ElitesConfig):
    """MAP-Elites over recipes.

    Attributes:
        name: Which optimiser.
        bins: Bins per objective.
    """

    name: Literal["map_elites"] = "map_elites"
    bins: int = pydantic.Field(default=10, ge=1, le=1000)
    crossover: Literal["slerp", "linear"] = "slerp"
    split: Literal["evolving", "fixed", "none"] = "evolving"


class CycleQdConfig(_ElitesConfig):
    """CycleQD over recipes, with the published bins and crossover.

    Attributes:
        name: Which optimiser.
        bins: Bins per objective.
    """

    name: Literal["cycle_qd"] = "cycle_qd"
    bins: int = pydantic.Field(default=15, ge=1, le=1000)
    crossover: Literal["slerp", "linear"] = "linear"
    split: Literal["evolving", "fixed", "none"] = "none"
