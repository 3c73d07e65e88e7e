"""Rules: what a mergekit file says of every tensor, gathered into as few rules of a recipe as say the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import escape
from typing import TypeAlias

from evomerge.documents import Tree
from evomerge.recipe.mergekit.cuts import Cut
from evomerge.recipe.mergekit.layout import Spot
from evomerge.recipe.mergekit.resolver import Resolver

Signature: TypeAlias = frozenset[str]
"""The filters that a name meets. Tensors of one cut and layer with one signature have the same parameters."""

Rules: TypeAlias = dict[Signature, dict[str, Tree]]


@dataclass(slots=True)
class Region:
    """Tensors that `where` can tell from the others without their names.

    Attributes:
        where: Layers and roles; empty for all that is left.
        rules: By the filters that names meet.
        names: The names behind each signature.
    """

    where: dict[str, Tree]
    rules: Rules
    names: dict[Signature, list[str]] = field(default_factory=dict)

    def merge(self, other: Region) -> None:
        """Take over the tensors of another region that has no other rules for the same signatures."""
        self.rules |= other.rules
        for signature, names in other.names.items():
            self.names.setdefault(signature, []).extend(names)

    def trees(self) -> Iterator[dict[str, Tree]]:
        """The rules of a recipe, the more filters the earlier, without those that a later one repeats."""
        kept: list[tuple[list[str], dict[str, Tree]]] = []
        for signature in sorted(self.rules, key=lambda known: (len(known), sorted(known))):
            rule, names = self.rules[signature], self.names[signature]
            if not all(_first_for(name, kept) == rule for name in names):
                kept.insert(0, (sorted(_patterns(signature, names)) if signature else ["*"], rule))
        for patterns, rule in kept:
            where = self.where | ({} if patterns == ["*"] else {"names": patterns})
            yield ({"where": where} if where else {}) | rule


def regions(
    cuts: Sequence[Cut],
    everything: Sequence[Cut],
    spots: Sequence[Spot],
    filters: Sequence[str],
    resolver: Resolver,
) -> list[Region]:
    """The regions of some cuts, in the order of a recipe's rules; the last one has no layers.

    Tensors outside the layers take the gradients' first values: those in front of the layers from the file's first
    cut, those behind from its last.

    Args:
        cuts: Those that are merged from the same models.
        everything: All cuts of the file.
        spots: The tensors of the model.
        filters: All filters of the file.
        resolver: Finds the rules.
    """
    bands: list[Region] = []
    for cut in cuts:
        for layer in range(cut.layers[0], cut.layers[1] + 1):
            names = [spot.name for spot in spots if spot.layer == layer]
            bands.append(_region({"layers": [layer, layer]}, names, filters, resolver, cut, cut.t(layer)))
    bands = list(_joined(bands))
    outside = [spot for spot in spots if spot.layer is None]
    front = [spot.name for spot in outside if spot.role == "embedding"] if everything[0] in cuts else []
    behind = [spot.name for spot in outside if spot.role != "embedding"] if everything[-1] in cuts else []
    pre = _region({"roles": ["embedding"]}, front, filters, resolver, everything[0], 0.0)
    post = _region({}, behind, filters, resolver, everything[-1], 0.0)
    if behind:
        for region in (*bands, pre):
            if all(
                resolver.rule(everything[-1], n[0], 0.0, quietly=True) == region.rules.get(s)
                for s, n in region.names.items()
            ):
                post.merge(region)
                region.rules = {}
    return [region for region in (*bands, pre, post) if region.rules]


def _region(
    where: dict[str, Tree], names: Sequence[str], filters: Sequence[str], resolver: Resolver, cut: Cut, t: float
) -> Region:
    region = Region(where, {})
    for name in names:
        signature = frozenset(text for text in filters if text in name)
        region.names.setdefault(signature, []).append(name)
        if len(region.names[signature]) == 1:
            rule = resolver.rule(cut, name, t)
            if rule is not None:
                region.rules[signature] = rule
    return region


def _joined(bands: Iterable[Region]) -> Iterator[Region]:
    """Neighbouring layers with the same rules as one region."""
    last: Region | None = None
    for band in bands:
        if last is not None and last.rules == band.rules:
            last.where = {"layers": [last.where["layers"][0], band.where["layers"][1]]}
            last.merge(band)
        else:
            if last is not None:
                yield last
            last = band
    if last is not None:
        yield last


def _first_for(name: str, rules: Sequence[tuple[list[str], dict[str, Tree]]]) -> dict[str, Tree] | None:
    return next((rule for patterns, rule in rules if any(fnmatchcase(name, text) for text in patterns)), None)


def _patterns(signature: Signature, names: Sequence[str]) -> set[str]:
    """Shell-style patterns that all of the names match, and no name without all filters of the signature."""
    return {_pattern(signature, name) for name in names}


def _pattern(signature: Signature, name: str) -> str:
    needed = [text for text in signature if not any(text in other for other in signature if other != text)]
    needed.sort(key=name.index)
    pattern = f"*{'*'.join(map(escape, needed))}*"
    return pattern if fnmatchcase(name, pattern) else escape(name)
