"""Optimisers by name: what each is for, what it can search, and how it is made from a document."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evomerge.documents import Tree, parse, suggestion
from evomerge.errors import ConfigError, Problem
from evomerge.optimizers import configs, configs_surrogates
from evomerge.optimizers.base import Engine, Optimizer
from evomerge.optimizers.configs import OptimizerConfig
from evomerge.optimizers.generational import Generational
from evomerge.optimizers.m2n2.configs import CycleQdConfig, M2N2Config, MapElitesConfig
from evomerge.optimizers.stages import misfits, places_of
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene
from evomerge.spaces.lineage import Lineage

WHERE = "optimizer"
"""The key of a search under which an optimiser stands, for messages."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One optimiser.

    Attributes:
        config: Type of its settings.
        summary: What it is for, in a line.
        genes: Whether it moves real numbers only or any genes, or breeds members of a lineage.
        objectives: Whether it takes one loss per candidate, two or more, or any number.
        engine: Module and name of its class. Imported on use: its library takes seconds.
        min_genes: Fewest genes that it works with.
        max_values: Most values of a whole number that it works with.
    """

    config: type[OptimizerConfig]
    summary: str
    genes: Literal["real", "any", "members"]
    objectives: Literal["one", "several", "any"]
    engine: str
    min_genes: int = 1
    max_values: float = math.inf

    def make(self, config: OptimizerConfig, start: Start) -> Engine:
        """The algorithm itself."""
        module, name = self.engine.rsplit(".", 1)
        engine: Engine = getattr(importlib.import_module(f"evomerge.optimizers.{module}"), name)(config, start)
        return engine


OPTIMIZERS: Mapping[str, Entry] = {
    "cma_lr": Entry(
        configs.CmaLrConfig,
        "CMA-ES that adapts its learning rates to noise; for real genes.",
        "real",
        "one",
        "cma_lr.CmaLr",
    ),
    # CatCMAwM keeps a table of the values.
    "catcma": Entry(
        configs.CatCmaConfig,
        "CMA-ES with categorical distributions and margins; for mixed genes.",
        "any",
        "one",
        "catcma.CatCma",
        max_values=10_000,
    ),
    # pycma fails in one dimension once its step size reaches its limit.
    "cma_es": Entry(
        configs.CmaEsConfig,
        "The reference CMA-ES, for comparison with the literature.",
        "real",
        "one",
        "cma_es.CmaEs",
        min_genes=2,
    ),
    "sep_cma": Entry(
        configs.SepCmaConfig,
        "CMA-ES with a diagonal covariance; for very many real genes.",
        "real",
        "one",
        "sep_cma.SepCma",
        min_genes=2,
    ),
    "nsga2": Entry(
        configs.Nsga2Config, "NSGA-II; for fronts of several objectives and constraints.", "any", "any", "nsga2.Nsga2"
    ),
    "nsga3": Entry(
        configs.Nsga3Config, "NSGA-III; for fronts of four objectives or more.", "any", "several", "nsga3.Nsga3"
    ),
    "sms_emoa": Entry(
        configs.SmsEmoaConfig,
        "SMS-EMOA; for fronts that cover the most hypervolume.",
        "any",
        "several",
        "sms_emoa.SmsEmoa",
    ),
    "c_taea": Entry(
        configs.CTaeaConfig,
        "C-TAEA; for fronts under constraints that are hard to meet.",
        "any",
        "several",
        "c_taea.CTaea",
    ),
    "weighted_cma": Entry(
        configs.WeightedCmaConfig,
        "One CMA-ES per weighting of the objectives; for fronts from few candidates.",
        "any",
        "several",
        "weighted_cma.WeightedCma",
        max_values=10_000,
    ),
    "map": Entry(
        configs_surrogates.MapConfig,
        "MAP: fronts of a quadratic surrogate; for few real genes.",
        "real",
        "any",
        "map.Map",
    ),
    "map_nested": Entry(
        configs_surrogates.MapNestedConfig,
        "MAP, two models at a time up a tree; for many objectives and real genes.",
        "real",
        "several",
        "map_nested.MapNested",
    ),
    "mm_mo": Entry(
        configs_surrogates.MmMoConfig,
        "Bayesian optimisation of hypervolume, as in MM-MO; for few candidates.",
        "any",
        "any",
        "mm_mo.MmMo",
    ),
    "de": Entry(
        configs.DeConfig,
        "Differential evolution, current to best; a robust second opinion.",
        "any",
        "one",
        "de.DifferentialEvolution",
    ),
    "pso": Entry(
        configs.PsoConfig, "Particle swarm; for comparison with the literature.", "any", "one", "pso.ParticleSwarm"
    ),
    "tbpsa": Entry(
        configs.TbpsaConfig, "Evolution strategy that averages more under noise.", "any", "one", "tbpsa.Tbpsa"
    ),
    "ng_portfolio": Entry(
        configs.NgPortfolioConfig,
        "Nevergrad's choice for the number of genes and candidates.",
        "any",
        "one",
        "ng_portfolio.NgPortfolio",
    ),
    "tpe": Entry(
        configs.TpeConfig, "Parzen estimators; needs the extra optuna.", "any", "any", "optuna_engine.OptunaEngine"
    ),
    "gp": Entry(
        configs.GpConfig,
        "Gaussian process, a second per candidate; needs the extra optuna.",
        "any",
        "any",
        "optuna_engine.OptunaEngine",
    ),
    "m2n2": Entry(
        M2N2Config,
        "M2N2: niches by competition and attraction, split points; breeds recipes.",
        "members",
        "any",
        "m2n2.breeder.Breeder",
    ),
    "cycle_qd": Entry(
        CycleQdConfig,
        "CycleQD: a grid of elites per objective, which take turns; breeds recipes.",
        "members",
        "any",
        "m2n2.breeder.Breeder",
    ),
    "map_elites": Entry(
        MapElitesConfig,
        "MAP-Elites on a grid of objectives; breeds recipes, for comparison.",
        "members",
        "any",
        "m2n2.breeder.Breeder",
    ),
    "screened": Entry(
        configs.ScreenedConfig,
        "Another driver, of whose proposals only the promising ones are tried.",
        "any",
        "any",
        "screened.Screened",
    ),
    "staged": Entry(
        configs.StagedConfig,
        "Other drivers one after the other, each over some of the genes.",
        "any",
        "any",
        "staged.Staged",
    ),
    "greedy": Entry(
        configs.GreedyConfig,
        "One gene after another, each over a grid; greedy soups and their like.",
        "any",
        "one",
        "greedy.Greedy",
    ),
    "random": Entry(
        configs.RandomConfig, "Uniform random search; the baseline.", "any", "any", "random_search.RandomSearch"
    ),
    "grid": Entry(configs.GridConfig, "Every combination of spaced values; for few genes.", "any", "any", "grid.Grid"),
}


def make_optimizer(
    config: Tree | OptimizerConfig,
    genes: Sequence[Gene] | Lineage,
    num_objectives: int,
    seed: int,
    seeds: Sequence[Genome],
    budget: int,
) -> Optimizer:
    """Make an optimiser from its settings.

    Args:
        config: A tree such as `{name: nsga2, population: 16}`, or an optimiser's settings.
        genes: What varies, or what members are bred in.
        num_objectives: Losses per candidate.
        seed: The only source of randomness.
        seeds: Genomes to start from. The CMA family starts its mean at the first, and cma_es asks as many as fill
            half a generation; the others ask all of them first.
        budget: Number of candidates that will be asked for.

    Raises:
        ConfigError: If the settings are not valid, or the optimiser cannot search such genes or objectives.
    """
    settings = config if isinstance(config, OptimizerConfig) else read_config(config)
    lineage = genes if isinstance(genes, Lineage) else None
    genes = () if isinstance(genes, Lineage) else tuple(genes)
    unfit = _unfit_members(lineage, seeds) if lineage else _unfit_seeds(genes, seeds)
    is_bred = OPTIMIZERS[settings.name].genes == "members"
    ConfigError.raise_if_any(
        [
            *_unsuited_kind(settings.name, is_bred=is_bred, has_genes=lineage is None),
            *(_unsuited_genes(settings, genes, budget) if not is_bred and not lineage else ()),
            *_unsuited_objectives(settings, num_objectives),
            *unfit,
        ]
    )
    start = Start(genes, num_objectives, seed, tuple(dict.fromkeys(seeds)), budget, lineage)
    return Generational(OPTIMIZERS[settings.name].make(settings, start), num_objectives)


def read_config(tree: Tree) -> OptimizerConfig:
    """Check the settings of an optimiser.

    Args:
        tree: Plain data with the key `name`.

    Raises:
        ConfigError: With all problems of the tree.
    """
    if not isinstance(tree, Mapping) or "name" not in tree:
        raise ConfigError.at(WHERE, f'"name" is missing. Write {{name: cma_lr}}. Allowed: {", ".join(OPTIMIZERS)}.')
    name = str(tree["name"])
    if name not in OPTIMIZERS:
        raise ConfigError.at(f"{WHERE}.name", f'there is no optimiser "{name}". {suggestion(name, OPTIMIZERS)}')
    try:
        return parse(OPTIMIZERS[name].config, tree, WHERE)
    except ConfigError as error:
        # `parse` parts a file from the keys in it with a colon; these settings stand under a key themselves.
        problems = [Problem(problem.where.replace(": ", ".", 1), problem.what) for problem in error.problems]
        raise ConfigError(*problems) from None


def _unsuited_kind(name: str, *, is_bred: bool, has_genes: bool) -> Iterator[Problem]:
    if is_bred and has_genes:
        what = f'"{name}" breeds members, but the search space has genes. Use nsga2, or a space with "breed".'
        yield Problem(f"{WHERE}.name", what)
    if not is_bred and not has_genes:
        what = f'"{name}" moves genes, but in the search space members are bred. Use m2n2, or a space with holes.'
        yield Problem(f"{WHERE}.name", what)


def _drivers(
    settings: OptimizerConfig, genes: tuple[Gene, ...], where: str = WHERE
) -> Iterator[tuple[str, str, tuple[Gene, ...]]]:
    """Key, name and genes of everything in an optimiser that proposes by itself."""
    match settings:
        case configs.ScreenedConfig(driver=driver):
            yield from _drivers(driver, genes, f"{where}.driver")
        case configs.StagedConfig(stages=stages):
            for number, stage in enumerate(stages):
                moved = tuple(genes[place] for place in places_of(stage.genes, genes))
                yield from _drivers(stage.driver, moved, f"{where}.stages[{number}].driver")
        case _:
            yield f"{where}.name", settings.name, genes


def _unsuited_genes(settings: OptimizerConfig, genes: tuple[Gene, ...], budget: int) -> Iterator[Problem]:
    if isinstance(settings, configs.StagedConfig):
        for place, what in misfits(settings.stages, genes, settings.budget or budget):
            yield Problem(f"{WHERE}.{place}", what)
    for where, name, moved in _drivers(settings, genes):
        if faults := [fault for gene in moved if (fault := _unsuited_gene(name, gene))]:
            others = f" {len(faults) - 1} more genes do not suit it either." if len(faults) > 1 else ""
            yield Problem(where, faults[0] + others)
        elif len(moved) < (fewest := OPTIMIZERS[name].min_genes) and (moved or not genes):
            whose = "the search space" if moved == genes else "this stage"
            remedy = "Use cma_lr." if moved else "Add a hole to it."
            yield Problem(where, f'"{name}" needs {fewest} genes or more, but {whose} has {len(moved)}. {remedy}')


def _unsuited_gene(name: str, gene: Gene) -> str | None:
    entry = OPTIMIZERS[name]
    if entry.genes == "real" and not isinstance(gene, FloatGene):
        kind = "a choice" if isinstance(gene, ChoiceGene) else "a whole number"
        return f'"{name}" moves real numbers only, but gene "{gene.name}" is {kind}. Use catcma or nsga2.'
    if isinstance(gene, IntGene) and (count := gene.high - gene.low + 1) > entry.max_values:
        return (
            f'"{name}" takes whole numbers of at most {entry.max_values} values, but gene "{gene.name}" has {count}. '
            "Narrow it, or use nsga2 or de."
        )
    return None


def _unsuited_objectives(settings: OptimizerConfig, num_objectives: int) -> Iterator[Problem]:
    for where, name, _ in _drivers(settings, ()):
        takes = OPTIMIZERS[name].objectives
        if takes == "several" and num_objectives == 1:
            what = f'"{name}" takes two objectives or more, but the fitness has one. Use cma_lr, catcma or nsga2.'
            yield Problem(where, what)
        if takes == "one" and num_objectives > 1:
            what = f'"{name}" takes one objective, but the fitness has {num_objectives}.'
            yield Problem(where, f"{what} Use nsga2, or keep one objective.")


def _unfit_members(lineage: Lineage, seeds: Sequence[Genome]) -> Iterator[Problem]:
    for i, genome in enumerate(seeds):
        if not lineage.contains(genome):
            yield Problem(f"seeds[{i}]", "is no member of this lineage.")


def _unfit_seeds(genes: Sequence[Gene], seeds: Sequence[Genome]) -> Iterator[Problem]:
    for i, genome in enumerate(seeds):
        if len(genome) != len(genes):
            yield Problem(f"seeds[{i}]", f"{len(genome)} values for {len(genes)} genes. A seed has one value per gene.")
            continue
        for gene, value in zip(genes, genome, strict=True):
            if not gene.contains(value):
                yield Problem(f"seeds[{i}]", f'gene "{gene.name}" cannot take {value}.')
