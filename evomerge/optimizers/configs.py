"""The settings of every optimiser, as they stand in `conf/optimizer/`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import pydantic

from evomerge.documents import Value, fault, suggestion, tree_of
from evomerge.optimizers.configs_surrogates import MapConfig, MapNestedConfig, MmMoConfig
from evomerge.optimizers.limits import Batch, Confidence, Population, Sigma, Startup, between
from evomerge.optimizers.m2n2.configs import CycleQdConfig, M2N2Config, MapElitesConfig

SLACK = 0.005
"""How far from 1 shares may sum, so that thirds can be written."""


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
        confidence: How probable it must be, given the standard errors of both, that one candidate is better than
            another in all objectives, for it to count; None: losses are taken as they are.
    """

    name: Literal["nsga2"] = "nsga2"
    population: Population = 20
    confidence: Confidence | None = None


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
    divisions: Annotated[int, between(1, 100, "It is the number of steps from one objective to another.")] = 1
    scalarising: Literal["tchebycheff", "sum"] = "tchebycheff"
    head_start: Annotated[int, between(1, 10_000, "It is a number of generations.")] = 5
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
        inertia: Share of its speed that a particle keeps; None for 1 / (2 ln 2).
        pull: How strongly its own best point and the best of all draw it, each; None for 1/2 + ln 2.
    """

    name: Literal["pso"] = "pso"
    population: Population = 20
    inertia: Annotated[float, between(0, 1, "It is the share of its speed that a particle keeps.")] | None = None
    pull: Annotated[float, between(0, 10, "It is how strongly the best points draw.")] | None = None


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


class RandomConfig(Value):
    """Random search.

    Attributes:
        name: Which optimiser.
        population: Candidates per generation. It does not matter to what is proposed, only to how far ahead.
    """

    name: Literal["random"] = "random"
    population: Population = 20


class GreedyConfig(Value):
    """Greedy search, gene by gene.

    Attributes:
        name: Which optimiser.
        points: Values per number, evenly spaced with both ends; a choice has all its options.
        order: Whether genes are taken in the order of the space, or anew at random in every sweep.
    """

    name: Literal["greedy"] = "greedy"
    points: Annotated[int, between(2, 1000, "It is the number of values per gene.")] = 11
    order: Literal["given", "random"] = "given"


class GridConfig(Value):
    """Grid search.

    Attributes:
        name: Which optimiser.
        points: Values per number, evenly spaced with both ends, or the middle alone; a choice has all its options.
        population: Candidates per generation. It does not matter to what is proposed, only to how far ahead.
    """

    name: Literal["grid"] = "grid"
    points: Annotated[int, between(1, 1000, "It is the number of values per gene.")] = 3
    population: Population = 20


DriverConfig = (
    CmaLrConfig
    | SepCmaConfig
    | CatCmaConfig
    | CmaEsConfig
    | Nsga2Config
    | Nsga3Config
    | SmsEmoaConfig
    | CTaeaConfig
    | WeightedCmaConfig
    | MapConfig
    | MapNestedConfig
    | MmMoConfig
    | DeConfig
    | PsoConfig
    | TbpsaConfig
    | NgPortfolioConfig
    | TpeConfig
    | GpConfig
    | RandomConfig
    | GreedyConfig
    | GridConfig
)
"""The settings of one optimiser that proposes genomes by itself."""

_DRIVERS = {config.model_fields["name"].default: config for config in get_args(DriverConfig)}


def _parse_driver(tree: Any) -> Any:
    return _parse(tree, _DRIVERS)


def _parse(tree: Any, drivers: Mapping[str, Any]) -> Any:
    if isinstance(tree, tuple(drivers.values())):
        return tree
    tree = tree if isinstance(tree, Mapping) else {"name": tree}  # a plain word is a name
    if (name := str(tree.get("name"))) not in drivers:
        raise fault(f'there is no driver "{name}". {suggestion(name, drivers)}')
    return drivers[name].model_validate(tree)


class ScreenedConfig(Value):
    """A driver whose proposals are screened by a model of the losses.

    Attributes:
        name: Which optimiser.
        driver: What proposes.
        keep: Share of each generation that is tried.
        startup: Candidates before the first model; until then all are tried.
    """

    name: Literal["screened"] = "screened"
    driver: Annotated[DriverConfig, pydantic.PlainValidator(_parse_driver), pydantic.PlainSerializer(tree_of)] = (
        Nsga2Config()
    )
    keep: Annotated[float, between(0.01, 1, "It is the share of each generation that is tried.")] = 0.33
    startup: Startup = 20


def _parse_stage_driver(tree: Any) -> Any:
    return _parse(tree, {**_DRIVERS, "screened": ScreenedConfig})


class StageConfig(Value):
    """One stage of a staged search.

    Attributes:
        genes: Shell-style patterns of the names of the genes that vary in it.
        driver: What moves them.
        share: Of the candidates; None for an equal part of what the other stages leave.
        l1: How much the mean absolute value of its numbers adds to the losses that its driver is told.
    """

    genes: Annotated[tuple[str, ...], pydantic.Field(min_length=1)] = ("*",)
    driver: Annotated[
        DriverConfig | ScreenedConfig, pydantic.PlainValidator(_parse_stage_driver), pydantic.PlainSerializer(tree_of)
    ] = Nsga2Config()
    share: Annotated[float, between(0.001, 1, "It is the stage's share of the candidates.")] | None = None
    l1: Annotated[float, between(0, 1000, "It is the weight of the mean absolute value.")] = 0.0


class StagedConfig(Value):
    """Stages, one after the other, in each of which only some genes vary.

    Attributes:
        name: Which optimiser.
        stages: In their order. A gene may vary in several; in none, it stays where the search starts.
        carry: What a finished stage leaves to the next: the `best` that it tried, or the `favourite` of its driver,
            such as the mean of a CMA-ES, which noise flatters less, if the driver has one.
        budget: Candidates that shares are of; None for those of the search. It stays when a finished search is given
            more, which goes to the last stage. A search that ends by items, tokens or seconds may not get that far.
    """

    name: Literal["staged"] = "staged"
    stages: Annotated[tuple[StageConfig, ...], pydantic.Field(min_length=1)] = (StageConfig(),)
    carry: Literal["best", "favourite"] = "best"
    budget: Annotated[int, pydantic.Field(ge=1)] | None = None

    @pydantic.field_validator("stages")
    @classmethod
    def _whole(cls, stages: tuple[StageConfig, ...]) -> tuple[StageConfig, ...]:
        shares = [stage.share for stage in stages if stage.share is not None]
        total = sum(shares)
        if len(shares) == len(stages) and abs(total - 1) > SLACK:
            raise fault(f"the shares sum to {total:g}, not to 1. Leave one out, and its stage gets the rest.")
        if len(shares) < len(stages) and total > 1 - SLACK:
            raise fault(f"the shares sum to {total:g}, which leaves nothing to the stages without. Lower them.")
        return stages


OptimizerConfig = DriverConfig | M2N2Config | MapElitesConfig | CycleQdConfig | ScreenedConfig | StagedConfig
"""The settings of one optimiser."""
