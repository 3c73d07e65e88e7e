"""The stack: a resident model's layers, put in any order without moving or copying weights."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.modeling_utils import PreTrainedModel

from evomerge.checkpoints.layers import Layers, config_changes
from evomerge.merging.prefixes import release


@dataclass(eq=False)
class _Shelf:
    """The weights of one layer.

    Attributes:
        parameters: By their names in the layer's module.
        places: By the bare names of the checkpoint's tensors, windows on the parameters' memory.
        holds: What is in them; None while they are being written.
    """

    parameters: Mapping[str, torch.nn.Parameter]
    places: Mapping[str, torch.Tensor]
    holds: Hashable = None

    @property
    def kind(self) -> Hashable:
        """Shelves of one kind can hold one another's layers."""
        return tuple((name, parameter.shape) for name, parameter in self.parameters.items())

    def another(self) -> _Shelf:
        """A new shelf of this kind, holding nothing."""
        with torch.inference_mode(mode=False):
            parameters = {
                name: torch.nn.Parameter(torch.empty_like(old), requires_grad=False)
                for name, old in self.parameters.items()
            }
        return _Shelf(parameters, {bare: self._same(place, parameters) for bare, place in self.places.items()})

    def _same(self, place: torch.Tensor, parameters: Mapping[str, torch.nn.Parameter]) -> torch.Tensor:
        """The window on other parameters that a place is on this shelf's."""
        for name, old in self.parameters.items():
            start = place.data_ptr() - old.data_ptr()
            if 0 <= start < old.numel() * old.element_size():
                return parameters[name].data.as_strided(place.shape, place.stride(), start // old.element_size())
        raise AssertionError("every place lies in a parameter of its layer")


@dataclass(eq=False)
class LayerStack:
    """Lists a model's layers anew for every route.

    A layer that stands in the route twice stands in the model as two modules, each with its own index, as caches of
    keys and values want it, which share their parameters. Weights that the last candidate left are used again.

    Attributes:
        model: Of transformers.
        layers: Names of the checkpoint that it was loaded from.
        shelves: The weights of as many layers as any candidate needed so far.
    """

    model: PreTrainedModel
    layers: Layers
    shelves: list[_Shelf]
    _modules: tuple[torch.nn.Module, ...] = ()
    _config: Mapping[str, Any] = field(default_factory=dict)
    _listed: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, model: PreTrainedModel, layers: Layers, places: Mapping[str, torch.Tensor]) -> LayerStack:
        """The stack of a model as it was loaded.

        Args:
            model: A decoder.
            layers: Of the checkpoint.
            places: Where in the model the checkpoint's tensors lie, by name.
        """
        modules = tuple(getattr(model.base_model, layers.stack))
        shelves = [
            _Shelf(dict(module.named_parameters()), {layers.bare(name): places[name] for name in names})
            for module, names in zip(modules, layers.names, strict=True)
        ]
        listed = tuple((layer, layer) for layer in range(len(modules)))
        return cls(model, layers, shelves, modules, model.config.to_dict(), listed)

    @property
    def listed(self) -> torch.nn.ModuleList:
        """The model's layers as they are listed now."""
        listed: torch.nn.ModuleList = getattr(self.model.base_model, self.layers.stack)
        return listed

    def arrange(self, likes: Sequence[int], contents: Sequence[Hashable]) -> list[tuple[int, _Shelf]]:
        """Put the model's layers in the order of a route.

        Args:
            likes: For each of the route's layers, the layer of this model whose module is like it.
            contents: What names the weights of each: equal ones are the same.

        Returns:
            The shelves whose weights are still to be written, each with a place in the route that uses it. They hold
            nothing until they are told.
        """
        stale = {shelf.holds: shelf for shelf in self.shelves if shelf.holds in set(contents)}
        chosen: dict[Hashable, _Shelf] = dict(stale)
        missing: list[tuple[int, _Shelf]] = []
        for place, (like, content) in enumerate(zip(likes, contents, strict=True)):
            if content not in chosen:
                chosen[content] = self._free(like, chosen)
                chosen[content].holds = None
                missing.append((place, chosen[content]))
        self._list([(like, self.shelves.index(chosen[c])) for like, c in zip(likes, contents, strict=True)])
        return missing

    def _free(self, layer: int, chosen: Mapping[Hashable, _Shelf]) -> _Shelf:
        """A shelf that can hold a layer and that this candidate does not use: the layer's own where it may be."""
        own, used = self.shelves[layer], {id(shelf) for shelf in chosen.values()}
        for shelf in (own, *self.shelves):
            if id(shelf) not in used and shelf.kind == own.kind:
                return shelf
        self.shelves.append(own.another())
        return self.shelves[-1]

    def _list(self, listed: Sequence[tuple[int, int]]) -> None:
        """Make the model's list of layers: for each, the layer that it is like and the shelf of its weights."""
        if tuple(listed) == self._listed:
            return
        modules = [self._module(place, *pair) for place, pair in enumerate(listed)]
        setattr(self.model.base_model, self.layers.stack, torch.nn.ModuleList(modules))
        for key, value in config_changes(self._config, [layer for layer, _ in listed]).items():
            setattr(self.model.config, key, value)
        self._listed = tuple(listed)

    def _module(self, place: int, layer: int, shelf: int) -> torch.nn.Module:
        """A module like a layer's, on a shelf's parameters and with its own place for an index."""
        original = self._modules[layer]
        release(original)
        if place == layer == shelf:
            return original
        parameters = self.shelves[shelf].parameters
        shared: dict[int, object] = {id(old): parameters[name] for name, old in original.named_parameters()}
        shared |= {id(kept): kept for kept in (*original.buffers(), self.model.config)}
        module = copy.deepcopy(original, shared)
        for part in module.modules():
            if hasattr(part, "layer_idx"):
                part.layer_idx = place  # type: ignore[assignment]  # any module may have one
        return module
