"""The model-based samplers of optuna behind `Engine`, over any genes. Optuna is an extra."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from evomerge import seeds
from evomerge.errors import ConfigError
from evomerge.optimizers.base import Scored
from evomerge.optimizers.configs import GpConfig, TpeConfig
from evomerge.optimizers.coordinates import coordinate, value_at
from evomerge.optimizers.deb import violation
from evomerge.optimizers.losses import losses_of
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import FloatGene, Gene, Genome, IntGene


class OptunaEngine:
    """A sampler of `optuna`: any genes, any number of objectives, constraints as one total violation.

    `tpe` is tree-structured Parzen estimators, multivariate (Bergstra et al. 2011, "Algorithms for hyper-parameter
    optimization"; Watanabe 2023, arXiv 2304.11127). `gp` is a Gaussian process with expected improvement of the loss
    or of the hypervolume, about a second per candidate.
    """

    def __init__(self, config: TpeConfig | GpConfig, start: Start) -> None:
        optuna = _optuna(config.name)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        seed = seeds.integer(start.seed, "optimizers", config.name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = (
                # Its lies keep the candidates of one generation away from one another.
                optuna.samplers.TPESampler(
                    seed=seed, n_startup_trials=config.startup, multivariate=True, constant_liar=True
                )
                if config.name == "tpe"
                else optuna.samplers.GPSampler(seed=seed, n_startup_trials=config.startup)
            )
        self._study = optuna.create_study(directions=["minimize"] * start.num_objectives, sampler=sampler)
        self._genes = start.genes
        self._space = {gene.name: _distribution(optuna.distributions, gene) for gene in start.genes}
        self._size = config.population
        self._seeds = tuple(start.seeds)
        self._trials: list[Any] = []

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        size = max(self._size, len(self._seeds))
        for genome in self._seeds:
            values = zip(self._genes, genome, strict=True)
            self._study.enqueue_trial({gene.name: coordinate(gene, value) for gene, value in values})
        self._trials = [self._study.ask(self._space) for _ in range(size)]
        sampled = self._trials[len(self._seeds) :]
        generation = [
            *self._seeds,
            *(tuple(value_at(gene, trial.params[gene.name]) for gene in self._genes) for trial in sampled),
        ]
        self._seeds = ()
        return generation

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        for trial, one, losses_M in zip(self._trials, scored, losses_of(scored), strict=True):
            if one.violations:
                trial.set_constraint("violation", violation(one))
            self._study.tell(trial, losses_M.tolist())

    def favourite(self) -> Genome | None:
        """See `Engine.favourite`. The samplers have no centre."""
        return None


def _optuna(name: str) -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        what = f'"{name}" needs optuna, which is not installed. Install it: pip install "evomerge[optuna]".'
        raise ConfigError.at("optimizer.name", what) from None
    return optuna


def _distribution(distributions: Any, gene: Gene) -> Any:
    match gene:
        case FloatGene():
            return distributions.FloatDistribution(0.0, 1.0)
        case IntGene():
            return distributions.IntDistribution(gene.low, gene.high)
        case _:
            return distributions.CategoricalDistribution(range(len(gene.options)))
