"""Grams: inner products of whole models, cell by cell, measured once and kept on disk."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from evomerge.checkpoints import Checkpoint, stretches_of
from evomerge.merging.norms import inner_products
from evomerge.merging.pipe import task_vectors
from evomerge.recipe.spans import Span

_FORMAT = "grams/1"


def grams_of(
    experts: Sequence[Checkpoint], origin: Checkpoint | None, cells: Sequence[tuple[str, Span]]
) -> npt.NDArray[np.float64]:
    """Inner products of models on parts of their tensors.

    Args:
        experts: Models of one architecture.
        origin: What their task vectors are measured from; None for their weights themselves.
        cells: Name of the tensor and the entries of the flattened model, of each part; those of one tensor together.

    Returns:
        gram_LKK: One matrix per part, experts by experts, added up in float64. Rows of tokens that not all models have
        count for nothing.
    """
    starts = {stretch.name: stretch.start for stretch in stretches_of(origin or experts[0])}
    gram_LKK = np.zeros((len(cells), len(experts), len(experts)))
    for name, group in itertools.groupby(enumerate(cells), key=lambda cell: cell[1][0]):
        flats = [expert.tensor(name).flatten() for expert in experts]
        base = None if origin is None else origin.tensor(name).flatten()
        length = min(tensor.numel() for tensor in (*flats, *([] if base is None else [base])))
        for index, (_, (start, stop)) in group:
            part = slice(start - starts[name], min(stop - starts[name], length))
            gram_LKK[index] = _inner([flat[part] for flat in flats], None if base is None else base[part])
    return gram_LKK


def kept_grams(
    experts: Sequence[Checkpoint],
    origin: Checkpoint | None,
    cells: Sequence[tuple[str, Span]],
    contents: Sequence[str | None],
) -> npt.NDArray[np.float64]:
    """`grams_of`, from `$XDG_CACHE_HOME/evomerge` where it was measured before.

    Args:
        experts: See `grams_of`.
        origin: See there.
        cells: See there.
        contents: What tells the weights of each expert and of the origin from others'; None for no origin.
    """
    text = json.dumps([_FORMAT, list(contents), list(cells)])
    file = _folder() / f"{hashlib.sha256(text.encode()).hexdigest()}.npy"
    shape = (len(cells), len(experts), len(experts))
    try:
        known: npt.NDArray[np.float64] = np.load(file, allow_pickle=False)
        if known.shape == shape and known.dtype == np.float64:
            return known
    except (OSError, ValueError, EOFError):
        pass  # not measured yet, or damaged
    measured = grams_of(experts, origin, cells)
    _save(file, measured)
    return measured


def _inner(parts: Sequence[torch.Tensor], base: torch.Tensor | None) -> npt.NDArray[np.float64]:
    return inner_products(task_vectors(parts, base))


def _save(file: Path, measured: npt.NDArray[np.float64]) -> None:
    """Best effort: a read-only home only costs time."""
    draft = file.with_suffix(f".{os.getpid()}.npy")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(draft, measured, allow_pickle=False)
        draft.replace(file)
    except OSError:
        draft.unlink(missing_ok=True)


def _folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "evomerge" / "grams"
