"""Pages: templates filled in, and files that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from evomerge.errors import EvomergeError


def fill(template: str, told: Mapping[str, Any]) -> str:
    """The text of a page. Whatever it is told is escaped."""
    environment = Environment(
        loader=PackageLoader("evomerge.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(told)


def write(path: Path, content: str | bytes) -> None:
    """Write a file so that whoever reads it meanwhile sees the old one or the new one, never half of it.

    Raises:
        EvomergeError: If it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise EvomergeError(f"{path} cannot be written: {error.strerror}.") from error
