"""Selectors by name: what each is for, what it needs, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evomerge.fitness.answers import Pool
from evomerge.fitness.estimators.ability import prior_of_parents
from evomerge.fitness.irt.parents import ParentModel
from evomerge.fitness.selectors import configs
from evomerge.fitness.selectors.anchors import anchor_items
from evomerge.fitness.selectors.base import Chooser, Selector
from evomerge.fitness.selectors.c_optimal import COptimal
from evomerge.fitness.selectors.configs import SelectorConfig
from evomerge.fitness.selectors.fisher import MaximumInformation
from evomerge.fitness.selectors.fixed import random_items, strata_of_difficulty, strata_of_parents, stratified_items


@dataclass(frozen=True, slots=True)
class Draw:
    """What of a choice is left to chance.

    Attributes:
        seed: Of whatever is drawn at random.
        open_N: Whether an item of the pool may be asked adaptively; None: every one. Where all that may be are asked,
            the others are asked too.
    """

    seed: int
    open_N: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One selector.

    Attributes:
        config: Type of its settings.
        summary: What it is for, in a line.
        adapts: Whether it looks at a candidate's answers, so that candidates are asked different items.
        make: Makes it from its settings, a pool, the number of items that will be asked and a draw.
    """

    config: type[SelectorConfig]
    summary: str
    adapts: bool
    make: Callable[[Any, Pool, int, Draw], Selector]


def needs(config: SelectorConfig) -> str | None:
    """What a pool must have for a selector: "bank", "parents", or nothing."""
    match config:
        case configs.AnchorsConfig() | configs.FisherConfig() | configs.StratifiedConfig(by="difficulty"):
            return "bank"
        case configs.COptimalConfig() | configs.StratifiedConfig(by="parents"):
            return "parents"
    return None


def make_selector(config: SelectorConfig, pool: Pool, num_items: int, draw: Draw) -> Selector:
    """Make a selector.

    Args:
        config: Its settings.
        pool: The items and what is known of them.
        num_items: How many each candidate will be asked; anchors and strata are laid out for that number.
        draw: What is left to chance.

    Raises:
        ConfigError: If it needs a bank or parents that the pool does not have.
    """
    return SELECTORS[config.name].make(config, pool, num_items, draw)


def _random(config: configs.RandomConfig, pool: Pool, num_items: int, draw: Draw) -> Selector:
    return random_items(pool.num_items, draw.seed)


def _stratified(config: configs.StratifiedConfig, pool: Pool, num_items: int, draw: Draw) -> Selector:
    if config.by == "parents":
        strata_N, importance_S = strata_of_parents(pool.parents_for(config.name))
        return stratified_items(strata_N, draw.seed, importance_S)
    num_strata = config.strata or max(2, min(10, num_items // 3))
    shares_N = np.nanmean(pool.bank_for(config.name).responses_MN.astype(np.float64), axis=0)
    return stratified_items(strata_of_difficulty(shares_N, num_strata), draw.seed)


def _anchors(config: configs.AnchorsConfig, pool: Pool, num_items: int, draw: Draw) -> Selector:
    bank = pool.bank_for(config.name)
    if config.by == "responses":
        responses_NM = bank.responses_MN.T.astype(np.float64)
        means_N1 = np.nanmean(responses_NM, axis=1, keepdims=True)
        return anchor_items(np.where(np.isnan(responses_NM), means_N1, responses_NM), num_items, draw.seed)
    features_NF = np.column_stack([bank.parameters.discriminations_ND, bank.parameters.difficulties_N])
    return anchor_items(features_NF, num_items, draw.seed)


def _fisher(config: configs.FisherConfig, pool: Pool, num_items: int, draw: Draw) -> Selector:
    bank = pool.line_for(config.name)
    chooser = Chooser(pool.num_items, config.top, draw.seed, draw.open_N)
    return MaximumInformation.of(bank, prior_of_parents(pool, bank), chooser, config.block)


def _c_optimal(config: configs.COptimalConfig, pool: Pool, num_items: int, draw: Draw) -> Selector:
    parameters = pool.bank.parameters if pool.bank else None
    model = ParentModel.of(pool.parents_for(config.name), parameters, config.widening or pool.widening)
    return COptimal(model, Chooser(pool.num_items, config.top, draw.seed, draw.open_N), config.block)


SELECTORS: Mapping[str, Entry] = {
    "random": Entry(configs.RandomConfig, "Random items; needs nothing.", False, _random),
    "stratified": Entry(configs.StratifiedConfig, "Random items within strata; unbiased.", False, _stratified),
    "anchors": Entry(configs.AnchorsConfig, "Centres of clusters of alike items.", False, _anchors),
    "fisher": Entry(configs.FisherConfig, "Adaptive testing; for candidates without known parents.", True, _fisher),
    "c_optimal": Entry(configs.COptimalConfig, "Blocks that tell most of a merge's score.", True, _c_optimal),
}
