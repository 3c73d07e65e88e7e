"""The search-space document: what a person writes in `search_spaces/NAME.yaml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

import pydantic

from evomerge.documents import Tree, Value, fault, key, parse, suggestion, tree_of
from evomerge.errors import ConfigError, Problem
from evomerge.recipe.adapters import base_faults
from evomerge.recipe.calibration import Calibration, StatisticKind
from evomerge.recipe.measures import measured_models
from evomerge.recipe.recipe import DType, ModelRef, Recipe, TokenizerPolicy
from evomerge.recipe.route import Ends, joint, kin_of
from evomerge.recipe.where import Role
from evomerge.spaces.holes import check_holes, corners, fill, genes_in, open_holes
from evomerge.spaces.routes import RouteHole, Segments

RESERVED_NAMES = ("uniform", "favourite")
"""Reports call the plain average of the experts and the optimiser's belief so."""


def check_models(models: dict[str, ModelRef]) -> dict[str, ModelRef]:
    """Validator that refuses names that reports use otherwise and adapters without a base, and changes nothing."""
    for name in RESERVED_NAMES:
        if name in models:
            raise fault(f'"{name}" is what reports call something else. Give the model another name.')
    if groundless := [*base_faults(models)]:
        (_, *place), what = groundless[0]
        raise fault(f"{key(place)}: {what}")
    return models


class Groups(Value):
    """Genes exist once per group: per band of layers, and within a band per role.

    Attributes:
        layers: Number of bands that the layers are cut into, as even as can be.
        bands: The bands instead of their number, each as first and last layer; `evomerge inspect` suggests some.
        roles: Roles that get genes of their own: in every band, or once if they lie outside the layers. Absent: a band
            is one group. What belongs to none makes up a last group, `rest`.
    """

    layers: int = pydantic.Field(default=1, ge=1)
    bands: Annotated[tuple[tuple[int, int], ...], pydantic.Field(min_length=1)] | None = None
    roles: tuple[Role, ...] = ()

    @pydantic.field_validator("bands")
    @classmethod
    def _ascending(cls, bands: tuple[tuple[int, int], ...] | None) -> tuple[tuple[int, int], ...] | None:
        before = -1
        for first, last in bands or ():
            if not before < first <= last:
                raise fault(f"[{first}, {last}] does not follow what stands before it. Write [first, last], ascending.")
            before = last
        return bands

    @pydantic.model_validator(mode="after")
    def _cut_once(self) -> Self:
        if self.bands and self.layers != 1:
            raise fault('"layers" and "bands" both cut the layers. Keep one of them.')
        return self

    @pydantic.field_validator("roles")
    @classmethod
    def _distinct(cls, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        if twice := [role for index, role in enumerate(roles) if role in roles[:index]]:
            raise fault(f'"{twice[0]}" stands twice.')
        return roles


class SpaceFile(Value):
    """A recipe with holes, as written.

    Attributes:
        models: Checkpoints by name: a path, or a mapping with `path` and `digest`.
        groups: How the genes of a blend's `pipe` are repeated over the model; absent: not at all.
        blends: Blends as in a recipe, in which any value may be a hole.
        route: As in a recipe, in which any value may be a hole, or a generator of routes by name.
        ends: As in a recipe; absent beside a generator: all from its first source.
        seeds: Individuals to start from: names of presets, or presets with parameters; `neutral` leaves every gene at
            the value that does nothing.
        calibration: As in a recipe: by the name of a model, the data that its statistics are measured on.
    """

    evomerge: Literal["space/1"]
    models: Annotated[dict[str, ModelRef], pydantic.Field(min_length=1), pydantic.AfterValidator(check_models)]
    groups: Groups | None = None
    blends: Annotated[dict[str, dict[str, Tree]], pydantic.AfterValidator(check_holes)] = pydantic.Field(
        default_factory=dict
    )
    route: RouteHole | None = None
    ends: Ends | None = None
    seeds: tuple[Tree, ...] = ()
    dtype: DType | None = None
    tokenizer: TokenizerPolicy | None = None
    calibration: dict[str, Calibration] | None = None

    @pydantic.field_validator("seeds")
    @classmethod
    def _named(cls, seeds: tuple[Tree, ...]) -> tuple[Tree, ...]:
        for seed in seeds:
            if not isinstance(seed, str) and not (isinstance(seed, Mapping) and isinstance(seed.get("use"), str)):
                raise fault("A seed is the name of a preset, or a mapping such as {use: ties, density: 0.3}.")
        return seeds

    @pydantic.model_validator(mode="after")
    def _groups_act(self) -> Self:
        if self.groups and not any("pipe" in blend for blend in self.blends.values()):
            raise fault('"groups" repeat the genes of a "pipe", but no blend has one. Write one, or drop the groups.')
        return self

    @pydantic.model_validator(mode="after")
    def _route_stands(self) -> Self:
        """Names that only this file can give its generator."""
        known = [*self.models, *self.blends]
        for source in (*self.route.sources, self.route.home) if self.route else ():
            if source not in known:
                raise fault(f'route: "{source}" is neither a model nor a blend. {suggestion(source, known)}')
        for name in self.route.own_blends if self.route else ():
            if name in known:
                raise fault(f'"{name}" is what the route calls a blend of its own. Give yours another name.')
        return self

    def recipe_tree(self, blends: Mapping[str, Tree]) -> dict[str, Tree]:
        """The plain data of a recipe with these blends; its route, where there is one, only names the sources."""
        models = {name: model.model_dump(exclude_none=True) for name, model in self.models.items()}
        tree: dict[str, Tree] = {"models": models, "blends": blends, "dtype": self.dtype}
        if self.route:
            tree["route"] = [{"from": source} for source in self.route.sources]
        if ends := self._ends:
            tree["ends"] = tree_of(ends)
        if self.tokenizer:
            tree["tokenizer"] = {"from": self.tokenizer.source}
        if self.calibration:
            tree["calibration"] = {n: data.model_dump(exclude_none=True) for n, data in self.calibration.items()}
        return tree

    @property
    def _ends(self) -> Ends | None:
        """The ends, the same for all genomes."""
        if self.ends or not self.route or (isinstance(self.route, Segments) and self.blends):
            return self.ends
        return Ends(embeddings=self.route.home, norm=self.route.home, head=self.route.home)


def parse_space(tree: Tree, where: str) -> SpaceFile:
    """Check a search space: its own keys, and the recipes at the ends of every hole.

    Raises:
        ConfigError: With all problems of the file.
    """
    space = parse(SpaceFile, tree, where)
    problems: dict[Problem, None] = {}
    for corner in _corner_trees(space):
        try:
            parse(Recipe, corner, where)
        except ConfigError as error:
            problems |= dict.fromkeys(error.problems)
    ConfigError.raise_if_any(problems)
    if space.route is None and not list(genes_in(open_holes(dict(space.blends), name=key))):
        advice = "Make some value of a blend a hole, such as {float: [0, 1]}, or use `evomerge export`."
        raise ConfigError.at(where, f"nothing varies. {advice}")
    return space


def measured_in(space: SpaceFile, where: str) -> list[tuple[str, StatisticKind]]:
    """Names of models with the kinds of statistics that recipes of a sound space read of them, each once."""
    corners = (parse(Recipe, corner, where) for corner in _corner_trees(space))
    return list({pair: None for recipe in corners for pair in measured_models(recipe.blends)})


def corner_recipe(space: SpaceFile, where: str) -> Recipe:
    """One recipe of a sound space, with every source of its route."""
    return parse(Recipe, next(_corner_trees(space)), where)


def kin_in(space: SpaceFile, where: str) -> list[set[str]]:
    """Models that some recipe of a sound space merges tensor by tensor, group by group."""
    return joint(group for corner in _corner_trees(space) for group in kin_of(parse(Recipe, corner, where)))


def _corner_trees(space: SpaceFile) -> Iterator[dict[str, Tree]]:
    """The plain data of recipes at the ends of every hole."""
    opened = open_holes(dict(space.blends), name=key)
    yield from (space.recipe_tree(fill(opened, values)) for values in corners(list(genes_in(opened))))
