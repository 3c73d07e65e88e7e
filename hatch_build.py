"""Ships the rooms of the top level inside real wheels; an editable install reads them from the checkout."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOMS = ("conf", "search_spaces", "fitness", "experiments")


class ShipRooms(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's parameter is internal to its builders
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            build_data["force_include"].update({room: f"evomerge/_shipped/{room}" for room in ROOMS})
