"""One recipe applied to its models, tensor by tensor."""

from __future__ import annotations

import torch

from evomerge.checkpoints import Checkpoint
from evomerge.merging.blends import Blends, Rule
from evomerge.merging.chunks import Sources, can_cut, merge_into, prepared, row_width
from evomerge.merging.fused import Loop, merge_fused
from evomerge.merging.library import Library
from evomerge.recipe import Recipe
from evomerge.recipe.spans import Span

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


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
        checkpoints = library.open_all(recipe.models)
        self.donor: Checkpoint = checkpoints[recipe.donor]
        self._tokens = checkpoints[recipe.tokenizer_donor]
        self._blends = Blends(self._recipe, library, checkpoints)

    @property
    def names(self) -> list[str]:
        """Names of the result's tensors."""
        return self.donor.names

    @property
    def num_tokens(self) -> int | None:
        """How many rows the embeddings have, where that is not the number in the donor's config."""
        return next(
            (self.shape(name)[0] for name in self._blends.num_shared if self.shape(name) != self.donor.shape(name)),
            None,
        )

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor of the result, which has a row for every token of its tokenizer."""
        return (self._tokens if name in self._blends.num_shared else self.donor).shape(name)

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
        merged = self._blends.tensor(self._recipe.result, name)
        return torch.cat([merged, self._own_rows(name).to(merged)]) if name in self._blends.num_shared else merged

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
        result, dtype = self._recipe.result, self.dtype(name)
        parts = self._blends.parts(result, name) if dtype.is_floating_point else []
        in_pieces = place.device.type == "cpu" and place.is_contiguous() and not self._blends.has_adapters(result)
        rules = [(span, rule) for span, rule in parts if rule is not None and can_cut(rule.parts)]
        if not in_pieces or not rules or len(rules) < len(parts):
            place.copy_(self.tensor(name).to(dtype))
            return
        if name in self._blends.num_shared:
            place[self._blends.num_shared[name] :].copy_(self._own_rows(name).to(dtype))
            place = place[: self._blends.num_shared[name]]
        for span, rule in rules:
            self._into_flat(rule, span, name, place.view(-1))

    def _into_flat(self, rule: Rule, span: Span, name: str, flat: torch.Tensor) -> None:
        """Overwrite the part of a tensor that a rule governs, piece by piece."""
        dtype, site = self.dtype(name), self._blends.site(self._recipe.result, rule, name)
        experts, origin = self._blends.inputs(self._recipe.result, name)
        sources = Sources(
            [expert.flatten() for expert in experts],
            origin if origin is None else origin.flatten(),
            site.keys,
            span=span,
            width=row_width(rule.parts, experts[0]),
        )

        def write(start: int, piece: torch.Tensor) -> None:
            # via the dtype of the file, which need not be the one that the place has
            flat[start : start + piece.numel()].copy_(piece if flat.dtype == dtype else piece.to(dtype))

        parts, site = prepared(rule.parts, sources, site, self._facts)
        if self._is_fused and flat.dtype == dtype and sources.is_whole and (loop := Loop.of(parts, site)):
            merge_fused(loop, parts, sources, site, self._facts, flat)
        else:
            merge_into(parts, sources, site, write)

    def _own_rows(self, name: str) -> torch.Tensor:
        """The rows of tokens that not all models have: those of the model that gives the tokenizer."""
        return self._tokens.tensor(name)[self._blends.num_shared[name] :]
