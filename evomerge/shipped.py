"""Where YAML is found by name: in the user's working directory first, then in what ships with evomerge."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from evomerge.documents import suggestion
from evomerge.errors import ConfigError, EvomergeError

Room: TypeAlias = Literal["search_spaces", "fitness", "experiments"]
"""A top-level directory of YAML files, each of which is used by its name."""

ROOMS: tuple[Room, ...] = get_args(Room)

_PACKAGE = Path(__file__).resolve().parent
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def shipped_root() -> Path:
    """Directory that holds evomerge's own `conf/` and rooms: inside an installed wheel, else the checkout's top.

    Raises:
        EvomergeError: If neither has them.
    """
    for root in (_PACKAGE / "_shipped", _PACKAGE.parent):
        if (root / "conf" / "search.yaml").is_file():
            return root
    raise EvomergeError(
        f"evomerge's own configuration is missing: conf/search.yaml is neither in {_PACKAGE / '_shipped'} "
        f"(an installed wheel) nor in {_PACKAGE.parent} (a checkout). Reinstall evomerge."
    )


def roots() -> tuple[Path, Path]:
    """The directories whose rooms are searched, first come first served: the working directory, then ours."""
    return Path.cwd(), shipped_root()


def look_up(root: Path, room: Room, name: str) -> Path | None:
    """The file of a name in one root's room, or None.

    A name has letters, digits, `.`, `_` and `-` only, so it never leads out of its room.
    """
    path = root / room / f"{name}.yaml"
    return path if _NAME.fullmatch(name) and path.is_file() else None


def names(room: Room) -> dict[str, Path]:
    """Every name that can be used in a room, in order, and the file that it stands for."""
    found: dict[str, Path] = {}
    for root in reversed(roots()):
        found |= names_in(root, room)
    return dict(sorted(found.items()))


def names_in(root: Path, room: Room) -> dict[str, Path]:
    """Every name in one root's room and its file."""
    files = sorted((root / room).glob("*.yaml"))
    return {path.stem: path for path in files if look_up(root, room, path.stem)}


def find(room: Room, name: str) -> Path:
    """The file that a name stands for: the user's own before ours.

    Raises:
        ConfigError: If there is none, with the names that exist.
    """
    known = names(room)
    if name not in known:
        looked = " or ".join(str(root / room) for root in dict.fromkeys(roots()))
        allowed = suggestion(name, known) if known else "There is none yet."
        raise ConfigError.at(f"{room}/{name}.yaml", f"there is no such file in {looked}. {allowed}")
    return known[name]
