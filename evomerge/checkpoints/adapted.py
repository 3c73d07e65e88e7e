"""Adapted: a model that is an adapter on another model, read like any checkpoint, one dense tensor at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from evomerge.checkpoints.adapter import Adapter
from evomerge.checkpoints.checkpoint import Checkpoint
from evomerge.checkpoints.factors import Factors
from evomerge.checkpoints.roles import positions_of
from evomerge.checkpoints.ties import ties_head
from evomerge.errors import ConfigError, Problem
from evomerge.recipe.where import Role


class Adapted(Checkpoint):
    """The checkpoint that base and adapter make together: names, shapes, dtypes, config and tokenizer are the base's.

    Attributes:
        base: What the adapter was trained on.
        adapter: The adapter.
        keys: The adapter's name for each tensor of the base that it changes or replaces.
    """

    def __init__(self, base: Checkpoint, adapter: Adapter, where: str = "") -> None:
        """Put an adapter on its base.

        Args:
            base: Whole checkpoint.
            adapter: Opened adapter.
            where: The file and key that named the adapter, for messages.

        Raises:
            ConfigError: If the adapter does not fit the base, with everything that does not.
        """
        vars(self).update(vars(base))  # what a checkpoint knows never changes, and need not be read from disk again
        self._where = where or str(adapter.folder)
        self.base = base
        self.adapter = adapter
        wanted = [*adapter.targets, *(name for name in adapter.replaced if name not in adapter.targets)]
        found = {name: _in_base(name, base) for name in wanted}
        self.keys: Mapping[str, str] = {own: name for name, own in found.items() if own is not None}
        missing = [name for name, own in found.items() if own is None and not self._repeats_embeddings(name)]
        problems = [*self._missing(missing), *self._misshapen(), *self._tied()]
        ConfigError.raise_if_any(Problem(self._where, what) for what in problems)
        self._whole = {own for own, name in self.keys.items() if self._is_replaced(own, name)}

    @property
    def digest_files(self) -> list[Path]:
        """Files that say what the adapter is; the base has a digest of its own."""
        return self.adapter.digest_files

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor of the adapted model: float32 where the adapter changes it, else as it is stored."""
        stored = self._stored(name)
        if not self.has_factors(name):
            return stored
        return self.factors(name).dense().add_(stored)

    def has_factors(self, name: str) -> bool:
        """Whether the adapter changes a tensor by factors."""
        return self.keys.get(name) in self.adapter.targets

    def is_whole(self, name: str) -> bool:
        """Whether the adapter brings a tensor of its own in place of the base's."""
        return name in self._whole

    def factors(self, name: str) -> Factors:
        """The change of a tensor that has factors."""
        factors = self.adapter.factors(self.keys[name])
        # peft stores one flag for all layers, so that of a model with both kinds it may be wrong for some
        return factors if factors.shape == self.shape(name) else factors.turned()

    def delta(self, name: str) -> torch.Tensor:
        """The task vector from the base, float32: scale · B · A exactly, not a difference of rounded weights."""
        if self.is_whole(name):
            return self.tensor(name).float() - self.base.tensor(name).float()
        if self.has_factors(name):
            return self.factors(name).dense()
        return torch.zeros(self.shape(name))

    def _stored(self, name: str) -> torch.Tensor:
        if self.is_whole(name):
            return self.adapter.replacement(self.keys[name])
        return super().tensor(name)

    def _is_replaced(self, own: str, name: str) -> bool:
        """Whether a whole tensor differs from the base's; peft also saves embeddings that only have factors."""
        if name not in self.adapter.replaced:
            return False
        return not torch.equal(self.adapter.replacement(name).float(), self.base.tensor(own).float())

    def _repeats_embeddings(self, name: str) -> bool:
        """Whether a tensor is a head that the base ties to embeddings which the adapter replaces by the same."""
        if name not in self.adapter.replaced or self._role(name) != "head":
            return False
        others = [other for other in self.adapter.replaced if self._role(other) == "embedding"]
        return any(torch.equal(self.adapter.replacement(name), self.adapter.replacement(other)) for other in others)

    def _missing(self, names: list[str]) -> Iterator[str]:
        if names:
            advice = "Name the model that the adapter was trained on."
            if any(self._role(name) == "head" for name in names):
                advice += " A head that the model ties to its embeddings cannot have weights of its own."
            what = f"changes {len(names)} tensors that {self.base.folder} lacks, {names[0]} among them"
            yield f"{self.adapter.folder} {what}. {advice}"

    def _misshapen(self) -> Iterator[str]:
        for own, name in self.keys.items():
            found, wanted = self.adapter.shape(name), self.base.shape(own)
            if found != wanted and not (name in self.adapter.targets and found[::-1] == wanted):
                what = f"makes {name} {list(found)}, but in {self.base.folder} it is {list(wanted)}"
                yield f"{self.adapter.folder} {what}. Name the model that the adapter was trained on."

    def _tied(self) -> Iterator[str]:
        """Factors on tied embeddings act on the lookup alone, which plain weights cannot say."""
        for own, name in self.keys.items():
            if name in self.adapter.targets and self._role(own) == "embedding" and self._is_tied():
                what = f"has factors for {name}, which the model ties to its head: as weights they would change both"
                yield f"{self.adapter.folder} {what}. Merge it into its base with peft first if that is meant."

    def _is_tied(self) -> bool:
        return ties_head(self.config) and not any(self._role(name) == "head" for name in self.base.names)

    def _role(self, name: str) -> Role:
        """What a tensor does that the base need not have."""
        return positions_of(self.config, {name: ()})[name].role


def _in_base(name: str, base: Checkpoint) -> str | None:
    """The base's name for a tensor; either side may leave the prefix of the whole model out (`transformer.h.0…`)."""
    if name in base.files:
        return name
    close = [own for own in base.names if own.endswith(f".{name}") or name.endswith(f".{own}")]
    return close[0] if len(close) == 1 else None
