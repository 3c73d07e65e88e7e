"""The resident model: one model in memory whose weights are overwritten by candidate after candidate."""

from __future__ import annotations

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase
from transformers.modeling_utils import PreTrainedModel

from evomerge.errors import EvomergeError
from evomerge.merging.library import Library
from evomerge.merging.merge import Merge
from evomerge.recipe import Recipe


class ResidentModel:
    """A transformers model that takes the weights of any recipe of one search.

    Attributes:
        model: In evaluation mode, on its device.
        tokenizer: The recipes' tokenizer.
    """

    def __init__(self, recipe: Recipe, library: Library, device: str = "cpu") -> None:
        """Load the donor's architecture once.

        Args:
            recipe: Any recipe of the search: all share donor, dtype and tokenizer.
            library: Where models are opened.
            device: Torch device of the model.

        Raises:
            EvomergeError: If a tensor of the checkpoint has no place in the model.
        """
        self._library = library
        merge = Merge(recipe, library)
        self.model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            merge.donor.folder, dtype=recipe.dtype or "auto", use_safetensors=True, trust_remote_code=False
        )
        self.model.to(device).eval().requires_grad_(False)
        tokenizer = recipe.models[recipe.tokenizer_donor].path
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False)
        self._places = self._find_places(merge.names)
        self._held: str | None = None

    @torch.inference_mode()
    def hold(self, recipe: Recipe) -> None:
        """Overwrite the weights with a recipe's, rounded as its export's; do nothing when they are there already.

        Raises:
            CandidateFailed: If the models' tensors do not fit together. The weights are then undefined.
        """
        if self._held == recipe.digest:
            return
        self._held = None
        merge = Merge(recipe, self._library)
        for name, place in self._places.items():
            merge.into(name, place)
        self._held = recipe.digest

    def _find_places(self, names: list[str]) -> dict[str, torch.Tensor]:
        """Parameters and buffers by checkpoint name."""
        held = self.model.state_dict(keep_vars=False)
        if missing := [name for name in names if name not in held]:
            raise EvomergeError(
                f"{type(self.model).__name__} has no tensor {missing[0]}, which the checkpoint holds "
                f"(and {len(missing) - 1} more). transformers converts this checkpoint on loading; "
                "save it with the installed version first."
            )
        return {name: held[name] for name in names}
