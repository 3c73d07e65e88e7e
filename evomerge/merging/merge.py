"""One recipe applied to its models, tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch

from evomerge.checkpoints import Checkpoint
from evomerge.checkpoints.layers import likes_of
from evomerge.errors import CandidateFailed
from evomerge.merging.blends import Blends, Rule
from evomerge.merging.chunks import Sources, can_cut, merge_into, prepared, row_width
from evomerge.merging.fused import Loop, merge_fused
from evomerge.merging.library import Library
from evomerge.merging.routes import Origin, hops_in, is_reordered, layouts_of, origins_of
from evomerge.recipe import Recipe
from evomerge.recipe.route import Hop
from evomerge.recipe.spans import Span

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Merge:
    """The tensors of a recipe's result, computed when asked for; nothing is kept between them.

    Attributes:
        donor: The checkpoint that gives the result its config.
        layouts: Of models and blends, by name: the checkpoint that has the same layers.
    """

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
        self.layouts: Mapping[str, Checkpoint] = layouts_of(self._recipe, checkpoints)
        self._blends = Blends(self._recipe, library, checkpoints, self.layouts)
        self._origins = origins_of(self._recipe, self.layouts)

    @property
    def names(self) -> list[str]:
        """Names of the result's tensors."""
        return list(self._origins)

    @property
    def hops(self) -> tuple[Hop, ...]:
        """The result's layers one by one."""
        return hops_in(self._recipe, self.layouts)

    def likes(self, donor: Checkpoint) -> list[int]:
        """For each of the result's layers, the layer of a model whose module its weights can be poured into.

        Args:
            donor: Gives config and modules.

        Raises:
            CandidateFailed: If it has no layer of the kind.
        """
        likes = []
        for hop in self.hops:
            layout = self.layouts[hop.source]
            known = self._facts.once(("likes", donor.folder, layout.folder), partial(likes_of, donor, layout))
            if (like := known[hop.layer]) is None:
                what = f"layer {hop.layer} of {hop.source} is of a kind that {donor.folder} does not have"
                raise CandidateFailed(f"{what}, which gives the config. Take it out of the route.")
            likes.append(like)
        return likes

    @property
    def is_reordered(self) -> bool:
        """Whether the result's layers are others than the donor's, or fold a factor."""
        return is_reordered(self._recipe, self.layouts)

    @property
    def num_shared(self) -> Mapping[str, int]:
        """By the name of a table of tokens, how many of its rows are merged, where some of the models have more."""
        return self._blends.num_shared

    @property
    def num_tokens(self) -> int | None:
        """How many rows the embeddings have, where that is not the number in the donor's config."""
        return next(
            (self.shape(name)[0] for name in self.num_shared if self.shape(name) != self.donor.shape(name)),
            None,
        )

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor of the result, which has a row for every token of its tokenizer."""
        return (self._tokens if name in self.num_shared else self._header(name)).shape(self._origins[name].name)

    def dtype(self, name: str) -> torch.dtype:
        """Dtype of a tensor of the result; whole numbers keep theirs."""
        stored = self._header(name).dtype(self._origins[name].name)
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
        origin = self._origins[name]
        if not self.dtype(name).is_floating_point:
            return self._header(name).tensor(origin.name)
        merged = self._blends.tensor(origin.source, origin.name)
        merged = merged if origin.fold is None else origin.fold.of(merged)
        return torch.cat([merged, self._own_rows(name).to(merged)]) if name in self.num_shared else merged

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
        origin, dtype = self._origins[name], self.dtype(name)
        is_merged = origin.source in self._recipe.blends and dtype.is_floating_point
        parts = self._blends.parts(origin.source, origin.name) if is_merged else []
        rules = [(span, rule) for span, rule in parts if rule is not None and can_cut(rule.parts)]
        in_pieces = bool(rules) and len(rules) == len(parts) and place.device.type == "cpu" and place.is_contiguous()
        if not in_pieces or self._blends.has_adapters(origin.source):
            place.copy_(self.tensor(name).to(dtype))
            return
        if name in self.num_shared:
            place[self.num_shared[name] :].copy_(self._own_rows(name).to(dtype))
            place = place[: self.num_shared[name]]
        for span, rule in rules:
            self._into_flat(rule, span, origin, dtype, place.view(-1))

    def _header(self, name: str) -> Checkpoint:
        """The checkpoint that says what a tensor of the result looks like: the donor, but for layers beyond its own."""
        origin = self._origins[name]
        return self.donor if origin.name in self.donor.files else self.layouts[origin.source]

    def _into_flat(self, rule: Rule, span: Span, source: Origin, dtype: torch.dtype, flat: torch.Tensor) -> None:
        """Overwrite the part of a tensor that a rule governs, piece by piece."""
        site, fold = self._blends.site(source.source, rule, source.name), source.fold
        experts, origin = self._blends.inputs(source.source, source.name)
        sources = Sources(
            [expert.flatten() for expert in experts],
            origin if origin is None else origin.flatten(),
            site.keys,
            span=span,
            width=row_width(rule.parts, experts[0]),
        )

        def write(start: int, piece: torch.Tensor) -> None:
            piece = piece if fold is None else fold.of(piece)
            # via the dtype of the file, which need not be the one that the place has
            flat[start : start + piece.numel()].copy_(piece if flat.dtype == dtype else piece.to(dtype))

        parts, site = prepared(rule.parts, sources, site, self._facts)
        is_plain = fold is None and flat.dtype == dtype and sources.is_whole
        if self._is_fused and is_plain and (loop := Loop.of(parts, site)):
            merge_fused(loop, parts, sources, site, self._facts, flat)
        else:
            merge_into(parts, sources, site, write)

    def _own_rows(self, name: str) -> torch.Tensor:
        """The rows of tokens that not all models have: those of the model that gives the tokenizer."""
        return self._tokens.tensor(name)[self.num_shared[name] :]
