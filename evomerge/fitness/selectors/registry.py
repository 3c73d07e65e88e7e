"""Selectors by name: what each is for, what it needs, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evomerge.errors import ConfigError
from evomerge.fitness.answers import Pool
from evomerge.fitness.estimators.ability import prior_of_parents
from evomerge.fitness.irt.model import ItemParameters
from evomerge.fitness.irt.parents import ParentModel
from evomerge.fitness.selectors import configs
from evomerge.fitness.selectors.anchors import anchor_items
from evomerge.fitness.selectors.base import Chooser, Selector
from evomerge.fitness.selectors.c_optimal import COptimal
from evomerge.fitness.selectors.configs import SelectorConfig
from evomerge.fitness.selectors.fisher import MaximumInformation
from evomerge.fitness.selectors.fixed import random_items, strata_of_difficulty, strata_of_parents, stratified_items


@dataclass(frozen=True, slots=True)
class Entry:
    """One selector.

    Attributes:
        config: Type of its settings.
        summary: What it is for, in a line.
        adapts: Whether it looks at a candidate's answers, so that candidates are asked different items.
        make: Makes it from its settings, a pool, the number of items that will be asked and a seed.
    """

    config: type[SelectorConfig]
    summary: str
    adapts: bool
    make: Callable[[Any, Pool, int, int], Selector]


def needs(config: SelectorConfig) -> str | None:
    """What a pool must have for a selector: "bank", "parents", or nothing."""
    match config:
        case configs.AnchorsConfig() | configs.FisherConfig() | configs.StratifiedConfig(by="difficulty"):
            return "bank"
        case configs.COptimalConfig() | configs.StratifiedConfig(by="parents"):
            return "parents"
    return None


def make_selector(config: SelectorConfig, pool: Pool, num_items: int, seed: int) -> Selector:
    """Make a selector.

    Args:
        config: Its settings.
        pool: The items and what is known of them.
        num_items: How many each candidate will be asked; anchors and strata are laid out for that number.
        seed: Of whatever is drawn at random.

    Raises:
        ConfigError: If it needs a bank or parents that the pool does not have.
    """
    if (needed := needs(config)) and getattr(pool, _PART[needed]) is None:
        raise ConfigError.at("selector.name", f'"{config.name}" needs {ADVICE[needed]}')
    return SELECTORS[config.name].make(config, pool, num_items, seed)


ADVICE: Mapping[str, str] = {
    "bank": "an item bank. Name one as the task's `bank`, or take the selector random.",
    "parents": "the parents' own answers, which are not known here. Take the selector random.",
}
_PART = {"bank": "bank", "parents": "parents_PN"}


def parameters_of(pool: Pool) -> ItemParameters | None:
    """Parameters of the pool's bank, if it has one."""
    return pool.bank.parameters if pool.bank is not None else None


def _random(config: configs.RandomConfig, pool: Pool, num_items: int, seed: int) -> Selector:
    return random_items(pool.num_items, seed)


def _stratified(config: configs.StratifiedConfig, pool: Pool, num_items: int, seed: int) -> Selector:
    if config.by == "parents":
        assert pool.parents_PN is not None
        strata_N, importance_S = strata_of_parents(pool.parents_PN)
        return stratified_items(strata_N, seed, importance_S)
    assert pool.bank is not None
    num_strata = config.strata or max(2, min(10, num_items // 3))
    shares_N = np.nanmean(pool.bank.responses_MN.astype(np.float64), axis=0)
    return stratified_items(strata_of_difficulty(shares_N, num_strata), seed)


def _anchors(config: configs.AnchorsConfig, pool: Pool, num_items: int, seed: int) -> Selector:
    assert pool.bank is not None
    if config.by == "responses":
        responses_NM = pool.bank.responses_MN.T.astype(np.float64)
        means_N1 = np.nanmean(responses_NM, axis=1, keepdims=True)
        return anchor_items(np.where(np.isnan(responses_NM), means_N1, responses_NM), num_items, seed)
    parameters = pool.bank.parameters
    features_NF = np.column_stack([parameters.discriminations_ND, parameters.difficulties_N])
    return anchor_items(features_NF, num_items, seed)


def _fisher(config: configs.FisherConfig, pool: Pool, num_items: int, seed: int) -> Selector:
    assert pool.bank is not None
    prior_K = prior_of_parents(pool, pool.bank)
    return MaximumInformation.of(pool.bank, prior_K, Chooser(pool.num_items, config.top, seed), config.block)


def _c_optimal(config: configs.COptimalConfig, pool: Pool, num_items: int, seed: int) -> Selector:
    assert pool.parents_PN is not None
    model = ParentModel.of(pool.parents_PN, parameters_of(pool), config.widening)
    return COptimal(model, Chooser(pool.num_items, config.top, seed), config.block)


SELECTORS: Mapping[str, Entry] = {
    "random": Entry(configs.RandomConfig, "Random items; needs nothing.", False, _random),
    "stratified": Entry(configs.StratifiedConfig, "Random items within strata; unbiased.", False, _stratified),
    "anchors": Entry(configs.AnchorsConfig, "Centres of clusters of alike items.", False, _anchors),
    "fisher": Entry(configs.FisherConfig, "Adaptive testing; for candidates without known parents.", True, _fisher),
    "c_optimal": Entry(configs.COptimalConfig, "Blocks that tell most of a merge's score.", True, _c_optimal),
}
