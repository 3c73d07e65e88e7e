"""Blends: the virtual models of a recipe, tensor by tensor."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass

import torch

from evomerge.checkpoints import Adapted, Checkpoint, shared_rows, stretches_of
from evomerge.errors import CandidateFailed
from evomerge.merging.adapters.blend import acts_on_factors, merged_change
from evomerge.merging.draws import Draw
from evomerge.merging.library import Library
from evomerge.merging.pipe import run_on_task_vectors, run_pipe, task_vectors
from evomerge.merging.site import Reading, Scope, Site
from evomerge.merging.statistics import Readings
from evomerge.recipe import Blend, Recipe
from evomerge.recipe.calibration import PER_CANDIDATE, StatisticKind
from evomerge.recipe.measures import measures, source_of
from evomerge.recipe.parts import Parts
from evomerge.recipe.recipe import PipeRule
from evomerge.recipe.spans import Span, cut
from evomerge.recipe.where import Where


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a blend, ready to act.

    Attributes:
        where: The tensors it governs, of those that no rule before it does; None for all.
        parts: What it does.
        scope: All tensors that it governs.
        statistics: What its blend's stages read, by the place of the expert, None for the origin, and the kind.
    """

    where: Where | None
    parts: Parts
    scope: Scope
    statistics: Mapping[tuple[int | None, StatisticKind], Readings]

    def reading(self, tensor: str, kind: StatisticKind, place: int | None) -> Reading | None:
        """A statistic at a tensor; None where it was not measured."""
        stored = self.statistics.get((place, kind))
        return None if stored is None else stored.reading(tensor)


class Blends:
    """Gives tensors of a recipe's models and blends, computed when asked for.

    Attributes:
        num_shared: By the name of a table of tokens, how many rows all models have, where some have more.
    """

    def __init__(
        self,
        recipe: Recipe,
        library: Library,
        checkpoints: Mapping[str, Checkpoint],
        layouts: Mapping[str, Checkpoint],
    ) -> None:
        """Prepare the blends.

        Args:
            recipe: Canonical.
            library: Where models were opened.
            checkpoints: Those of the recipe's models, by name.
            layouts: Of models and blends, by name: a checkpoint with the same layers.
        """
        self._recipe, self._facts = recipe, library.facts
        self._checkpoints, self._layouts = checkpoints, layouts
        self._known_stretches: dict[str, dict[str, Span]] = {}
        self._adapters = {name: self._adapters_of(blend) for name, blend in recipe.blends.items()}
        self._identities = recipe.identities
        used = self._used()
        self.num_shared = library.facts.once(
            ("rows", *(self._identities[name] for name in used)),
            lambda: shared_rows([checkpoints[name] for name in used]),
        )
        self._rules = {name: self._rules_of(name, blend, library) for name, blend in recipe.blends.items()}

    def has_adapters(self, source: str) -> bool:
        """Whether some of a blend's task vectors are products of an adapter's factors; a model alone has none."""
        return any(self._adapters.get(source, ()))

    def tensor(self, source: str, name: str) -> torch.Tensor:
        """A tensor of a model or of a blend, with as many rows as all models have.

        Returns:
            Float32 where something was merged, else the source's own.

        Raises:
            CandidateFailed: If a model lacks the tensor, or the models' tensors do not fit together.
        """
        if source in self._checkpoints:
            checkpoint = self._checkpoints[source]
            if name not in checkpoint.files:
                raise CandidateFailed(f"model {source} has no tensor {name}.")
            tensor = checkpoint.tensor(name)
            return tensor[: self.num_shared[name]] if name in self.num_shared else tensor
        parts = self.parts(source, name)
        if len(parts) <= 1:
            return self._by_rule(source, parts[0][1] if parts else None, name)
        merged = torch.cat([self._part(source, rule, name, span) for span, rule in parts])
        return merged.view(self._merged_shape(source, name))

    def _part(self, source: str, rule: Rule | None, name: str, span: Span) -> torch.Tensor:
        """What a rule makes of part of a tensor, flat and float32."""
        part = slice(*span)
        if rule is None or self.has_adapters(source):
            return self._by_rule(source, rule, name).flatten()[part].float()
        experts, origin = self.inputs(source, name)
        site = self.site(source, rule, name).piece(span[0])
        flat = [expert.flatten()[part] for expert in experts]
        return run_pipe(rule.parts, flat, origin if origin is None else origin.flatten()[part], site)

    def _by_rule(self, source: str, rule: Rule | None, name: str) -> torch.Tensor:
        """What a rule makes of a tensor of a blend."""
        blend = self._recipe.blends[source]
        if rule is None:
            return self.tensor(blend.origin or blend.experts[0], name)
        if (merged := self._from_factors(source, rule, name)) is not None:
            return merged
        site = self.site(source, rule, name)
        if self.has_adapters(source) and not rule.parts.from_zero:
            return run_on_task_vectors(rule.parts.off_factors, *self._measured(source, name), site)
        experts, origin = self.inputs(source, name)
        return run_pipe(rule.parts, experts, origin, site)

    def inputs(self, source: str, name: str) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """A tensor of every expert of a blend, and of its origin.

        Raises:
            CandidateFailed: If the models' tensors do not fit together.
        """
        blend = self._recipe.blends[source]
        origin = None if blend.origin is None else self.tensor(blend.origin, name)
        experts = [self.tensor(expert, name) for expert in blend.experts]
        self._check_shapes(source, name, experts if origin is None else [*experts, origin])
        return experts, origin

    def _measured(self, source: str, name: str) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Task vectors of a blend, and its origin. Those of adapters are their products, not differences of weights."""
        blend, rows = self._recipe.blends[source], self.num_shared.get(name)
        origin = self.tensor(blend.origin or "", name)
        deltas = []
        for expert, adapter in zip(blend.experts, self._adapters[source], strict=True):
            if adapter is None:
                whole = self.tensor(expert, name)
                self._check_shapes(source, name, [whole, origin])
                deltas += task_vectors([whole], origin)
            else:
                deltas.append(adapter.delta(name) if rows is None else adapter.delta(name)[:rows])
        return deltas, origin

    @staticmethod
    def _check_shapes(source: str, name: str, tensors: list[torch.Tensor]) -> None:
        shapes = {tensor.shape for tensor in tensors}
        if len(shapes) > 1:
            known = " and ".join(sorted(str(list(shape)) for shape in shapes))
            raise CandidateFailed(f"tensor {name} has the shapes {known} in the models of blend {source}.")

    def _from_factors(self, source: str, rule: Rule, name: str) -> torch.Tensor | None:
        """A tensor of a blend of adapters, by a rule that their factors are enough for; None of other blends."""
        adapters = [adapter for adapter in self._adapters[source] if adapter is not None and not adapter.is_whole(name)]
        is_enough = len(adapters) == len(self._adapters[source]) and name not in self.num_shared
        if not is_enough or not acts_on_factors(rule.parts):
            return None
        change = merged_change(rule.parts, adapters, name, self._recipe.blends[source].seed)
        base = adapters[0].base.tensor(name)
        return base if change is None else change.dense().add_(base)

    def _adapters_of(self, blend: Blend) -> list[Adapted | None]:
        """Those of a blend's experts that are adapters on its origin; None in the place of others."""
        origin = self._checkpoints.get(blend.origin or "")
        experts = [self._checkpoints.get(expert) for expert in blend.experts]
        return [expert if isinstance(expert, Adapted) and expert.base is origin else None for expert in experts]

    def parts(self, source: str, name: str) -> list[tuple[Span, Rule | None]]:
        """The parts of a tensor, flattened, and the rule of a blend that governs each: one, but where spans cut it.

        Rules are None where the tensor is the origin's own.
        """
        start, rules = self._stretches(source)[name][0], self._rules_for(source, name)
        spans = [rule.where.span if rule.where else None for rule in rules]
        found = cut(spans, (start, start + math.prod(self._merged_shape(source, name))))
        return [((a - start, b - start), None if place is None else rules[place]) for (a, b), place in found]

    def _rules_for(self, source: str, name: str) -> list[Rule]:
        """The rules of a blend for a tensor or part of it, up to the first that is for all of it."""
        position, found = self._layouts[source].position(name), list[Rule]()
        start, stop = self._stretches(source)[name]
        for rule in self._rules[source]:
            span = rule.where.span if rule.where else None
            if span is not None and not (span[0] < stop and start < span[1]):  # asked first: members have many spans
                continue
            if rule.where is None or rule.where.matches(name, position.layer, position.role):
                found.append(rule)
                if span is None:
                    break
        return found

    def _merged_shape(self, source: str, name: str) -> tuple[int, ...]:
        """The shape of what all models have of a tensor."""
        shape = self._layouts[source].shape(name)
        return (self.num_shared[name], *shape[1:]) if name in self.num_shared else shape

    def _stretches(self, source: str) -> dict[str, Span]:
        donor = self._recipe.donor_of(source)
        if donor not in self._known_stretches:
            stretches = stretches_of(self._layouts[source])
            self._known_stretches[donor] = {stretch.name: (stretch.start, stretch.stop) for stretch in stretches}
        return self._known_stretches[donor]

    def site(self, source: str, rule: Rule, name: str) -> Site:
        """What the stages of a rule may know of a tensor."""
        blend = self._recipe.blends[source]
        draws = [Draw(blend.seed, self._identities[expert], name) for expert in blend.experts]
        layout = self._layouts[source]
        position, num_layers = layout.position(name), max(1, layout.num_layers)
        keys = self._keys(blend, name, rule.parts.from_zero)
        statistics = functools.partial(rule.reading, name)
        return Site(name, position, num_layers, draws, rule.scope, facts=self._facts, keys=keys, statistics=statistics)

    def _keys(self, blend: Blend, name: str, from_zero: bool) -> list[Hashable | None]:
        """What names each task vector by content; None where a blend, which the recipe may change, takes part."""
        source = None if from_zero else blend.origin
        if source in self._recipe.blends:
            return [None] * len(blend.experts)
        origin, rows = source and self._identities[source], self.num_shared.get(name)
        return [
            None if expert in self._recipe.blends else (self._identities[expert], origin, name, rows)
            for expert in blend.experts
        ]

    def _governed(self, source: str, index: int) -> Iterator[tuple[Site, list[torch.Tensor]]]:
        """Site and task vectors of every tensor that one rule of a blend governs."""
        rule, layout = self._rules[source][index], self._layouts[source]
        for name in layout.names:
            if layout.dtype(name).is_floating_point and next(iter(self._rules_for(source, name)), None) is rule:
                origin: torch.Tensor | None
                if self.has_adapters(source) and not rule.parts.from_zero:
                    deltas, origin = self._measured(source, name)
                else:
                    experts, origin = self.inputs(source, name)
                    origin = None if rule.parts.from_zero else origin
                    deltas = task_vectors(experts, origin)
                yield dataclasses.replace(self.site(source, rule, name), origin=origin), deltas

    def _rules_of(self, source: str, blend: Blend, library: Library) -> list[Rule]:
        rules, statistics = [], self._statistics(source, blend, library)
        for index, rule in enumerate(blend.rules):
            assert isinstance(rule, PipeRule), "the canonical form has no presets"
            parts = Parts.of(rule.pipe, len(blend.experts))
            scope = Scope(functools.partial(self._governed, source, index))
            rules.append(Rule(rule.where, parts, scope, statistics))
        return rules

    def _statistics(
        self, source: str, blend: Blend, library: Library
    ) -> dict[tuple[int | None, StatisticKind], Readings]:
        """What a blend's stages read, by the place of the expert, None for the origin, and the kind."""
        models, data = self._recipe.models, self._recipe.calibration or {}
        sources = {key: source_of(blend, key[0]) or "" for key in measures(blend)}
        found: dict[tuple[int | None, StatisticKind], Readings] = {
            key: library.statistics(models[name], data[name], key[1])
            for key, name in sources.items()
            if key[1] not in PER_CANDIDATE
        }
        if len(found) < len(sources):
            rig = library.rig([(models[name], data[name]) for name in blend.experts])
            from evomerge.merging.statistics.prefix import Prefix  # brings transformers along

            prefix = Prefix(rig, functools.partial(self.tensor, source))
            found |= {(place, "merged_gram"): prefix.of(place) for place in range(len(blend.experts))}
        return found

    def _used(self) -> list[str]:
        """Models whose tensors take part; others must not change the result."""
        sources = {self._recipe.donor, self._recipe.tokenizer_donor, *self._recipe.sources}
        for blend in self._recipe.blends.values():
            sources |= {*blend.experts, blend.origin or self._recipe.donor}
        return [name for name in self._recipe.models if name in sources]
