"""Files of the rooms, read outside Hydra: plain data with their references resolved."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from evomerge.documents import Tree, read_yaml
from evomerge.errors import ConfigError


def read_resolved(path: Path, zoo: str) -> dict[str, Tree]:
    """The mapping that a file holds.

    Args:
        path: A YAML file.
        zoo: What `${zoo}` stands for in it.

    Raises:
        ConfigError: If it cannot be read, holds no mapping, or refers to what is not there.
    """
    tree = read_yaml(path)
    if not isinstance(tree, dict):
        raise ConfigError.at(str(path), "holds no mapping. The first key of a file is `evomerge`.")
    try:
        resolved = OmegaConf.to_container(OmegaConf.create({**tree, "zoo": zoo}), resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError.at(str(path), f"{str(error).splitlines()[0]}.") from None
    assert isinstance(resolved, dict), "a mapping stays one"
    return {str(key): value for key, value in resolved.items() if key != "zoo"}
