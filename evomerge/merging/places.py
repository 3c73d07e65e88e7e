"""Places: where in a transformers model the tensors of a checkpoint lie."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

import torch
import transformers
from transformers.core_model_loading import revert_weight_conversion
from transformers.modeling_utils import PreTrainedModel

from evomerge.checkpoints import Checkpoint
from evomerge.errors import EvomergeError

_log = logging.getLogger(__name__)


class _Window(torch.Tensor):
    """A tensor whose pieces stay windows on its memory, where transformers asks for contiguous copies of them."""

    def contiguous(self, *args: Any, **options: Any) -> torch.Tensor:
        return self


def places_of(checkpoint: Checkpoint, model: PreTrainedModel, unused: frozenset[str]) -> dict[str, torch.Tensor]:
    """The memory that holds each tensor of a checkpoint, by its name in the checkpoint.

    transformers may rename what it loads, and fuse it: the listed experts of a mixture become slices of one
    parameter. What it would save gives the names and the slices back.

    Args:
        checkpoint: What the model was loaded from.
        model: As `from_pretrained` gave it, still with the checkpoint's numbers.
        unused: Tensors of the checkpoint that the model did not take.

    Raises:
        EvomergeError: If a tensor that the model took has no place in it, or its place holds something else.
    """
    held = model.state_dict(keep_vars=False)
    windows = {name: tensor.as_subclass(_Window) for name, tensor in held.items()}
    saved = {
        name: tensor.as_subclass(torch.Tensor) for name, tensor in revert_weight_conversion(model, windows).items()
    }
    tensors = saved | held
    found = {name: _find(name, tensors, model.base_model_prefix) for name in checkpoint.names}
    _check_lost([name for name, place in found.items() if place is None], model, unused)
    places = {name: place for name, place in found.items() if place is not None}
    memory = {tensor.untyped_storage().data_ptr() for tensor in held.values()}
    for name, place in places.items():
        is_table = checkpoint.position(name).per_token  # which may have got further rows
        if name not in held and not is_table and not _holds(place, memory, checkpoint.tensor(name)):
            raise EvomergeError(
                f"transformers rearranges tensor {name} of {type(model).__name__}, which cannot be followed here."
            )
    _check_ties(checkpoint, tensors, model)
    return places


def _find(name: str, tensors: dict[str, torch.Tensor], prefix: str) -> torch.Tensor | None:
    """A tensor by its name, with or without the prefix that a file of the base model alone leaves out."""
    spellings = (name, f"{prefix}.{name}", name.removeprefix(f"{prefix}."))
    return next((tensors[spelling] for spelling in spellings if spelling in tensors), None)


def _check_lost(lost: Sequence[str], model: PreTrainedModel, unused: frozenset[str]) -> None:
    """Warn of tensors that the model has no use for; refuse others without a place."""
    ignored = [re.compile(pattern) for pattern in model._keys_to_ignore_on_load_unexpected or ()]
    kind = type(model).__name__
    for name in lost:
        if name not in unused and not any(pattern.search(name) for pattern in ignored):
            what = f"the place of tensor {name} in {kind} cannot be found."
            raise EvomergeError(f"{what} Save the model with the installed version of transformers.")
    if lost:
        _log.warning("%s has no use for %d tensors of the checkpoint, %s among them.", kind, len(lost), lost[0])


def _check_ties(checkpoint: Checkpoint, tensors: dict[str, torch.Tensor], model: PreTrainedModel) -> None:
    """Refuse a model that reads from a copy what is written to the original."""
    for names in checkpoint.copies.items():
        found = [_find(name, tensors, model.base_model_prefix) for name in names]
        if len({place.untyped_storage().data_ptr() for place in found if place is not None}) > 1:
            what = (
                f"transformers {transformers.__version__} does not tie {names[0]} to {names[1]} where a file has both."
            )
            raise EvomergeError(f"{what} Install a newer version, or save the model again.")


def _holds(place: torch.Tensor, memory: set[int], stored: torch.Tensor) -> bool:
    """Whether a place lies in the model's memory and holds what is stored."""
    if place.untyped_storage().data_ptr() not in memory or place.shape != stored.shape:
        return False
    return torch.allclose(place, stored.to(place), rtol=0.0, atol=0.0, equal_nan=True)
