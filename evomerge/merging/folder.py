"""A model folder: written beside its name, read back, and only then given it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from evomerge.errors import ConfigError, EvomergeError
from evomerge.merging.shards import TensorSpec, cut, index, write_shard

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
)
_SPARE_BYTES = 1 << 20  # config, tokenizer and card


@contextlib.contextmanager
def new_folder(destination: Path, num_bytes: int) -> Iterator[Path]:
    """A draft that takes the destination's name when the block ends well, and is gone otherwise.

    Args:
        destination: New folder; missing parents are made, and gone again if the block fails.
        num_bytes: Size of the tensors that will be written.

    Yields:
        The draft, an empty folder beside the destination.

    Raises:
        ConfigError: If the destination exists or the disk is too small.
        EvomergeError: If writing fails.
    """
    check_room(destination, num_bytes)
    try:
        with _draft_of(destination) as draft:
            yield draft
            draft.rename(destination)
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = " Free some space or choose another destination." if is_full else ""
        what = f"could not be written: {error.strerror or error}. Nothing was left behind.{advice}"
        raise EvomergeError(f"{destination}: {what}") from error


def check_room(destination: Path, num_bytes: int) -> None:
    """Refuse a destination that exists, or whose disk has no room for tensors of so many bytes.

    Raises:
        ConfigError: Saying which.
    """
    if destination.exists() or destination.is_symlink():
        raise ConfigError.at(str(destination), "exists already. Choose another name, or move it away first.")
    home = next(folder for folder in destination.absolute().parents if folder.exists())
    free = shutil.disk_usage(home).free
    if free < num_bytes + _SPARE_BYTES:
        needed = f"{_size(num_bytes + _SPARE_BYTES)} are needed and {_size(free)} are free on its disk"
        raise ConfigError.at(str(destination), f"{needed}. Free some space or choose another destination.")


def write_weights(
    folder: Path,
    specs: Sequence[TensorSpec],
    tensor: Callable[[str], torch.Tensor],
    progress: Callable[[int, int], None] = lambda done, total: None,
    max_shard_bytes: int = 5_000_000_000,
) -> None:
    """Write tensors one by one as safetensors, in one file or in shards with their index.

    `SHA256SUMS` lists the digests of the files.

    Args:
        folder: Exists.
        specs: The tensors, in order.
        tensor: Gives each by its name.
        progress: Told how many bytes of how many are written.
        max_shard_bytes: A larger model is written as several files.

    Raises:
        EvomergeError: If a tensor does not fit its spec, or what was read back differs.
    """
    shards = cut(specs, max_shard_bytes)
    names = ["model.safetensors"] if len(shards) == 1 else _shard_names(len(shards))
    digests: dict[str, str] = {}
    done, total = 0, sum(spec.num_bytes for spec in specs)

    def advance(num_bytes: int) -> None:
        nonlocal done
        done += num_bytes
        progress(done, total)

    for name, shard in zip(names, shards, strict=True):
        digests[name] = write_shard(folder / name, shard, tensor, advance)
    if len(shards) > 1:
        text = index(dict(zip(names, shards, strict=True)))
        (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    # for `sha256sum --check`, wherever the model is taken
    sums = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    (folder / "SHA256SUMS").write_text(sums, encoding="utf-8")


def copy_files(source: Path, folder: Path, names: Sequence[str]) -> None:
    """Copy those of the named files that the source has."""
    for name in names:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


@contextlib.contextmanager
def _draft_of(destination: Path) -> Iterator[Path]:
    """A new folder beside the destination, gone afterwards unless it was renamed, with the parents made for it."""
    draft = destination.with_name(f".{destination.name}.partial-{os.getpid()}")
    made = [folder for folder in destination.absolute().parents if not folder.exists()]
    try:
        draft.mkdir(parents=True)
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if not destination.exists():
            for folder in made:
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.2f} MB"


def _shard_names(count: int) -> list[str]:
    return [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]
