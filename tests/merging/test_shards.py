"""Safetensors files written tensor by tensor, read by the library that defines them."""

import hashlib
import itertools
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from evomerge.errors import EvomergeError
from evomerge.merging.shards import TensorSpec, cut, index, write_shard

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
]


def spec_of(name: str, tensor: torch.Tensor) -> TensorSpec:
    return TensorSpec(name, tensor.dtype, tuple(tensor.shape))


def written(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    path = folder / "model.safetensors"
    digest = write_shard(path, [spec_of(name, tensor) for name, tensor in tensors.items()], tensors.__getitem__)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    return path


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (2, 3)])
def test_every_dtype_and_shape_is_read_back(tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 3).to(dtype)
    (read,) = load_file(written(tmp_path, {"t": tensor})).values()
    assert (read.dtype, read.shape) == (tensor.dtype, tensor.shape)
    assert torch.equal(read, tensor)


def test_tensors_lie_in_the_order_of_their_specs(tmp_path: Path) -> None:
    tensors = {name: torch.full((index + 1,), float(index)) for index, name in enumerate(["z", "a", "m", 'q"\\ü'])}
    path = written(tmp_path, tensors)
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert list(header) == ["__metadata__", *tensors]
    assert header["__metadata__"] == {"format": "pt"}
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in load_file(path).items())


def test_a_file_may_be_empty(tmp_path: Path) -> None:
    assert load_file(written(tmp_path, {})) == {}


def test_views_are_written_as_what_they_show(tmp_path: Path) -> None:
    whole = torch.arange(12.0).view(3, 4)
    tensors = {"turned": whole.T, "column": whole[:, 1], "broadcast": torch.ones(1).expand(5)}
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in load_file(written(tmp_path, tensors)).items())


def test_numbers_are_rounded_once_to_the_dtype_of_the_spec(tmp_path: Path) -> None:
    path, exact = tmp_path / "x", torch.tensor([1.00390625, 1 / 3])
    write_shard(path, [TensorSpec("t", torch.bfloat16, (2,))], lambda name: exact)
    assert torch.equal(load_file(path)["t"], exact.bfloat16())


def test_the_data_is_aligned(tmp_path: Path) -> None:
    for length in range(1, 9):
        path = written(tmp_path, {"t" * length: torch.ones(1)})
        assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0


def test_another_shape_than_announced_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvomergeError, match=r"^tensor t has the shape \[3\], not \[2\]\.$"):
        write_shard(tmp_path / "x", [TensorSpec("t", torch.float32, (2,))], lambda name: torch.ones(3))


@given(st.lists(st.integers(0, 20), max_size=12), st.integers(1, 60))
def test_shards_hold_what_fits(sizes: list[int], room: int) -> None:
    specs = [TensorSpec(str(number), torch.uint8, (size,)) for number, size in enumerate(sizes)]
    shards = cut(specs, room)
    assert [spec for shard in shards for spec in shard] == specs
    assert all(sum(spec.num_bytes for spec in shard) <= room or len(shard) == 1 for shard in shards)
    assert all(shards) or not specs
    for shard, following in itertools.pairwise(shards):
        assert sum(spec.num_bytes for spec in shard) + following[0].num_bytes > room


def test_the_index_names_the_file_of_every_tensor() -> None:
    one, two = TensorSpec("a", torch.float32, (2, 3)), TensorSpec("b", torch.bfloat16, ())
    assert json.loads(index({"x.safetensors": [one], "y.safetensors": [two]})) == {
        "metadata": {"total_size": 26},
        "weight_map": {"a": "x.safetensors", "b": "y.safetensors"},
    }
