"""Rules: what a mergekit file says of every tensor, gathered into as few rules of a recipe as say the same."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import pydantic

from evomerge.documents import Tree, shown
from evomerge.recipe.canonical import SIGNIFICANT_DIGITS, canonical_pipe
from evomerge.recipe.mergekit.cuts import Cut
from evomerge.recipe.mergekit.faults import Faults
from evomerge.recipe.mergekit.layout import Spot
from evomerge.recipe.mergekit.methods import Method, Parameter
from evomerge.recipe.mergekit.parameters import Found, resolve
from evomerge.recipe.mergekit.settings import Place
from evomerge.recipe.presets import PRESETS
from evomerge.recipe.stages import cancel

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


_ADVICE = "Give one that has no filter, there or in the parameters of the whole file."


class Resolver:
    """Finds the rule of a tensor in a cut, and complains once about what is missing or wrong."""

    def __init__(self, method: Method, faults: Faults) -> None:
        """Prepare for one file.

        Args:
            method: Its merge method.
            faults: Where problems go.
        """
        self._method = method
        self._faults = faults
        self._checked: set[str] = set()
        self._missed: set[tuple[Place, str]] = set()
        self._spellings: dict[Hashable, dict[str, Tree]] = {}

    def experts(self, cut: Cut) -> tuple[str, ...]:
        """The models whose parameters count, in a blend's order."""
        if cut.base is None:
            return cut.models
        others = tuple(model for model in cut.models if model != cut.base)
        return others if self._method.base in ("origin", "optional origin") else (cut.base, *others)

    def rule(self, cut: Cut, tensor: str, t: float, *, quietly: bool = False) -> dict[str, Tree] | None:
        """The preset and its parameters for a tensor; None where some are missing.

        Args:
            cut: Where its layer stands; outside the layers, the first or the last.
            tensor: Its name.
            t: Where its layer stands in the cut.
            quietly: Ask only, complain of nothing.
        """
        tree: dict[str, Tree] = {"use": self._method.preset}
        places: dict[str, list[Place]] = {}
        missing: list[tuple[Place, str]] = []
        scopes = [cut.scopes(model) for model in self.experts(cut)]
        for name, parameter in self._method.parameters.items():
            each = scopes if name in self._method.each else [cut.common]
            found = [resolve(name, parameter.kind, chain, tensor, t) for chain in each]
            if parameter.is_required and None in found:
                missing += [(chain[0][0], name) for chain, one in zip(each, found, strict=True) if one is None]
            elif any(found):
                tree[parameter.field] = self._value(parameter, found)
                places[parameter.field] = [one.place if one else () for one in found]
        if not quietly:
            self._check(tree, places)
            for place, name in missing:
                if (place, name) not in self._missed:
                    self._missed.add((place, name))
                    self._faults.add(place, f'"{name}" has no value for {tensor}. {_ADVICE}')
        return None if missing else self._first_spelling(tree, cut)

    def _first_spelling(self, tree: dict[str, Tree], cut: Cut) -> dict[str, Tree]:
        """Of rules that do the same to this cut's tensors, the one seen first, so that they are one rule."""
        try:
            preset = PRESETS[self._method.preset].model_validate(tree)
        except pydantic.ValidationError:
            return tree  # its faults are told elsewhere
        has_origin = cut.base is not None and self._method.base in ("origin", "optional origin")
        num_experts = len(self.experts(cut))
        pipe = canonical_pipe(preset.pipe(num_experts), num_experts, has_origin)
        return self._spellings.setdefault((num_experts, has_origin, pipe), tree)

    def _value(self, parameter: Parameter, found: Sequence[Found | None]) -> Tree:
        """What the preset's field takes: one value where all are the same, but for weights."""
        default = PRESETS[self._method.preset].model_fields[parameter.field].default
        values = [_tidy(one.value if one else default) for one in found]
        return values if parameter.field == "weights" or len(set(values)) > 1 else values[0]

    def _check(self, tree: dict[str, Tree], places: Mapping[str, list[Place]]) -> None:
        """Check parameters against their preset, once for every combination."""
        if (seen := repr(tree)) in self._checked:
            return
        self._checked.add(seen)
        try:
            PRESETS[self._method.preset].model_validate(tree)
        except pydantic.ValidationError as error:
            for details in error.errors():
                homes = places.get(str(details["loc"][0]), [()])
                index = details["loc"][-1]
                self._faults.add(homes[index if isinstance(index, int) else 0], details["msg"])
        weights = tree.get("weights", ())
        if self._method.base == "input" and tree.get("normalize", True) and weights and cancel(weights):
            self._faults.add(
                places["weights"][0], f"the weights {shown(list(weights))} sum to 0, so that no mean exists."
            )


def regions(
    cuts: Sequence[Cut],
    everything: Sequence[Cut],
    spots: Sequence[Spot],
    filters: Iterable[str],
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
    known = tuple(dict.fromkeys(filters))
    bands: list[Region] = []
    for cut in cuts:
        for layer in range(cut.layers[0], cut.layers[1] + 1):
            names = [spot.name for spot in spots if spot.layer == layer]
            bands.append(_region({"layers": [layer, layer]}, names, known, resolver, cut, cut.t(layer)))
    bands = list(_joined(bands))
    outside = [spot for spot in spots if spot.layer is None]
    front = [spot.name for spot in outside if spot.role == "embedding"] if everything[0] in cuts else []
    behind = [spot.name for spot in outside if spot.role != "embedding"] if everything[-1] in cuts else []
    pre = _region({"roles": ["embedding"]}, front, known, resolver, everything[0], 0.0)
    post = _region({}, behind, known, resolver, everything[-1], 0.0)
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
    pattern = f"*{'*'.join(map(_literal, needed))}*"
    return pattern if fnmatchcase(name, pattern) else _literal(name)


def _literal(text: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)


def _tidy(value: Any) -> Any:
    """Numbers as a recipe's canonical form rounds them."""
    return value if isinstance(value, bool) else float(f"{value:.{SIGNIFICANT_DIGITS}g}") + 0.0
