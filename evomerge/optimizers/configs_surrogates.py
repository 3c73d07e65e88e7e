"""The settings of optimisers that search a model of the losses."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from evomerge.documents import Value
from evomerge.optimizers.limits import Batch, Population, Startup, between


class MapConfig(Value):
    """MAP: a quadratic surrogate and its front.

    Attributes:
        name: Which optimiser.
        design: Candidates before the first surrogate; None for (genes + 1)(genes + 2). Never more than half of all.
        placement: `even` for a Latin hypercube; `directions` for half of it, then where the surrogates miss.
        temperature: Of the draw among directions; small seeks the worst misses. At 0.07, as published, they hardly
            count.
        population: Candidates of the predicted front that are tried at once.
        link: `sigmoid` for losses in [0, 1], such as 1 - accuracy; `softplus` for losses without an upper end.
        reach: Standard deviation of the surrogate's coefficients that is thought likely; small draws them to 0.
        inner_population: Population of the search on the surrogate.
        generations: Generations of the search on the surrogate.
        budget: Candidates of which the design is at most half; None for those of the search. It stays when a finished
            search is given more.
    """

    name: Literal["map"] = "map"
    design: Population | None = None
    placement: Literal["even", "directions"] = "even"
    temperature: Annotated[float, between(0.0001, 1000, "It is what scores of directions are divided by.")] = 0.07
    population: Batch = 10
    link: Literal["sigmoid", "softplus"] = "sigmoid"
    reach: Annotated[float, between(0.01, 1000, "It is the likely size of the surrogate's coefficients.")] = 1.0
    inner_population: Population = 100
    generations: Annotated[int, between(1, 10_000, "It is a number of generations.")] = 25
    budget: Annotated[int, pydantic.Field(ge=1)] | None = None


class MapNestedConfig(Value):
    """MAP's nested form: two models are merged at a time.

    Attributes:
        name: Which optimiser.
        startup: Seeds and random candidates among which the leaves are chosen; at least one for each objective.
        design: Merges of each pair before its surrogates; 12 is twice the number of their coefficients.
        population: Merges at the root that are tried at once.
        link: `sigmoid` for losses in [0, 1], such as 1 - accuracy; `softplus` for losses without an upper end.
        reach: Standard deviation of the surrogate's coefficients that is thought likely; small draws them to 0.
    """

    name: Literal["map_nested"] = "map_nested"
    startup: Startup = 10
    design: Population = 12
    population: Batch = 10
    link: Literal["sigmoid", "softplus"] = "sigmoid"
    reach: Annotated[float, between(0.01, 1000, "It is the likely size of the surrogate's coefficients.")] = 1.0


class MmMoConfig(Value):
    """Multi-objective Bayesian optimisation after MM-MO.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation; the fewer, the more each one knows.
        startup: Random candidates and seeds before the first model.
        sparsity: Whether genes near 0 are an objective beside those of the fitness.
    """

    name: Literal["mm_mo"] = "mm_mo"
    population: Batch = 5
    startup: Startup = 10
    sparsity: bool = False
