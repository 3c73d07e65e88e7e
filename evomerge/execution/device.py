"""The device that models are on: `auto`, or one that this machine has."""

from __future__ import annotations

from typing import Final

import torch

from evomerge.errors import ConfigError

AUTO: Final = "auto"


def resolve_device(name: str, where: str) -> str:
    """A torch device by its name.

    Args:
        name: Such as `cpu` or `cuda:1`; `auto` takes a GPU where there is one.
        where: Who asks for it, for messages.

    Raises:
        ConfigError: If the machine has no such device, with those that it has.
    """
    if name == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError):  # the latter where torch was built without CUDA
        known = ["auto", "cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise ConfigError.at(where, f'this machine has no device "{name}". Allowed: {", ".join(known)}.') from None
    return name
