"""The resolver: the preset and the parameters that a mergekit file has for one tensor."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pydantic

from evomerge.documents import Tree, complaint, shown
from evomerge.recipe.canonical import canonical_pipe
from evomerge.recipe.digits import significant
from evomerge.recipe.mergekit.cuts import Cut
from evomerge.recipe.mergekit.faults import Faults
from evomerge.recipe.mergekit.methods import Method, Parameter
from evomerge.recipe.mergekit.parameters import Found, resolve
from evomerge.recipe.mergekit.settings import Place
from evomerge.recipe.numbers import refuse_huge
from evomerge.recipe.presets import PRESETS, PresetValue
from evomerge.recipe.stages import cancel

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

    @property
    def measures_from_base(self) -> bool:
        """Whether the base is the origin of task vectors rather than one of the models."""
        return self._method.base in ("origin", "optional origin")

    def experts(self, cut: Cut) -> tuple[str, ...]:
        """The models whose parameters count, in a blend's order."""
        if cut.base not in cut.models:
            return cut.models
        others = tuple(model for model in cut.models if model != cut.base)
        return others if self.measures_from_base else (str(cut.base), *others)

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
            preset = self._preset(tree)
        except pydantic.ValidationError:
            return tree  # its faults are told elsewhere
        has_origin = cut.base is not None and self.measures_from_base
        num_experts = len(self.experts(cut))
        pipe = canonical_pipe(preset.pipe(num_experts), num_experts, has_origin)
        return self._spellings.setdefault((num_experts, has_origin, pipe), tree)

    def _preset(self, tree: dict[str, Tree]) -> PresetValue:
        return refuse_huge(PRESETS[self._method.preset].model_validate(tree))

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
            self._preset(tree)
        except pydantic.ValidationError as error:
            for details in error.errors():
                homes = places.get(str(details["loc"][0]), [()])
                index = details["loc"][-1]
                self._faults.add(homes[index if isinstance(index, int) else 0], complaint(details))
        weights = tree.get("weights", ())
        if self._method.base == "input" and tree.get("normalize", True) and weights and cancel(weights):
            self._faults.add(
                places["weights"][0], f"the weights {shown(list(weights))} sum to 0, so that no mean exists."
            )


def _tidy(value: Any) -> Any:
    """Numbers as a recipe's canonical form rounds them."""
    return value if isinstance(value, bool) else significant(value)
