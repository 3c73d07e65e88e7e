"""Coefficients: the weights of a recipe that a gradient may move, and the recipe with others in their place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evomerge.documents import Tree
from evomerge.errors import ConfigError, Problem
from evomerge.recipe import Recipe
from evomerge.recipe.parts import Parts
from evomerge.recipe.recipe import Blend, PipeRule, RuleValue
from evomerge.recipe.stages import SLOTS, Linear, Ramp, Scale, SignVote, StageValue, Stock, Weigh
from evomerge.spaces.genes import FloatGene, rounded

Numbers = npt.NDArray[np.float64]
Stages = tuple[StageValue, ...]

_SCALES = (Scale, Stock, Ramp)
"""Posts that multiply the merged task vector by what does not depend on it."""


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The `weigh` numbers of the result's blend: a row for each rule that has free ones, a column for each expert.

    Attributes:
        recipe: With weights written out in the rows' rules, which are pipes.
        rules: Of each row, the place of its rule in the blend.
        start_RE: The recipe's own numbers.
        low_RE: Smallest values; minus infinity where nothing bounds them.
        high_RE: Largest values; equal to the smallest where a number is not free.
        is_mean_R: Whether the rule divides by the sum of its weights.
    """

    recipe: Recipe
    rules: tuple[int, ...]
    start_RE: Numbers
    low_RE: Numbers
    high_RE: Numbers
    is_mean_R: npt.NDArray[np.bool_]

    @property
    def experts(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.recipe.blends[self.recipe.result].experts

    @property
    def free(self) -> npt.NDArray[np.bool_]:
        """Which numbers may move, shape (R, E)."""
        return self.low_RE < self.high_RE

    def with_weights(self, weights_RE: Numbers) -> Recipe:
        """The recipe with other weights, rounded as genes are and kept within their bounds."""
        short_RE = np.vectorize(rounded, otypes=[np.float64])(weights_RE)
        return self._rewritten(np.clip(short_RE, self.low_RE, self.high_RE))

    def alone(self, row: int | None = None, expert: int = 0) -> Recipe:
        """The recipe with weight 1 for one expert in one row and 0 for all others, added up without a mean.

        Args:
            row: None for zeros everywhere.
            expert: The column.
        """
        ones_RE = np.zeros_like(self.start_RE)
        if row is not None:
            ones_RE[row, expert] = 1.0
        return self._rewritten(ones_RE, Linear(reduce="sum"))

    def expert(self, name: str) -> Recipe:
        """One expert of the blend as it is, in the recipe's layout."""
        change = {"experts": (name,), "pipe": (Linear(reduce="sum"),), "rules": ()}
        return _with_blend(self.recipe, self.recipe.blends[self.recipe.result].model_copy(update=change))

    def _rewritten(self, weights_RE: Numbers, reduce: StageValue | None = None) -> Recipe:
        rows = dict(zip(self.rules, weights_RE.tolist(), strict=True))
        blend = self.recipe.blends[self.recipe.result]
        rules = [
            rule if place not in rows else _opened(rule, len(blend.experts), tuple(rows[place]), reduce)
            for place, rule in enumerate(blend.all_rules)
        ]
        return _with_rules(self.recipe, rules)


def coefficients_of(recipe: Recipe, where: str, template: Tree | None = None) -> Coefficients:
    """The numbers of a recipe that can be refined.

    Args:
        recipe: One without a route.
        where: Its file or run, for messages.
        template: Plain data of the search space's recipe with genes for leaves: only numbers that are genes are free
            then, between their ends. None: every weight is free.

    Raises:
        ConfigError: If nothing is free, or if merged tensors are no linear function of a free weight, a mean's divisor
            apart.
    """
    if recipe.route is not None or not recipe.blends:
        raise ConfigError.at(where, "has a route, and only merges of parameters are refined. Leave the route out.")
    blend, name = recipe.blends[recipe.result], f"{where}: blends.{recipe.result}"
    bounds = _bounds(blend, None if template is None else template["blends"][recipe.result])
    free = [place for place, pairs in enumerate(bounds) if any(low < high for low, high in pairs)]
    if not free:
        what = "no weight of an expert varies here. Give a rule's pipe a `weigh` with a hole for each expert."
        raise ConfigError.at(name, what)
    num_experts = len(blend.experts)
    rules = [_opened(rule, num_experts) if place in free else rule for place, rule in enumerate(blend.all_rules)]
    parts = {place: Parts.of(rule.pipe, num_experts) for place in free if isinstance(rule := rules[place], PipeRule)}
    ConfigError.raise_if_any(
        Problem(name if blend.pipe is not None else f"{name}.rules[{place}]", what)
        for place, part in parts.items()
        for what in _faults(part)
    )
    start_RE = np.array([part.weigh.weigh for part in parts.values() if isinstance(part.weigh, Weigh)], np.float64)
    low_RE, high_RE = np.moveaxis(np.array([bounds[place] for place in free], np.float64), -1, 0)
    is_free_RE = low_RE < high_RE
    is_mean_R = np.array([getattr(part.reduce, "reduce", None) == "mean" for part in parts.values()])
    low_RE, high_RE = np.where(is_free_RE, low_RE, start_RE), np.where(is_free_RE, high_RE, start_RE)
    return Coefficients(_with_rules(recipe, rules), tuple(free), start_RE, low_RE, high_RE, is_mean_R)


def _bounds(blend: Blend, template: Mapping[str, Tree] | None) -> list[list[tuple[float, float]]]:
    """Per rule and expert the ends of the weight's gene; (0, 0) where it is none."""
    if template is None:
        return [[(-math.inf, math.inf)] * len(blend.experts) for _ in blend.all_rules]
    weighs = [
        next((stage["weigh"] for stage in rule.get("pipe", ()) if "weigh" in stage), None)
        for rule in template.get("rules") or [template]
    ]
    return [
        [
            (gene.low, gene.high) if isinstance(gene, FloatGene) else (0.0, 0.0)
            for gene in (weigh if isinstance(weigh, list | tuple) else [None] * len(blend.experts))
        ]
        for weigh in weighs
    ]


def _faults(parts: Parts) -> Iterator[str]:
    """Why the merged tensors are no linear function of the weights, stage by stage."""
    weigh, vote, reduce = parts.weigh, parts.vote, parts.reduce
    if not isinstance(weigh, Weigh):
        yield _fault(weigh, "finds the weights itself", "Write them as a list")
    if isinstance(vote, SignVote) and vote.tally == "weighted":
        yield _fault(vote, "elects anew with every weight", "Give it `tally: plain`, or leave it out")
    if not isinstance(reduce, Linear):
        yield _fault(reduce, "is no weighted sum", "Only sum and mean can be refined")
    elif reduce.reduce == "mean" and vote is not None:
        yield _fault(reduce, "behind a vote divides every entry by other weights", "Write `reduce: sum`")
    for post in parts.posts:
        if not isinstance(post, _SCALES):
            yield _fault(post, "depends on what was merged", "Leave it out")


def _fault(stage: StageValue, does: str, remedy: str) -> str:
    return f"{stage.slot}: {getattr(stage, stage.slot)} {does}, so that no gradient leads through it. {remedy}."


def _opened(
    rule: RuleValue, num_experts: int, weights: Sequence[float] | None = None, reduce: StageValue | None = None
) -> PipeRule:
    """A rule as a pipe with its weights written out.

    Args:
        rule: A pipe or a preset.
        num_experts: Of the blend.
        weights: In place of its own; None for its own, which are ones where it says nothing.
        reduce: In place of its own; None for its own.
    """
    pipe: Stages = rule.pipe if isinstance(rule, PipeRule) else rule.pipe(num_experts)
    own = Parts.of(pipe, num_experts)
    changed = [own.weigh if weights is None else Weigh(weigh=tuple(weights)), *([reduce] if reduce else [])]
    stages = [stage for stage in pipe if stage.slot not in {stage.slot for stage in changed}]
    stages = sorted([*stages, *changed], key=lambda stage: SLOTS.index(stage.slot))
    return PipeRule(where=rule.where, pipe=tuple(stages))


def _with_rules(recipe: Recipe, rules: Sequence[RuleValue]) -> Recipe:
    blend = recipe.blends[recipe.result]
    if blend.pipe is not None and isinstance(rule := rules[0], PipeRule):
        return _with_blend(recipe, blend.model_copy(update={"pipe": rule.pipe}))
    return _with_blend(recipe, blend.model_copy(update={"rules": tuple(rules)}))


def _with_blend(recipe: Recipe, blend: Blend) -> Recipe:
    return recipe.model_copy(update={"blends": {**recipe.blends, recipe.result: blend}})
