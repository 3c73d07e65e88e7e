"""The environment of a run: versions and hardware, kept beside its log."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = (
    "evomerge",
    "torch",
    "transformers",
    "safetensors",
    "lm_eval",
    "datasets",
    "pymoo",
    "cma",
    "cmaes",
    "nevergrad",
    "ray",
    "hydra-core",
    "numpy",
)


def describe() -> dict[str, Any]:
    """What this process runs on."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "packages": {name: _version(name) for name in PACKAGES},
    }


def save_environment(folder: Path, environment: dict[str, Any]) -> None:
    """Write `environment.json` into a run's folder."""
    (folder / "environment.json").write_text(json.dumps(environment, indent=2) + "\n", encoding="utf-8")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
