"""The store: statistics on disk, each in a folder named by all that it depends on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from evomerge.documents import Tree
from evomerge.errors import EvomergeError
from evomerge.merging.site import Reading

_FORMAT = "statistics/1"
_VALUES = "values.safetensors"
_RECORD = "record.json"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a statistic depends on.

    Attributes:
        model: Digest of the checkpoint.
        parameters: Of the statistic: `Calibration.identity`, with the data's digest known.
    """

    model: str
    parameters: Mapping[str, Tree]

    @property
    def digest(self) -> str:
        """Its name, in hexadecimal."""
        text = json.dumps([_FORMAT, self.model, dict(self.parameters)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Measured:
    """One kind of statistic of one model.

    Attributes:
        values: By the name of a tensor of the checkpoint, float32.
        owners: Tensors that share the values of another: linear maps that read the same inputs.
    """

    values: dict[str, torch.Tensor] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)


class Readings(Protocol):
    """A statistic of one model, tensor by tensor."""

    def reading(self, tensor: str) -> Reading | None:
        """What was measured at a tensor; None where nothing was."""


class Stored:
    """A statistic on disk; values are read when asked for, from a mapped file."""

    def __init__(self, folder: Path) -> None:
        """Open a folder that `find` gave."""
        self.record: Mapping[str, Any] = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        file: Any = safe_open(folder / _VALUES, framework="pt")
        self._file = file
        self._means = {str(name): float(mean) for name, mean in self.record["means"].items()}
        self._owners = {str(name): str(owner) for name, owner in self.record["owners"].items()}
        self._norm = float(self.record["norm"])
        self._known: dict[str, Reading] = {}
        if set(self._file.keys()) != set(self._means) or not set(self._owners.values()) <= set(self._means):
            raise KeyError("the record and the file name other tensors")

    def reading(self, tensor: str) -> Reading | None:
        """What was measured at a tensor; None where nothing was."""
        name = self._owners.get(tensor, tensor)
        if name not in self._means:
            return None
        if name not in self._known:  # a view of the file: what is remembered takes no memory to speak of
            self._known[name] = Reading(self._file.get_tensor(name), self._means[name], self._norm)
        return self._known[name]


def find(measurement: Measurement) -> Stored | None:
    """What was measured; None where it was not, or where what is on disk is damaged."""
    try:
        return Stored(_folder(measurement))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
        return None


def save(measurement: Measurement, measured: Measured, record: Mapping[str, Tree]) -> None:
    """Write a statistic beside its place, then move it there; what a damaged one left is replaced.

    Args:
        measurement: What it depends on.
        measured: The values.
        record: What else should be known of how they came about.

    Raises:
        EvomergeError: If the disk refuses.
    """
    squares = [float(values.double().square().sum()) for values in measured.values.values()]
    whole = {
        "format": _FORMAT,
        "model": measurement.model,
        "parameters": dict(measurement.parameters),
        **record,
        "norm": math.sqrt(math.fsum(squares)),
        "means": {name: float(values.double().mean()) for name, values in measured.values.items()},
        "owners": measured.owners,
    }
    folder = _folder(measurement)
    draft = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        draft.mkdir(parents=True)
        save_file({name: values.contiguous() for name, values in measured.values.items()}, draft / _VALUES)
        (draft / _RECORD).write_text(json.dumps(whole, indent=1), encoding="utf-8")
        if find(measurement) is None:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(FileExistsError):  # another process was faster with the same values
                draft.rename(folder)
    except (OSError, SafetensorError) as error:
        raise EvomergeError(f"{folder}: statistics could not be written: {error}. Free some space there.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _folder(measurement: Measurement) -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "evomerge" / "statistics" / measurement.digest
