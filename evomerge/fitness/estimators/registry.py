"""Estimators by name: what each is for, what it needs, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evomerge.errors import ConfigError
from evomerge.fitness.answers import Design, Pool
from evomerge.fitness.estimators import configs
from evomerge.fitness.estimators.ability import Eap, GpIrt, PIrt
from evomerge.fitness.estimators.base import Estimator
from evomerge.fitness.estimators.combination import GmpIrt, MpIrt
from evomerge.fitness.estimators.configs import EstimatorConfig
from evomerge.fitness.estimators.means import WeightedMean
from evomerge.fitness.estimators.parent import ParentAware
from evomerge.fitness.irt.parents import ParentModel


@dataclass(frozen=True, slots=True)
class Entry:
    """One estimator.

    Attributes:
        config: Type of its settings.
        summary: What it is for, in a line.
        needs: What the pool must have: "bank", "parents", both or neither.
        weighs: Whether it takes the asked items to stand for the others, so that they must not be chosen by answers.
        selector: Name of the selector that suits it.
        make: Makes it from its settings, a pool and the selector's design.
    """

    config: type[EstimatorConfig]
    summary: str
    needs: tuple[str, ...]
    weighs: bool
    selector: str
    make: Callable[[Any, Pool, Design | None], Estimator]


def make_estimator(config: EstimatorConfig, pool: Pool, design: Design | None) -> Estimator:
    """Make an estimator.

    Args:
        config: Its settings.
        pool: The items and what is known of them.
        design: Of the selector.

    Raises:
        ConfigError: If it needs something that the pool or the selector does not have.
    """
    return ESTIMATORS[config.name].make(config, pool, design)


def _mean(config: configs.MeanConfig, pool: Pool, design: Design | None) -> Estimator:
    return WeightedMean(pool, _weighed(design, config.name))


def _p_irt(config: configs.PIrtConfig, pool: Pool, design: Design | None) -> Estimator:
    return PIrt(pool, pool.bank_for(config.name))


def _gp_irt(config: configs.GpIrtConfig, pool: Pool, design: Design | None) -> Estimator:
    return GpIrt(pool, pool.bank_for(config.name), _weighed(design, config.name))


def _mp_irt(config: configs.MpIrtConfig, pool: Pool, design: Design | None) -> Estimator:
    return MpIrt.of(pool, _weighed(design, config.name), config.name)


def _gmp_irt(config: configs.GmpIrtConfig, pool: Pool, design: Design | None) -> Estimator:
    return GmpIrt(MpIrt.of(pool, _weighed(design, config.name), config.name), config.mean_share)


def _eap(config: configs.EapConfig, pool: Pool, design: Design | None) -> Estimator:
    return Eap.of(pool, pool.line_for(config.name))


def _parent(config: configs.ParentConfig, pool: Pool, design: Design | None) -> Estimator:
    parameters = pool.bank.parameters if pool.bank else None
    widening = config.widening or pool.widening
    return ParentAware(pool, ParentModel.of(pool.parents_for(config.name), parameters, widening))


def _weighed(design: Design | None, user: str) -> Design:
    if design is None:
        what = f"cannot weigh items that were chosen by the answers. Take the selector {ESTIMATORS[user].selector}."
        raise ConfigError.at(user, what)
    return design


_BOTH = ("bank", "parents")
ESTIMATORS: Mapping[str, Entry] = {
    "mean": Entry(configs.MeanConfig, "The mean of what was asked; assumes nothing.", (), True, "random", _mean),
    "p_irt": Entry(configs.PIrtConfig, "tinyBenchmarks' p-IRT.", ("bank",), False, "anchors", _p_irt),
    "gp_irt": Entry(configs.GpIrtConfig, "tinyBenchmarks' gp-IRT; 100 items.", ("bank",), True, "anchors", _gp_irt),
    "mp_irt": Entry(configs.MpIrtConfig, "MERGE³'s MP-IRT.", _BOTH, True, "random", _mp_irt),
    "gmp_irt": Entry(configs.GmpIrtConfig, "MERGE³'s GMP-IRT.", _BOTH, True, "random", _gmp_irt),
    "eap": Entry(configs.EapConfig, "Adaptive testing without known parents.", ("bank",), False, "fisher", _eap),
    "parent": Entry(configs.ParentConfig, "Merges of known parents.", ("parents",), False, "c_optimal", _parent),
}
