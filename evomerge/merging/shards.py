"""Writing safetensors files tensor by tensor, so that memory holds one tensor and not a shard."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from evomerge.checkpoints.checkpoint import DTYPES
from evomerge.errors import EvomergeError

_BLOCK_BYTES = 1 << 18

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What the header of a safetensors file says of one tensor."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Size of the data."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize


def cut(specs: Sequence[TensorSpec], max_shard_bytes: int) -> list[list[TensorSpec]]:
    """Tensors in order, in shards of at most `max_shard_bytes` unless one tensor alone is larger."""
    shards: list[list[TensorSpec]] = [[]]
    room = max_shard_bytes
    for spec in specs:
        if shards[-1] and spec.num_bytes > room:
            shards.append([])
            room = max_shard_bytes
        shards[-1].append(spec)
        room -= spec.num_bytes
    return shards


def write_shard(
    path: Path,
    specs: Sequence[TensorSpec],
    tensor: Callable[[str], torch.Tensor],
    advance: Callable[[int], None] = lambda num_bytes: None,
) -> str:
    """Write one file, and read every tensor back as soon as it is written.

    Args:
        path: New file.
        specs: Its tensors, in order.
        tensor: Gives each tensor, of the spec's shape; converted to the spec's dtype here, with one rounding.
        advance: Told the size of each tensor once it is written.

    Returns:
        The sha256 of the file, in hexadecimal.

    Raises:
        EvomergeError: If a tensor has another shape than its spec, which would shift all that follow, or if what was
            read back differs.
    """
    digest = hashlib.sha256()
    with path.open("w+b") as file, ThreadPoolExecutor(max_workers=1) as beside:
        header = _header(specs)
        digest.update(header)
        file.write(header)
        for spec in specs:
            data = tensor(spec.name).to(dtype=spec.dtype, device="cpu").contiguous()
            if tuple(data.shape) != spec.shape:
                raise EvomergeError(f"tensor {spec.name} has the shape {list(data.shape)}, not {list(spec.shape)}.")
            written = data.reshape(-1).view(torch.uint8).numpy()
            hashed = beside.submit(digest.update, written.data)  # takes as long as all that follows
            start = file.tell()
            file.write(written.data)
            file.flush()
            if not _is_there(file.fileno(), start, written):
                raise EvomergeError(f"{path}: what was read back differs from what was written. Check the disk.")
            hashed.result()
            advance(spec.num_bytes)
    return digest.hexdigest()


def _is_there(descriptor: int, start: int, written: npt.NDArray[np.uint8]) -> bool:
    """Whether a file holds these bytes from `start` on."""
    room = np.empty(min(written.size, _BLOCK_BYTES), np.uint8)
    for offset in range(0, written.size, _BLOCK_BYTES):
        block = written[offset : offset + _BLOCK_BYTES]
        back = room[: block.size]
        if os.preadv(descriptor, [back.data], start + offset) != block.size or not np.array_equal(back, block):
            return False
    return True


def index(shards: Mapping[str, Sequence[TensorSpec]]) -> str:
    """Text of `model.safetensors.index.json` for shards by file name."""
    total = sum(spec.num_bytes for specs in shards.values() for spec in specs)
    weight_map = {spec.name: file for file, specs in shards.items() for spec in specs}
    return json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}, indent=2) + "\n"


def _header(specs: Sequence[TensorSpec]) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for spec in specs:
        end = offset + spec.num_bytes
        entries[spec.name] = {"dtype": _NAMES[spec.dtype], "shape": list(spec.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format aligns the data to 8 bytes
    return len(text).to_bytes(8, "little") + text
