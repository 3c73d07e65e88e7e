"""The settings of every optimiser, as they stand in `conf/optimizer/`."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from evomerge.documents import Value, fault
from evomerge.optimizers.m2n2.settings import M2N2Settings


def _between(low: float, high: float, meaning: str) -> pydantic.AfterValidator:
    """Refuse a number outside [low, high] and say what the number means."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise fault(f"{value:g} is outside [{low:g}, {high:g}]. {meaning}")
        return value

    return pydantic.AfterValidator(check)


Population = Annotated[int, _between(4, 10_000, "It is the number of candidates per generation.")]
Batch = Annotated[int, _between(1, 10_000, "It is the number of candidates per generation.")]
Startup = Annotated[int, _between(1, 10_000, "It is the number of random candidates before the first model.")]
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


class SepCmaConfig(Value):
    """Separable CMA-ES.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation; None for 4 + 3 ln(genes).
        sigma0: First standard deviation, as a fraction of each gene's range.
    """

    name: Literal["sep_cma"] = "sep_cma"
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


class Nsga3Config(Value):
    """NSGA-III.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation; the finest lattice of directions that is not larger is followed.
    """

    name: Literal["nsga3"] = "nsga3"
    population: Population = 20


class SmsEmoaConfig(Value):
    """SMS-EMOA.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation.
    """

    name: Literal["sms_emoa"] = "sms_emoa"
    population: Population = 20


class CTaeaConfig(Value):
    """C-TAEA.

    Attributes:
        name: Which optimiser.
        population: Most candidates per generation; it takes as many as the finest lattice of directions that is not
            larger: 20 for two and four objectives, 15 for three and five.
    """

    name: Literal["c_taea"] = "c_taea"
    population: Population = 20


class WeightedCmaConfig(Value):
    """Several CMA-ES, each with its own weights of the objectives.

    Attributes:
        name: Which optimiser.
        divisions: Steps of the weights from one objective to another; 1 gives each objective alone. Equal weights are
            always among them.
        scalarising: `tchebycheff` looks at the objective that is furthest behind and reaches every part of a front;
            `sum` reaches its convex parts only.
        head_start: Generations that equal weights have to themselves before the others join from their mean.
        population: Candidates per generation of each; None for 4 + 3 ln(genes).
        sigma0: First standard deviation of numbers, as a fraction of each gene's range.
    """

    name: Literal["weighted_cma"] = "weighted_cma"
    divisions: Annotated[int, _between(1, 100, "It is the number of steps from one objective to another.")] = 1
    scalarising: Literal["tchebycheff", "sum"] = "tchebycheff"
    head_start: Annotated[int, _between(1, 10_000, "It is a number of generations.")] = 5
    population: Population | None = None
    sigma0: Sigma = 0.15


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


class PsoConfig(Value):
    """Particle swarm optimisation.

    Attributes:
        name: Which optimiser.
        population: Particles, all of which move once per generation.
    """

    name: Literal["pso"] = "pso"
    population: Population = 20


class TbpsaConfig(Value):
    """Test-based population-size adaptation.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation. How many of them make a step is adapted.
    """

    name: Literal["tbpsa"] = "tbpsa"
    population: Population = 20


class NgPortfolioConfig(Value):
    """Nevergrad's portfolio.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation.
        budget: Candidates that the choice of an algorithm is made for; None for those of the search. It stays when a
            finished search is given more.
    """

    name: Literal["ng_portfolio"] = "ng_portfolio"
    population: Population = 20
    budget: Annotated[int, pydantic.Field(ge=1)] | None = None


class TpeConfig(Value):
    """Tree-structured Parzen estimators, of the extra `optuna`.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation; the fewer, the more each one knows.
        startup: Random candidates before the first model.
    """

    name: Literal["tpe"] = "tpe"
    population: Batch = 5
    startup: Startup = 10


class GpConfig(Value):
    """Gaussian process, of the extra `optuna`.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation. Optuna does not keep those of one generation apart, so 1 is best.
        startup: Random candidates before the first model.
    """

    name: Literal["gp"] = "gp"
    population: Batch = 1
    startup: Startup = 10


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
    warm_up: Annotated[int, _between(0, 100_000, "It is a number of children.")] = 10

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


class RandomConfig(Value):
    """Random search.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation. It does not matter to what is proposed, only to how far ahead.
    """

    name: Literal["random"] = "random"
    population: Population = 20


class GridConfig(Value):
    """Grid search.

    Attributes:
        name: Which optimiser.
        points: Values per number, evenly spaced with both ends, or the middle alone; a choice has all its options.
        population: Candidates per generation. It does not matter to what is proposed, only to how far ahead.
    """

    name: Literal["grid"] = "grid"
    points: Annotated[int, _between(1, 1000, "It is the number of values per gene.")] = 3
    population: Population = 20


OptimizerConfig = (
    CmaLrConfig
    | SepCmaConfig
    | CatCmaConfig
    | CmaEsConfig
    | Nsga2Config
    | Nsga3Config
    | SmsEmoaConfig
    | CTaeaConfig
    | WeightedCmaConfig
    | DeConfig
    | PsoConfig
    | TbpsaConfig
    | NgPortfolioConfig
    | TpeConfig
    | GpConfig
    | M2N2Config
    | RandomConfig
    | GridConfig
)
"""The settings of one optimiser."""
