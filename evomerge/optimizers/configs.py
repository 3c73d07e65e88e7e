"""The settings of every optimiser, as they stand in `conf/optimizer/`."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from evomerge.documents import Value, fault


def _between(low: float, high: float, meaning: str) -> pydantic.AfterValidator:
    """Refuse a number outside [low, high] and say what the number means."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise fault(f"{value:g} is outside [{low:g}, {high:g}]. {meaning}")
        return value

    return pydantic.AfterValidator(check)


Population = Annotated[int, _between(4, 10_000, "It is the number of candidates per generation.")]
Sigma = Annotated[
    float,
    _between(0.001, 1, "It is the first standard deviation as a fraction of each gene's range; 0.1 to 0.3 is usual."),
]


class CmaLrConfig(Value):
    """CMA-ES with learning-rate adaptation.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation; None for 4 + 3 ln(genes).
        sigma0: First standard deviation, as a fraction of each gene's range.
    """

    name: Literal["cma_lr"] = "cma_lr"
    population: Population | None = None
    sigma0: Sigma = 0.15


class CatCmaConfig(Value):
    """CatCMA with margin.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation; None for 4 + 3 ln(genes).
        sigma0: First standard deviation of real and whole numbers, as a fraction of each gene's range.
    """

    name: Literal["catcma"] = "catcma"
    population: Population | None = None
    sigma0: Sigma = 0.1


class CmaEsConfig(Value):
    """CMA-ES, the reference implementation.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation; None for 4 + 3 ln(genes).
        sigma0: First standard deviation, as a fraction of each gene's range.
    """

    name: Literal["cma_es"] = "cma_es"
    population: Population | None = None
    sigma0: Sigma = 0.15


class Nsga2Config(Value):
    """NSGA-II.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation.
    """

    name: Literal["nsga2"] = "nsga2"
    population: Population = 20


class DeConfig(Value):
    """Differential evolution.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation.
        crossover: `uniform` takes each coordinate from parent or mutant by itself; `two_points` takes whole stretches,
            which suits genes whose neighbours belong together.
    """

    name: Literal["de"] = "de"
    population: Population = 20
    crossover: Literal["uniform", "two_points"] = "uniform"


class RandomConfig(Value):
    """Random search.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation. It does not matter to what is proposed, only to how far ahead.
    """

    name: Literal["random"] = "random"
    population: Population = 20


OptimizerConfig = CmaLrConfig | CatCmaConfig | CmaEsConfig | Nsga2Config | DeConfig | RandomConfig
"""The settings of one optimiser."""
