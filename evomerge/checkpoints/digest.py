"""The digest of a checkpoint: what it contains, wherever it lies."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from evomerge.checkpoints.checkpoint import Checkpoint


def digest_of(checkpoint: Checkpoint) -> str:
    """`sha256:` over config and tensor files; of an adapter, over its own files and not its base's."""
    return digest_of_files(checkpoint.digest_files)


def digest_of_files(files: Sequence[Path]) -> str:
    """`sha256:` over the contents of files, in this order.

    Hashing reads every byte once; the result is remembered per file, size and time of change in
    `$XDG_CACHE_HOME/evomerge`, so that large models are not read again at every start.
    """
    known = _load_cache()
    keys = {path: _key(path) for path in files}
    fresh = {key: _hash(path) for path, key in keys.items() if key not in known}
    if fresh:
        _save_cache(_load_cache() | fresh)  # loaded again: another process may have added to it meanwhile
        known |= fresh
    total = hashlib.sha256("\n".join(known[key] for key in keys.values()).encode())
    return f"sha256:{total.hexdigest()}"


def _key(path: Path) -> str:
    # the time of change and not that of modification, which copying tools set at will
    status = path.resolve().stat()
    return f"{path.resolve()}:{status.st_size}:{status.st_ctime_ns}"


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cache_file() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "evomerge" / "digests.json"


def _load_cache() -> dict[str, str]:
    try:
        known = json.loads(_cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: digest for key, digest in known.items() if isinstance(digest, str)} if isinstance(known, dict) else {}


def _save_cache(known: dict[str, str]) -> None:
    """Best effort: a read-only home only costs time. Files that are gone are forgotten."""
    file = _cache_file()
    known = {key: digest for key, digest in known.items() if Path(key.rsplit(":", 2)[0]).exists()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(known), encoding="utf-8")
        draft.replace(file)
    except OSError:
        return
