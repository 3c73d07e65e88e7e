"""Routes: where each tensor of a recipe's result comes from, and what is folded into it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from evomerge.checkpoints import Checkpoint
from evomerge.checkpoints.layers import Layers, layers_of
from evomerge.errors import CandidateFailed
from evomerge.recipe import Recipe
from evomerge.recipe.route import Hop, Segment, hops_of

_ENDS = {"embedding": "embeddings", "norm": "norm"}


@dataclass(frozen=True, slots=True)
class Fold:
    """A factor on what a tensor writes or reads, folded into its numbers.

    Of a norm that multiplies by `offset + w`, (offset + w) · by = offset + w′ gives w′ = by · w + (by − 1) · offset.
    """

    by: float
    offset: float = 0.0

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The folded numbers, float32, in new memory."""
        scaled = tensor.to(torch.float32) * self.by
        return scaled.add_((self.by - 1.0) * self.offset) if self.offset else scaled


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a tensor of the result comes from.

    Attributes:
        source: Blend or model.
        name: The tensor's name there.
        fold: What is folded into it; None for nothing.
    """

    source: str
    name: str
    fold: Fold | None = None


def layouts_of(recipe: Recipe, checkpoints: Mapping[str, Checkpoint]) -> dict[str, Checkpoint]:
    """The checkpoint that gives each model and blend its layout.

    Args:
        recipe: Any.
        checkpoints: Of its models, by name.
    """
    return {source: checkpoints[recipe.donor_of(source)] for source in (*recipe.models, *recipe.blends)}


def hops_in(recipe: Recipe, layouts: Mapping[str, Checkpoint]) -> tuple[Hop, ...]:
    """The result's layers one by one.

    Args:
        recipe: Canonical.
        layouts: Of its models and blends.
    """
    depths = {source: layout.num_layers for source, layout in layouts.items()}
    return hops_of(recipe.route or (Segment.of(recipe.result, None),), depths)


def is_reordered(recipe: Recipe, layouts: Mapping[str, Checkpoint]) -> bool:
    """Whether the result's layers are others than those of the model that gives the config, or fold a factor.

    Args:
        recipe: Canonical.
        layouts: Of its models and blends.
    """
    same_depth = layouts[recipe.result].num_layers == layouts[recipe.donor].num_layers
    return recipe.route is not None or _sign(recipe) != 1.0 or not same_depth


def origins_of(recipe: Recipe, layouts: Mapping[str, Checkpoint]) -> dict[str, Origin]:
    """Where the tensors of the result come from, by their names there, in the order in which they are written.

    Args:
        recipe: Canonical.
        layouts: Of its models and blends.

    Raises:
        CandidateFailed: If layers cannot be put in another order in this family, or do not exist.
    """
    donor = layouts[recipe.donor]
    _check_head(recipe, donor)
    if not is_reordered(recipe, layouts):
        return {name: _unmoved(recipe, donor, name) for name in donor.names}
    hops = hops_in(recipe, layouts)
    layers = {source: _layers_of(layouts[source]) for source in {recipe.donor, *(hop.source for hop in hops)}}
    own = layers[recipe.donor]
    found = {name: _with_sign(recipe, own, _unmoved(recipe, donor, name)) for name in own.others}
    for place, hop in enumerate(hops):
        if hop.layer >= (depth := len(layers[hop.source].names)):
            raise CandidateFailed(f"layer {hop.layer} of the route does not exist: {hop.source} has {depth} layers.")
        found |= _moved(layers[hop.source], place, hop)
    return found


def _layers_of(checkpoint: Checkpoint) -> Layers:
    if (layers := layers_of(checkpoint)) is None:
        what = f"routes over layers of {checkpoint.config.get('model_type')} are not known"
        raise CandidateFailed(f"{what}. Leave the route out, or use models of a family like llama.")
    return layers


def _unmoved(recipe: Recipe, donor: Checkpoint, name: str) -> Origin:
    """Of a tensor outside the layers, or of any where there is no route."""
    at = donor.position(name)
    return Origin(recipe.result if at.layer is not None else recipe.end_sources[_ENDS.get(at.role, "head")], name)


def _moved(layers: Layers, place: int, hop: Hop) -> Iterator[tuple[str, Origin]]:
    """The tensors of one layer of the result, with their origins."""
    for name in layers.names[hop.layer]:
        offset, by = layers.norm_offset(name), 1.0
        if layers.writes(name):
            by = hop.write
        elif layers.reads(name):
            by = hop.read if offset is None else float(np.sign(hop.read))
        yield layers.moved(name, place), Origin(hop.source, name, None if by == 1.0 else Fold(by, offset or 0.0))


def _with_sign(recipe: Recipe, layers: Layers, origin: Origin) -> Origin:
    """Of a tensor outside the layers, with the sign of what the last norm reads."""
    offset = layers.norm_offset(origin.name)
    if offset is None or not origin.name.endswith(".weight") or _sign(recipe) == 1.0:
        return origin
    return dataclasses.replace(origin, fold=Fold(_sign(recipe), offset))


def _sign(recipe: Recipe) -> float:
    return 1.0 if recipe.ends is None else recipe.ends.read or 1.0


def _check_head(recipe: Recipe, donor: Checkpoint) -> None:
    """Refuse a head of its own where the models' head is their embeddings."""
    sources = recipe.end_sources
    if sources["head"] != sources["embeddings"] and all(donor.position(name).role != "head" for name in donor.names):
        raise CandidateFailed("the models' head is their embeddings. Take both from the same source in `ends`.")
