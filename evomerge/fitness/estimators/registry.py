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
    make: Callable[[Any, Any, Any], Estimator]


def make_estimator(config: EstimatorConfig, pool: Pool, design: Design | None) -> Estimator:
    """Make an estimator.

    Args:
        config: Its settings.
        pool: The items and what is known of them.
        design: Of the selector.

    Raises:
        ConfigError: If it needs something that the pool or the selector does not have.
    """
    entry = ESTIMATORS[config.name]
    if "bank" in entry.needs and pool.bank is None:
        raise ConfigError.at("estimator.name", f'"{config.name}" needs an item bank. Name one as the task\'s `bank`.')
    if "parents" in entry.needs and pool.parents_PN is None:
        what = f'"{config.name}" needs the parents\' own answers, which are not known here. Take eap or mean.'
        raise ConfigError.at("estimator.name", what)
    if entry.weighs and design is None:
        what = (
            f'"{config.name}" cannot weigh items that were chosen by the answers. Take the selector {entry.selector}.'
        )
        raise ConfigError.at("estimator.name", what)
    if config.name == "eap" and pool.bank is not None and pool.bank.provenance.num_dimensions > 1:
        what = (
            f'"eap" needs a bank of one dimension, and this one has {pool.bank.provenance.num_dimensions}. Fit a 2PL.'
        )
        raise ConfigError.at("estimator.name", what)
    return entry.make(config, pool, design)


def _mean(config: configs.MeanConfig, pool: Any, design: Any) -> Estimator:
    return WeightedMean(pool, design)


def _p_irt(config: configs.PIrtConfig, pool: Any, design: Any) -> Estimator:
    return PIrt(pool, pool.bank)


def _gp_irt(config: configs.GpIrtConfig, pool: Any, design: Any) -> Estimator:
    return GpIrt(pool, pool.bank, design)


def _mp_irt(config: configs.MpIrtConfig, pool: Any, design: Any) -> Estimator:
    return MpIrt.of(pool, pool.bank, design, pool.parents_PN)


def _gmp_irt(config: configs.GmpIrtConfig, pool: Any, design: Any) -> Estimator:
    return GmpIrt(MpIrt.of(pool, pool.bank, design, pool.parents_PN), config.mean_share)


def _eap(config: configs.EapConfig, pool: Any, design: Any) -> Estimator:
    return Eap.of(pool, pool.bank)


def _parent(config: configs.ParentConfig, pool: Any, design: Any) -> Estimator:
    parameters = pool.bank.parameters if pool.bank else None
    return ParentAware(pool, ParentModel.of(pool.parents_PN, parameters, config.widening))


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
