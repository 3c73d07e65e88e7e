"""What Hydra composes: `conf/`, and the rooms, where `search_space=NAME` reads `search_spaces/NAME.yaml`, and so on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from evomerge import shipped
from evomerge.documents import read_yaml
from evomerge.errors import ConfigError

GROUPS: dict[str, shipped.Room] = {
    "search_space": "search_spaces",
    "fitness": "fitness",
    "experiment": "experiments",
}
"""Hydra's config groups and the rooms they read."""

_OPEN = {"struct": False}
"""Takes keys that a file lacks, as `fitness.rotation=0.5`. Our own types say which there are, and know the nearest."""


class RoomSource(ConfigSource):
    """One directory, seen through its rooms: nothing else in it is visible to Hydra."""

    @staticmethod
    def scheme() -> str:
        return "room"

    def available(self) -> bool:
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        return config_path == "" or (config_path in GROUPS and (Path(self.path) / GROUPS[config_path]).is_dir())

    def is_config(self, config_path: str) -> bool:
        return self._file(config_path) is not None

    def load_config(self, config_path: str) -> ConfigResult:
        path = self._file(config_path)
        if path is None:
            raise ConfigLoadError(f"{config_path} is not in the rooms of {self.path}.")
        return ConfigResult(
            provider=self.provider,
            path=self.full_path(),
            config=OmegaConf.create(_mapping(path), flags=_OPEN),
            header=self._get_header_dict(path.read_text(encoding="utf-8")),
        )

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        if config_path in GROUPS and results_filter is not ObjectType.GROUP:
            return sorted(shipped.names_in(Path(self.path), GROUPS[config_path]))
        if config_path == "" and results_filter is not ObjectType.CONFIG:
            return sorted(group for group in GROUPS if self.is_group(group))
        return []

    def _file(self, config_path: str) -> Path | None:
        group, _, name = config_path.partition("/")
        return shipped.look_up(Path(self.path), GROUPS[group], name) if group in GROUPS else None


class ConfSource(RoomSource):
    """`conf/`, whose groups are its folders. Hydra's own source of files would refuse keys that they lack."""

    @staticmethod
    def scheme() -> str:
        return "conf"

    def is_group(self, config_path: str) -> bool:
        return (Path(self.path) / config_path).is_dir()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        folder = Path(self.path) / config_path
        groups = [] if results_filter is ObjectType.CONFIG else [path.name for path in folder.glob("*/")]
        files = [] if results_filter is ObjectType.GROUP else [path.stem for path in folder.glob("*.yaml")]
        return sorted([*groups, *files])

    def _file(self, config_path: str) -> Path | None:
        path = Path(self.path) / f"{config_path.removesuffix('.yaml')}.yaml"
        return path if path.is_file() else None


class RoomsOnSearchPath(SearchPathPlugin):
    """Our `conf/`, the user's rooms, then ours."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append(provider="conf", path=f"{ConfSource.scheme()}://{shipped.shipped_root() / 'conf'}")
        for provider, root in zip(("working directory", "evomerge"), shipped.roots(), strict=True):
            search_path.append(provider=provider, path=f"{RoomSource.scheme()}://{root}")


def _mapping(path: Path) -> dict[str, Any]:
    try:
        tree = read_yaml(path) or {}
    except ConfigError as error:
        raise ConfigLoadError(str(error)) from None  # the kind that Hydra reports without a traceback
    if not isinstance(tree, dict):
        raise ConfigLoadError(f"{path}: holds a {type(tree).__name__}. Write `key: value` lines at the top level.")
    return tree


def register() -> None:
    """Make Hydra know the rooms, in this process and in the workers of its launchers. Call it before composing."""
    Plugins.instance().register(ConfSource)
    Plugins.instance().register(RoomSource)
    Plugins.instance().register(RoomsOnSearchPath)
