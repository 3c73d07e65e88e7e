"""The devices that models are on: `auto`, or those that this machine has."""

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


def check_gpus(num_workers: int, num_gpus: float, where: str) -> None:
    """Refuse workers that would wait for ever for their share of this machine's GPUs.

    Args:
        num_workers: How many.
        num_gpus: GPUs of each; less than 1 is a part of one. 0: none is wanted.
        where: Who asks for them, for messages.

    Raises:
        ConfigError: If there are too few.
    """
    if num_gpus == 0:
        return
    there = torch.cuda.device_count()
    fitting = int(there * (1 // num_gpus)) if num_gpus < 1 else int(there // num_gpus)
    if num_workers > fitting:
        what = f"{fitting} workers with {num_gpus:g} each fit the {there} GPUs of this machine, not {num_workers}."
        raise ConfigError.at(where, f"{what} Ask for fewer, or name a cluster: executor.address=auto.")
