"""What holds for every test: no network, one thread per process, no time limits inside property tests."""

import os

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
SMALL = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "MPLBACKEND": "Agg"}
RAY = {
    "RAY_AUTH_MODE": "disabled",  # else it writes a token into the home directory
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "120",  # a busy machine is not a failure
}
os.environ.update(OFFLINE | SMALL | RAY)  # before torch, datasets and the rest read them

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("evomerge", deadline=None)  # nor here
settings.load_profile("evomerge")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a CUDA device where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
