"""Size: how many layers and parameters a recipe's result has, beside a model that they are compared with."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from evomerge.checkpoints import Checkpoint
from evomerge.merging.library import Library
from evomerge.merging.routes import hops_in, layouts_of, origins_of
from evomerge.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Size:
    """Of a result and of the model that it is compared with.

    Attributes:
        layers: Of the result; one that stands in the route twice counts twice.
        parameters: Of the result as it is exported, where repeated layers are repeated in the file.
        donor_layers: Of the model that gives a recipe its config.
        donor_parameters: Of the same.
    """

    layers: int
    parameters: int
    donor_layers: int
    donor_parameters: int

    @property
    def layer_share(self) -> float:
        """Layers of the result per layer of the donor."""
        return self.layers / self.donor_layers

    @property
    def parameter_share(self) -> float:
        """Parameters of the result per parameter of the donor."""
        return self.parameters / self.donor_parameters


def size_of(recipe: Recipe, library: Library, beside: Recipe | None = None) -> Size:
    """The size of a recipe's result. Reads headers of files and merges nothing.

    Args:
        recipe: Any.
        library: Where its models are opened.
        beside: The recipe whose donor it is compared with; absent: its own.

    Raises:
        CandidateFailed: If its route does not suit its models.
    """
    recipe = recipe.canonical
    layouts = layouts_of(recipe, library.open_all(recipe.models))
    donor = layouts[recipe.donor] if beside is None else library.open(beside.models[beside.donor], beside.models)
    counts = {name: _count(donor, name) for name in donor.names}
    return Size(
        layers=len(hops_in(recipe, layouts)),
        parameters=sum(
            counts[origin.name] if origin.name in counts else _count(layouts[origin.source], origin.name)
            for origin in origins_of(recipe, layouts).values()
        ),
        donor_layers=donor.num_layers,
        donor_parameters=sum(counts.values()),
    )


def _count(checkpoint: Checkpoint, name: str) -> int:
    return torch.Size(checkpoint.shape(name)).numel()
