"""Measuring: one model on one data set, all statistics that are missing, in as few passes as they take."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
import transformers

from evomerge.checkpoints import Checkpoint, digest_of
from evomerge.documents import Tree
from evomerge.merging.statistics.gradients import Gradients, OutputGrams, medians, squares_and_shares
from evomerge.merging.statistics.inputs import InputSums, linear_maps, open_model
from evomerge.merging.statistics.store import Measured, Measurement, find, save
from evomerge.merging.statistics.texts import data_digest, token_lists
from evomerge.recipe.calibration import FROM_INPUTS, Calibration, StatisticKind

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what is being measured, how many texts of how many have passed."""


def calibrate(
    checkpoint: Checkpoint,
    calibration: Calibration,
    kinds: Sequence[StatisticKind],
    progress: Progress = lambda what, done, total: None,
    device: str = "cpu",
) -> list[StatisticKind]:
    """Measure and store the statistics of a model that are not stored yet.

    The model is loaded in float32 and reads the texts one by one. Memory: the model, 4 bytes per parameter for its
    gradients and 4 for the Fisher information, what `InputSums` says for Gram matrices, and `ROOM_BYTES` for medians.

    Args:
        checkpoint: A causal language model with its tokenizer.
        calibration: The data.
        kinds: What to measure.
        progress: Told after every text.
        device: Torch device for the passes.

    Returns:
        The kinds that were measured now.

    Raises:
        ConfigError: If the data cannot be read or the model is no causal language model.
        EvomergeError: If gradients are not finite or the disk refuses.
    """
    known = calibration.model_copy(update={"digest": data_digest(calibration)})
    model = digest_of(checkpoint)
    wanted = {kind: Measurement(model, known.identity(kind)) for kind in kinds}
    missing = [kind for kind, measurement in wanted.items() if find(measurement) is None]
    if missing:
        found, num_texts = _measure(checkpoint, known, missing, progress, device)
        record = _record(checkpoint, known, num_texts, device)
        for kind, measured in found.items():
            save(wanted[kind], measured, record)
    return missing


def _measure(
    checkpoint: Checkpoint, calibration: Calibration, kinds: Sequence[StatisticKind], progress: Progress, device: str
) -> tuple[dict[StatisticKind, Measured], int]:
    texts = [tokens.to(device) for tokens in token_lists(calibration, checkpoint.folder)]
    model, windows = open_model(checkpoint, device)
    maps = linear_maps(model, windows)
    found: dict[StatisticKind, Measured] = {}
    from_inputs = [kind for kind in kinds if kind in FROM_INPUTS]
    if from_inputs:
        sums = InputSums(maps, from_inputs)
        tick = _counter(progress, "inputs", len(texts))
        with torch.inference_mode(), sums.listening():
            for tokens in texts:
                model(tokens, use_cache=False)
                tick()
        found |= {kind: sums.measured(kind) for kind in from_inputs}
    gradients = Gradients(model, windows, texts, calibration)
    if {"fisher", "grad_sens", "grad_gram"} & set(kinds):
        outputs = OutputGrams(maps)
        with outputs.listening() if "grad_gram" in kinds else contextlib.nullcontext():
            squares, shares = squares_and_shares(gradients, _counter(progress, "gradients", len(texts)))
        found |= {"fisher": squares, "grad_sens": sensitivities(checkpoint, shares), "grad_gram": outputs.measured()}
    if "grad_median" in kinds:
        found["grad_median"] = medians(gradients, _counter(progress, "medians", len(texts)))
    return {kind: found[kind] for kind in kinds}, len(texts)


def sensitivities(checkpoint: Checkpoint, shares: dict[str, float]) -> Measured:
    """Per tensor of a layer, the layer's sum, divided by the norm over all layers (Sens-Merging, arXiv:2502.12420)."""
    layers = {name: layer for name in shares if (layer := checkpoint.position(name).layer) is not None}
    sums: dict[int, float] = {}
    for name, layer in layers.items():
        sums[layer] = sums.get(layer, 0.0) + shares[name]
    norm = math.hypot(*sums.values()) or 1.0
    return Measured({name: torch.tensor(sums[layer] / norm) for name, layer in layers.items()})


def _counter(progress: Progress, what: str, total: int) -> Callable[[], None]:
    done = 0

    def tick() -> None:
        nonlocal done
        done = done % total + 1  # medians may take several rounds
        progress(what, done, total)

    return tick


def _record(checkpoint: Checkpoint, calibration: Calibration, num_texts: int, device: str) -> dict[str, Tree]:
    return {
        "path": str(checkpoint.folder.absolute()),
        "data": calibration.data,
        "texts": num_texts,
        "threads": torch.get_num_threads(),
        "device": device,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
