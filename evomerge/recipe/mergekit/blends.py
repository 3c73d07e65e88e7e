"""Blends: the cuts of a mergekit file as blends of a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evomerge.documents import Tree
from evomerge.recipe.mergekit.cuts import Cut
from evomerge.recipe.mergekit.layout import Spot
from evomerge.recipe.mergekit.resolver import Resolver
from evomerge.recipe.mergekit.rules import regions

RESULT = "merged"
"""Name of the last blend."""


def blends_of(
    cuts: Sequence[Cut], spots: Sequence[Spot], filters: Sequence[str], resolver: Resolver, seed: int
) -> dict[str, dict[str, Tree]]:
    """One blend per set of models, and a last one that picks among them where there are several.

    Args:
        cuts: Of the file, in order.
        spots: The tensors of the model.
        filters: All filters of the file.
        resolver: Finds the rules.
        seed: Of the random gates.
    """
    groups: dict[tuple[str | None, tuple[str, ...]], list[Cut]] = {}
    for cut in cuts:
        groups.setdefault((cut.base, cut.models), []).append(cut)
    blends: dict[str, dict[str, Tree]] = {}
    for number, members in enumerate(groups.values(), start=1):
        name = RESULT if len(groups) == 1 else f"part {number}"
        blends[name] = blend_of(members, cuts, spots, filters, resolver, seed)
    if len(groups) > 1:
        blends[RESULT] = _picking(blends, list(groups.values()), cuts)
    return blends


def blend_of(
    members: Sequence[Cut],
    cuts: Sequence[Cut],
    spots: Sequence[Spot],
    filters: Sequence[str],
    resolver: Resolver,
    seed: int,
) -> dict[str, Tree]:
    """The blend of some cuts that are merged from the same models; `cuts` are all of the file."""
    base = members[0].base
    return {
        **({"origin": base} if base and resolver.measures_from_base else {}),
        "experts": list(resolver.experts(members[0])),
        "seed": seed,
        "rules": [rule for region in regions(members, cuts, spots, filters, resolver) for rule in region.trees()],
    }


def _picking(blends: Mapping[str, Tree], groups: Sequence[Sequence[Cut]], cuts: Sequence[Cut]) -> dict[str, Tree]:
    """A blend that takes every tensor from the part that it belongs to, as it is."""

    def taking(cut: Cut) -> list[dict[str, Tree]]:
        return [{"origin": "zero"}, {"weigh": [float(cut in members) for members in groups]}]

    rules: list[dict[str, Tree]] = [{"where": {"layers": list(cut.layers)}, "pipe": taking(cut)} for cut in cuts]
    rules.append({"where": {"roles": ["embedding"]}, "pipe": taking(cuts[0])})
    return {"experts": list(blends), "rules": [*rules, {"pipe": taking(cuts[-1])}]}
