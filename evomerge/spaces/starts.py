"""Starting individuals: presets found again as genomes of a space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evomerge.documents import Tree, parse, shown, suggestion, tree_of
from evomerge.errors import ConfigError
from evomerge.recipe.presets import PRESETS
from evomerge.recipe.stages import KINDS, SLOTS, DensityGate, Linear, Origin, StageValue, Weigh, stage_tree
from evomerge.spaces.genes import Gene, Genome, Scalar
from evomerge.spaces.holes import is_list

_NEUTRAL: dict[str, tuple[dict[str, Tree], ...]] = {
    "origin": ({"origin": "base"},),
    "lens": (),
    "gate": (
        {"gate": "none"},
        *({"gate": gate, "density": 1.0} for gate, kind in KINDS["gate"].items() if issubclass(kind, DensityGate)),
    ),
    "restore": ({"restore": "none"},),
    "vote": ({"vote": "none"},),
    "weigh": (),
    "reduce": ({"reduce": "sum"},),
    "post": (
        {"post": "scale", "by": 1.0},
        {"post": "ramp", "alpha": 1.0, "beta": 0.0},
        {"post": "flatten", "strength": 0.0},
        {"post": "channel", "floor": 1.0},
    ),
}


class NotInSpace(Exception):
    """A pipe cannot be written with the stages and genes of a space; the text says why."""


def start_pipes(start: Tree, num_experts: int, where: str) -> tuple[list[StageValue], ...]:
    """Pipes that a starting individual may be written as; the first that fits a space is taken.

    `uniform` is the plain average of the experts, whichever way the space spells averages.

    Raises:
        ConfigError: If the preset does not exist or its parameters are wrong.
    """
    if start in ("uniform", {"use": "uniform"}):
        shares, ones = Weigh(weigh=(1.0 / num_experts,) * num_experts), Weigh(weigh=(1.0,) * num_experts)
        mean = Linear(reduce="mean")
        return [shares], [ones, mean], [Origin(origin="zero"), ones, mean]
    tree = {"use": start} if isinstance(start, str) else dict(start)
    if tree["use"] not in PRESETS:
        raise ConfigError.at(where, f'"{tree["use"]}" is no preset. {suggestion(tree["use"], [*PRESETS, "uniform"])}')
    preset = parse(PRESETS[tree["use"]], tree, where)
    return ([stage for stage in preset.pipe(num_experts) if not stage.is_neutral and stage != Linear(reduce="sum")],)


def neutral(genes: Sequence[Gene]) -> Genome:
    """The genome in which every gene does nothing.

    Raises:
        NotInSpace: If a gene has no such value.
    """
    return tuple(_value(gene, {}) for gene in genes)


def encode(alternatives: Sequence[list[StageValue]], blend: Mapping[str, Tree], genes: Sequence[Gene]) -> Genome:
    """The genome whose recipe does the same to every group of a blend.

    Args:
        alternatives: Pipes; the first that fits is taken.
        blend: An opened blend.
        genes: All genes of the space; those the blend does not use keep their neutral value.

    Raises:
        NotInSpace: If no alternative can be written with the space's stages and genes.
    """
    reasons = []
    for pipe in alternatives:
        try:
            values = _solve(pipe, blend)
            return tuple(_value(gene, values) for gene in genes)
        except NotInSpace as reason:
            reasons.append(str(reason))
    raise NotInSpace(reasons[0])


def _solve(pipe: list[StageValue], blend: Mapping[str, Tree]) -> dict[str, Scalar]:
    values: dict[str, Scalar] = {}
    for rule in blend.get("rules") or [blend]:
        if "pipe" not in rule:
            raise NotInSpace("its rules are presets, not pipes")
        for name in SLOTS:
            wanted = [stage for stage in pipe if stage.slot == name]
            offered = [stage for stage in rule["pipe"] if name in stage]
            if len(wanted) > len(offered):
                raise NotInSpace(f"it has no stage for {shown(stage_tree(wanted[len(offered)]))}")
            for index, stage in enumerate(offered):
                values |= _match(wanted[index], stage) if index < len(wanted) else _neutralise(name, stage)
    return values


def _match(wanted: StageValue, offered: Mapping[str, Tree]) -> dict[str, Scalar]:
    """Gene values that turn an offered stage into the wanted one."""
    tree, values = tree_of(wanted), dict[str, Scalar]()
    needed = wanted.model_dump(exclude_defaults=True)
    if not all(field in offered for field in needed) or not all(
        field in tree and _fits(part, tree[field], values) for field, part in offered.items()
    ):
        raise NotInSpace(f"its {wanted.slot} stage cannot be {shown(stage_tree(wanted))}")
    return values


def _neutralise(name: str, offered: Mapping[str, Tree]) -> dict[str, Scalar]:
    """Gene values under which an offered stage does nothing."""
    for neutral in _NEUTRAL[name]:
        values: dict[str, Scalar] = {}
        if all(field in offered and _fits(offered[field], wish, values) for field, wish in neutral.items()):
            return values
    raise NotInSpace(f"its {name} stage cannot be switched off")


def _fits(offered: Tree, wanted: Any, values: dict[str, Scalar]) -> bool:
    if isinstance(offered, Gene):
        value = float(wanted) if isinstance(wanted, int | float) and not isinstance(wanted, bool) else wanted
        for candidate in (wanted, value):
            if isinstance(candidate, bool | int | float | str) and offered.contains(candidate):
                values[offered.name] = candidate
                return True
        return False
    if is_list(offered):
        each = wanted if is_list(wanted) else [wanted] * len(offered)
        return len(each) == len(offered) and all(_fits(o, w, values) for o, w in zip(offered, each, strict=True))
    if isinstance(offered, float | int) and isinstance(wanted, float | int):
        return math.isclose(offered, wanted)
    return bool(offered == wanted)


def _value(gene: Gene, values: Mapping[str, Scalar]) -> Scalar:
    if gene.name in values:
        return values[gene.name]
    if gene.neutral is None:
        raise NotInSpace(f"gene {gene.name} takes no part in it and has no neutral value")
    return gene.neutral
