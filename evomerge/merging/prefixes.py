"""Prefixes: what a model's first layers made of a batch, kept for candidates that begin with the same layers."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

_ROOM_BYTES = 512 << 20
"""Of outputs that are kept, on the model's device. Those that were of no use for longest go first."""

_MOST_SEEN = 1 << 16
"""Beginnings that are remembered, some 10 MB of names. Those that no candidate had for longest are forgotten first."""

_NEEDING_ALL = ("past_key_values", "output_hidden_states", "output_attentions", "inputs_embeds")
"""What a caller may ask for that layers which are passed over would not give."""


class Prefixes:
    """Passes over the first layers of a model where their output on the same batch is known.

    Outputs are kept at one depth per candidate: where it leaves the path of those before it. So a beginning that two
    candidates share is kept from the second on and passed over from the third on, and candidates that share none, as
    where factors vary in every layer, cost no memory. Only passes without a cache of keys and values are known again.
    """

    def __init__(self, model: torch.nn.Module, room_bytes: int = _ROOM_BYTES) -> None:
        """Watch a model.

        Args:
            model: The part of a transformers model that takes tokens and calls the layers.
            room_bytes: Of outputs that are kept.
        """
        self._room_bytes = room_bytes
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
        self._keys: list[Hashable] = []
        self._worth: int | None = None
        self._batch: Hashable = None
        self._passed = 0
        self._output: Any = None
        model.register_forward_pre_hook(self._begin, with_kwargs=True)
        model.register_forward_hook(self._end, always_call=True)

    def follow(self, layers: Sequence[torch.nn.Module], start: Hashable, contents: Sequence[Hashable]) -> None:
        """Take up a candidate.

        Args:
            layers: Its modules, in their order.
            start: What names the embeddings.
            contents: What names the weights of each layer.
        """
        self._keys = []
        for content in contents:
            start = hashlib.sha256(repr((start, content)).encode()).digest()
            self._keys.append(start)
        shared = [place for place, key in enumerate(self._keys) if key in self._seen]
        is_new = len(shared) < len(self._keys)  # who comes again is asked other items
        self._worth = shared[-1] if shared and is_new else None
        self._see()
        for place, layer in enumerate(layers):
            release(layer)
            layer.forward = partial(self._pass, place, layer.forward)

    def _see(self) -> None:
        """Remember a candidate's beginnings, the short ones, which more candidates share, for longer."""
        for key in reversed(self._keys):
            self._seen[key] = None
            self._seen.move_to_end(key)
        while len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)

    def _begin(self, model: torch.nn.Module, args: tuple[Any, ...], options: Mapping[str, Any]) -> None:
        """Look up a batch, at the greatest depth first."""
        is_of_use = bool(self._kept) or self._worth is not None
        self._batch = _identity(options) if is_of_use and not args else None
        self._passed, self._output = 0, None
        if self._batch is not None:
            depth = next(
                (d for d in reversed(range(len(self._keys))) if (self._keys[d], self._batch) in self._kept), -1
            )
            if depth >= 0:
                self._kept.move_to_end((self._keys[depth], self._batch))
                self._passed, self._output = depth + 1, self._kept[self._keys[depth], self._batch]

    def _end(self, model: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self._batch, self._passed, self._output = None, 0, None

    def _pass(self, place: int, forward: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """A layer's forward, or what is known of it."""
        if place < self._passed:
            return self._output
        output = forward(*args, **options)
        if self._batch is not None and place == self._worth:
            self._keep((self._keys[place], self._batch), output)
        return output

    def _keep(self, key: Hashable, output: Any) -> None:
        self._kept[key] = output
        self._room_bytes -= _num_bytes(output)
        while self._room_bytes < 0:
            self._room_bytes += _num_bytes(self._kept.popitem(last=False)[1])


def release(layer: torch.nn.Module) -> None:
    """Give a layer its own forward back."""
    vars(layer).pop("forward", None)


def _identity(options: Mapping[str, Any]) -> Hashable:
    """What names a batch; None where every layer must be called."""
    tokens_BT, mask = options.get("input_ids"), options.get("attention_mask")
    is_known = options.get("use_cache") is False and options.get("position_ids") is None
    if not is_known or tokens_BT is None or any(options.get(name) is not None for name in _NEEDING_ALL):
        return None
    return tuple(_named(part) for part in (tokens_BT, mask))


def _named(part: Any) -> Hashable:
    if not isinstance(part, torch.Tensor):
        return repr(part)
    return tuple(part.shape), hashlib.sha256(part.cpu().contiguous().numpy().tobytes()).digest()


def _num_bytes(output: Any) -> int:
    parts = output if isinstance(output, tuple) else (output,)
    return sum(part.nbytes for part in parts if isinstance(part, torch.Tensor))
