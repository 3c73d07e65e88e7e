"""One recipe applied to its models, tensor by tensor."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass

import torch

from evomerge.checkpoints import Adapted, Checkpoint, shared_rows
from evomerge.errors import CandidateFailed
from evomerge.merging.adapters.blend import acts_on_factors, merged_change
from evomerge.merging.chunks import Sources, can_cut, merge_into, prepared, row_width
from evomerge.merging.draws import Draw
from evomerge.merging.fused import Loop, merge_fused
from evomerge.merging.library import Library
from evomerge.merging.pipe import run_on_task_vectors, run_pipe, task_vectors
from evomerge.merging.site import Reading, Scope, Site
from evomerge.merging.statistics import Readings
from evomerge.recipe import Blend, Recipe
from evomerge.recipe.calibration import PER_CANDIDATE, StatisticKind
from evomerge.recipe.measures import measures, source_of
from evomerge.recipe.parts import Parts
from evomerge.recipe.recipe import PipeRule
from evomerge.recipe.where import Where

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class _Rule:
    where: Where | None
    parts: Parts
    scope: Scope
    statistics: Mapping[tuple[int | None, StatisticKind], Readings]

    def reading(self, tensor: str, kind: StatisticKind, place: int | None) -> Reading | None:
        stored = self.statistics.get((place, kind))
        return None if stored is None else stored.reading(tensor)


class Merge:
    """The tensors of a recipe's result, computed when asked for; nothing is kept between them."""

    def __init__(self, recipe: Recipe, library: Library) -> None:
        """Prepare a merge.

        Args:
            recipe: Any spelling; its canonical form is what is merged.
            library: Where models are opened.
        """
        self._recipe = recipe.canonical
        self._facts, self._is_fused = library.facts, library.is_fused
        self._checkpoints = library.open_all(recipe.models)
        self._adapters = {name: self._adapters_of(blend) for name, blend in self._recipe.blends.items()}
        self._identities = self._recipe.identities
        self.donor: Checkpoint = self._checkpoints[recipe.donor]
        self._tokens = self._checkpoints[recipe.tokenizer_donor]
        used = self._used(recipe)
        self._num_shared = library.facts.once(
            ("rows", *(self._identities[name] for name in used)),
            lambda: shared_rows([self._checkpoints[name] for name in used]),
        )
        self._rules = {name: self._rules_of(name, blend, library) for name, blend in self._recipe.blends.items()}

    @property
    def names(self) -> list[str]:
        """Names of the result's tensors."""
        return self.donor.names

    @property
    def num_tokens(self) -> int | None:
        """How many rows the embeddings have, where that is not the number in the donor's config."""
        return next(
            (self.shape(name)[0] for name in self._num_shared if self.shape(name) != self.donor.shape(name)), None
        )

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor of the result, which has a row for every token of its tokenizer."""
        return (self._tokens if name in self._num_shared else self.donor).shape(name)

    def dtype(self, name: str) -> torch.dtype:
        """Dtype of a tensor of the result; whole numbers keep theirs."""
        stored = self.donor.dtype(name)
        if self._recipe.dtype is None or not stored.is_floating_point:
            return stored
        return _DTYPES[self._recipe.dtype]

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor of the result before its one rounding to `dtype(name)`.

        Returns:
            Float32 where something was merged, else the source's own; whole numbers as the donor has them.

        Raises:
            CandidateFailed: If the models' tensors do not fit together.
        """
        if not self.donor.dtype(name).is_floating_point:
            return self.donor.tensor(name)
        merged = self._source(self._recipe.result, name)
        return torch.cat([merged, self._own_rows(name).to(merged)]) if name in self._num_shared else merged

    def rounded(self, name: str) -> torch.Tensor:
        """A tensor of the result in `dtype(name)`.

        Raises:
            CandidateFailed: If the models' tensors do not fit together.
        """
        place = torch.empty(self.shape(name), dtype=self.dtype(name))
        self.into(name, place)
        return place

    def into(self, name: str, place: torch.Tensor) -> None:
        """Overwrite a tensor with the result's, rounded to `dtype(name)` on the way.

        Args:
            name: The result's tensor.
            place: Of the result's shape, on any device; a contiguous one on the CPU is written piece by piece.

        Raises:
            CandidateFailed: If the models' tensors do not fit together.
        """
        blend, dtype = self._recipe.blends[self._recipe.result], self.dtype(name)
        rule = self._rule(self._recipe.result, name) if dtype.is_floating_point else None
        in_pieces = place.device.type == "cpu" and place.is_contiguous()
        if rule is None or not can_cut(rule.parts) or not in_pieces or any(self._adapters[self._recipe.result]):
            place.copy_(self.tensor(name).to(dtype))
            return
        experts, origin = self._inputs(self._recipe.result, name)
        if name in self._num_shared:
            place[self._num_shared[name] :].copy_(self._own_rows(name).to(dtype))
            place = place[: self._num_shared[name]]
        flat = place.view(-1)
        sources = Sources(
            [expert.flatten() for expert in experts],
            origin if origin is None else origin.flatten(),
            self._keys(blend, name, rule.parts.from_zero),
            width=row_width(rule.parts, experts[0]),
        )

        def write(start: int, piece: torch.Tensor) -> None:
            # via the dtype of the file, which need not be the one that the place has
            flat[start : start + piece.numel()].copy_(piece if flat.dtype == dtype else piece.to(dtype))

        parts, site = prepared(rule.parts, sources, self._site(blend, rule, name), self._facts)
        if self._is_fused and flat.dtype == dtype and (loop := Loop.of(parts, site)):
            merge_fused(loop, parts, sources, site, self._facts, flat)
        else:
            merge_into(parts, sources, site, write)

    def _source(self, source: str, name: str) -> torch.Tensor:
        """A tensor of a model or of a blend."""
        if source in self._checkpoints:
            checkpoint = self._checkpoints[source]
            if name not in checkpoint.files:
                raise CandidateFailed(f"model {source} has no tensor {name}.")
            tensor = checkpoint.tensor(name)
            return tensor[: self._num_shared[name]] if name in self._num_shared else tensor
        blend, rule = self._recipe.blends[source], self._rule(source, name)
        if rule is None:
            return self._source(blend.origin or blend.experts[0], name)
        if (merged := self._from_factors(source, rule, name)) is not None:
            return merged
        site = self._site(blend, rule, name)
        if any(self._adapters[source]) and not rule.parts.from_zero:
            return run_on_task_vectors(rule.parts.off_factors, *self._measured(source, name), site)
        experts, origin = self._inputs(source, name)
        return run_pipe(rule.parts, experts, origin, site)

    def _used(self, recipe: Recipe) -> list[str]:
        """Models whose tensors take part; others must not change the result."""
        sources = {recipe.donor, recipe.tokenizer_donor}
        for blend in self._recipe.blends.values():
            sources |= {*blend.experts, blend.origin or recipe.donor}
        return [name for name in recipe.models if name in sources]

    def _own_rows(self, name: str) -> torch.Tensor:
        """The rows of tokens that not all models have: those of the model that gives the tokenizer."""
        return self._tokens.tensor(name)[self._num_shared[name] :]

    def _adapters_of(self, blend: Blend) -> list[Adapted | None]:
        """Those of a blend's experts that are adapters on its origin; None in the place of others."""
        origin = self._checkpoints.get(blend.origin or "")
        experts = [self._checkpoints.get(expert) for expert in blend.experts]
        return [expert if isinstance(expert, Adapted) and expert.base is origin else None for expert in experts]

    def _from_factors(self, source: str, rule: _Rule, name: str) -> torch.Tensor | None:
        """A tensor of a blend of adapters, by a rule that their factors are enough for; None of other blends."""
        adapters = [adapter for adapter in self._adapters[source] if adapter is not None and not adapter.is_whole(name)]
        is_enough = len(adapters) == len(self._adapters[source]) and name not in self._num_shared
        if not is_enough or not acts_on_factors(rule.parts):
            return None
        change = merged_change(rule.parts, adapters, name, self._recipe.blends[source].seed)
        base = adapters[0].base.tensor(name)
        return base if change is None else change.dense().add_(base)

    def _measured(self, source: str, name: str) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Task vectors of a blend, and its origin. Those of adapters are their products, not differences of weights."""
        blend, rows = self._recipe.blends[source], self._num_shared.get(name)
        origin = self._source(blend.origin or "", name)
        deltas = []
        for expert, adapter in zip(blend.experts, self._adapters[source], strict=True):
            if adapter is None:
                whole = self._source(expert, name)
                self._check_shapes(source, name, [whole, origin])
                deltas += task_vectors([whole], origin)
            else:
                deltas.append(adapter.delta(name) if rows is None else adapter.delta(name)[:rows])
        return deltas, origin

    def _inputs(self, source: str, name: str) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """A tensor of every expert of a blend, and of its origin."""
        blend = self._recipe.blends[source]
        origin = None if blend.origin is None else self._source(blend.origin, name)
        experts = [self._source(expert, name) for expert in blend.experts]
        self._check_shapes(source, name, experts if origin is None else [*experts, origin])
        return experts, origin

    @staticmethod
    def _check_shapes(source: str, name: str, tensors: list[torch.Tensor]) -> None:
        shapes = {tensor.shape for tensor in tensors}
        if len(shapes) > 1:
            known = " and ".join(sorted(str(list(shape)) for shape in shapes))
            raise CandidateFailed(f"tensor {name} has the shapes {known} in the models of blend {source}.")

    def _site(self, blend: Blend, rule: _Rule, name: str) -> Site:
        draws = [Draw(blend.seed, self._identities[expert], name) for expert in blend.experts]
        position, num_layers = self.donor.position(name), max(1, self.donor.num_layers)
        keys = self._keys(blend, name, rule.parts.from_zero)
        statistics = functools.partial(rule.reading, name)
        return Site(name, position, num_layers, draws, rule.scope, facts=self._facts, keys=keys, statistics=statistics)

    def _keys(self, blend: Blend, name: str, from_zero: bool) -> list[Hashable | None]:
        """What names each task vector by content; None where a blend, which the recipe may change, takes part."""
        source = None if from_zero else blend.origin
        if source in self._recipe.blends:
            return [None] * len(blend.experts)
        origin, rows = source and self._identities[source], self._num_shared.get(name)
        return [
            None if expert in self._recipe.blends else (self._identities[expert], origin, name, rows)
            for expert in blend.experts
        ]

    def _rule(self, blend: str, name: str) -> _Rule | None:
        position = self.donor.position(name)
        for rule in self._rules[blend]:
            if rule.where is None or rule.where.matches(name, position.layer, position.role):
                return rule
        return None

    def _rules_of(self, source: str, blend: Blend, library: Library) -> list[_Rule]:
        rules, statistics = [], self._statistics(source, blend, library)
        for index, rule in enumerate(blend.rules):
            assert isinstance(rule, PipeRule), "the canonical form has no presets"
            parts = Parts.of(rule.pipe, len(blend.experts))
            scope = Scope(functools.partial(self._governed, source, index))
            rules.append(_Rule(rule.where, parts, scope, statistics))
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

            prefix = Prefix(rig, functools.partial(self._source, source))
            found |= {(place, "merged_gram"): prefix.of(place) for place in range(len(blend.experts))}
        return found

    def _governed(self, source: str, index: int) -> Iterator[tuple[Site, list[torch.Tensor]]]:
        """Site and task vectors of every tensor that one rule of a blend governs."""
        blend, rule = self._recipe.blends[source], self._rules[source][index]
        for name in self.names:
            if self.donor.dtype(name).is_floating_point and self._rule(source, name) is rule:
                origin: torch.Tensor | None
                if any(self._adapters[source]) and not rule.parts.from_zero:
                    deltas, origin = self._measured(source, name)
                else:
                    experts, origin = self._inputs(source, name)
                    origin = None if rule.parts.from_zero else origin
                    deltas = task_vectors(experts, origin)
                yield dataclasses.replace(self._site(blend, rule, name), origin=origin), deltas
