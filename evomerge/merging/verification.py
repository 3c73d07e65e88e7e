"""Verification: an exported model answers as the one that was scored, or it is not announced."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers.modeling_utils import PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from evomerge import seeds
from evomerge.checkpoints import Checkpoint
from evomerge.errors import EvomergeError
from evomerge.merging.library import Library
from evomerge.merging.loading import load_model
from evomerge.merging.resident import ResidentModel
from evomerge.recipe import Recipe

TOLERANCE = 1e-4
"""Of logits, in units of their standard deviation or of 1, whichever is more."""

_NUM_PROMPTS, _PROMPT_TOKENS, _NEW_TOKENS = 3, 12, 12


def verify(folder: Path, recipe: Recipe, library: Library) -> float:
    """Compare an exported model, loaded by transformers alone, with the resident model that holds its recipe.

    Both read the same prompts of random tokens, and go on with them greedily with their caches of keys and values.

    Args:
        folder: Of the exported model.
        recipe: What was exported.
        library: Where its models are opened.

    Returns:
        The largest difference of two logits.

    Raises:
        EvomergeError: If logits differ by more than `TOLERANCE`, or the texts differ.
    """
    disable_progress_bar()  # of transformers
    resident = ResidentModel(recipe, library)
    resident.hold(recipe)
    exported, _ = load_model(Checkpoint(folder), None)
    prompts_BT = _prompts(exported.config.get_text_config().vocab_size)
    scored, written = (_answers(model, prompts_BT) for model in (resident.model, exported))
    difference, spread = float((scored[0] - written[0]).abs().max()), float(scored[0].std())
    num_differing = int((scored[1] != written[1]).any(dim=1).sum())
    if difference > TOLERANCE * max(1.0, spread) or num_differing:
        what = f"logits differ by up to {difference:.3g} (their standard deviation is {spread:.3g}), and "
        what += f"{num_differing} of {len(prompts_BT)} greedy continuations do"
        raise EvomergeError(f"The exported model does not answer as the one that was scored: {what}. It was not kept.")
    return difference


def _prompts(vocab_size: int) -> torch.Tensor:
    generator = seeds.generator(0, "verification")
    return torch.from_numpy(generator.integers(0, vocab_size, (_NUM_PROMPTS, _PROMPT_TOKENS)))


@torch.inference_mode()
def _answers(model: PreTrainedModel, prompts_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of the prompts in float32, and the prompts with their greedy continuations."""
    logits: torch.Tensor = model(prompts_BT).logits.float()
    if not model.can_generate():
        return logits, prompts_BT
    options = {"max_new_tokens": _NEW_TOKENS, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    written_BT: torch.Tensor = model.generate(prompts_BT, attention_mask=torch.ones_like(prompts_BT), **options)
    return logits, written_BT
