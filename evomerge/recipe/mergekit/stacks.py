"""Stacks: the slices of a mergekit file that put layers in another order, as a route through one blend per slice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evomerge.documents import Tree
from evomerge.recipe.mergekit.blends import blend_of
from evomerge.recipe.mergekit.cuts import Cut
from evomerge.recipe.mergekit.layout import Spot
from evomerge.recipe.mergekit.resolver import Resolver


def stack_of(
    cuts: Sequence[Cut], spots: Sequence[Spot], filters: Sequence[str], resolver: Resolver, seed: int
) -> dict[str, dict[str, Tree]]:
    """One blend per cut, in their order: two cuts may merge one layer in different ways.

    Args:
        cuts: Of the file, in order.
        spots: The tensors of the model.
        filters: All filters of the file.
        resolver: Finds the rules.
        seed: Of the random gates.
    """
    return {
        f"part {number}": blend_of([cut], cuts, spots, filters, resolver, seed)
        for number, cut in enumerate(cuts, start=1)
    }


def route_through(blends: Iterable[str], cuts: Sequence[Cut], spots: Sequence[Spot]) -> dict[str, Tree]:
    """The route and ends of a recipe: embeddings come from the first slice, norm and a head of its own from the last.

    Args:
        blends: Names, one per cut.
        cuts: Of the file, in order.
        spots: The tensors of the model.
    """
    names = [*blends]
    head = head_end(spots, names[0], names[-1])
    route = [{"from": name, "layers": [*cut.layers]} for name, cut in zip(names, cuts, strict=True)]
    return {"route": route, "ends": {"embeddings": names[0], "norm": names[-1], "head": head}}


def head_end(spots: Iterable[Spot], first: str, last: str) -> str:
    """The slice that the head comes from: the last or, where the head is the embeddings, the first."""
    return last if any(spot.role == "head" for spot in spots) else first
