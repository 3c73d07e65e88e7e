"""The resident model: one model in memory whose weights are overwritten by candidate after candidate."""

from __future__ import annotations

from functools import cached_property

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.modeling_utils import PreTrainedModel

from evomerge.checkpoints.layers import layers_of
from evomerge.merging.library import Library
from evomerge.merging.loading import load_model
from evomerge.merging.merge import Merge
from evomerge.merging.places import places_of
from evomerge.merging.prefixes import Prefixes
from evomerge.merging.stack import LayerStack
from evomerge.recipe import Recipe
from evomerge.recipe.canonical import source_digests


class ResidentModel:
    """A transformers model that takes the weights of any recipe of one search.

    Attributes:
        model: In evaluation mode, on its device.
    """

    def __init__(self, recipe: Recipe, library: Library, device: str = "cpu") -> None:
        """Load the donor's architecture once.

        Args:
            recipe: Any recipe of the search: all share donor, dtype and tokenizer.
            library: Where models are opened.
            device: Torch device of the model.

        Raises:
            ConfigError: If the donor lacks tensors that its architecture has.
            EvomergeError: If a tensor of the donor has no place in the model.
        """
        self._library = library
        merge = Merge(recipe, library)
        model, unused = load_model(merge.donor, recipe.dtype)
        if merge.num_tokens is not None:
            _resize(model, merge.num_tokens)
        self.model: PreTrainedModel = model.to(device).requires_grad_(False)
        self._tokenizer = recipe.models[recipe.tokenizer_donor].path
        self._donor = merge.donor
        self._places = places_of(merge.donor, self.model, unused)
        layers = layers_of(merge.donor)
        self._stack = None if layers is None else LayerStack.of(self.model, layers, self._places)
        self._prefixes = Prefixes(self.model.base_model)
        self._held: str | None = None

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The recipes' tokenizer, which models of images do not have."""
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(self._tokenizer, trust_remote_code=False)
        return tokenizer

    @torch.inference_mode()
    def hold(self, recipe: Recipe) -> None:
        """Overwrite the weights with a recipe's, rounded as its export's; do nothing when they are there already.

        Layers are put in the order of the recipe's route. Those that the last recipe left as they should be are not
        written again, and those that begin recipe after recipe are not passed through again with the same tokens.

        Raises:
            CandidateFailed: If the models' tensors do not fit together. The weights are then undefined.
        """
        if self._held == recipe.digest:
            return
        self._held = None
        merge = Merge(recipe, self._library)
        if self._stack is None:
            for name, place in self._places.items():
                merge.into(name, place)
        else:
            self._fill(self._stack, merge, recipe.canonical)
        self._held = recipe.digest

    def _fill(self, stack: LayerStack, merge: Merge, recipe: Recipe) -> None:
        digests = source_digests(recipe)
        rows = tuple(merge.num_shared.items())  # models that join by the route alone may leave a blend fewer to merge
        hops, likes = merge.hops, merge.likes(self._donor)
        contents = [(digests[hop.source], rows, hop.layer, hop.write, hop.read, recipe.dtype) for hop in hops]
        for place, shelf in stack.arrange(likes, contents):
            for name in stack.layers.names[likes[place]]:
                merge.into(stack.layers.moved(name, place), shelf.places[stack.layers.bare(name)])
            shelf.holds = contents[place]
        for name in stack.layers.others:
            if name in self._places:
                merge.into(name, self._places[name])
        self._prefixes.follow([*stack.listed], (digests[recipe.end_sources["embeddings"]], rows), contents)


def _resize(model: PreTrainedModel, num_tokens: int) -> None:
    """Give a model a row for every token; those of new ones are zero until a recipe is held."""
    num_before = len(model.get_input_embeddings().weight)
    with torch.random.fork_rng(devices=[]):  # what is drawn for them differs from worker to worker
        model.resize_token_embeddings(num_tokens, mean_resizing=False)
    for table in (model.get_input_embeddings(), model.get_output_embeddings()):
        if table is not None:
            table.weight.data[num_before:] = 0
