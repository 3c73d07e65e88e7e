"""Devices that a machine has and has not."""

import pytest
import torch

from evomerge.errors import ConfigError
from evomerge.execution.device import check_gpus, resolve_device


def test_auto_takes_what_is_there() -> None:
    assert resolve_device("auto", "x") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu", "x") == "cpu"


@pytest.mark.parametrize(("num_gpus", "per_gpu"), [(1.0, 1), (0.5, 2), (0.6, 1), (0.25, 4)])
def test_workers_share_a_gpu_but_are_not_split(num_gpus: float, per_gpu: int) -> None:
    fitting = torch.cuda.device_count() * per_gpu
    check_gpus(fitting, num_gpus, "x")
    check_gpus(9, 0.0, "x")
    with pytest.raises(ConfigError, match=rf"x: {fitting} workers with {num_gpus:g} each fit"):
        check_gpus(fitting + 1, num_gpus, "x")
