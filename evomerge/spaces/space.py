"""A search space bound to its models: genes, and the way from a genome to a recipe."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evomerge.documents import Tree, key, parse, shown, tree_of
from evomerge.errors import ConfigError, EvomergeError, Problem
from evomerge.recipe.recipe import ModelRef, Recipe
from evomerge.recipe.route import Fault
from evomerge.recipe.stages import SLOTS
from evomerge.recipe.where import Role
from evomerge.spaces.file import Groups, SpaceFile
from evomerge.spaces.genes import ChoiceGene, Gene, Genome, IntGene, Scalar
from evomerge.spaces.holes import Path, fill, genes_in, open_holes, values_at
from evomerge.spaces.routes import RouteGenerator
from evomerge.spaces.starts import NotInSpace, encode, neutral, start_pipes

_OUTSIDE: tuple[Role, ...] = ("embedding", "head")
"""Roles that lie outside the layers."""

_PER_EXPERT = ("weigh", "weights", "density")
"""Lists in which each entry is one expert's."""


_ASK = "; a run over such routes does"
"""Who knows the genes of a route: layers do not tell them."""


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """A recipe with holes, one gene for each.

    Attributes:
        genes: What varies, in genome order.
        template: Plain data of a recipe with genes for leaves.
        seeds: Genomes to start from.
        where: Name of the file, for messages.
        route: What makes layers in an order of the genes; None: the last blend's own.
        depths: How many layers each blend and model has.
    """

    genes: tuple[Gene, ...]
    template: Tree
    seeds: tuple[Genome, ...]
    where: str
    route: RouteGenerator | None = None
    depths: Mapping[str, int] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """What is searched, in a few words."""
        return f"{len(self.genes)} genes"

    def decode(self, genome: Genome) -> Recipe:
        """The recipe of a genome.

        Raises:
            EvomergeError: If the genome is not one of this space.
        """
        if len(genome) != len(self.genes):
            raise EvomergeError(f"{self.where}: a genome has {len(self.genes)} genes, not {len(genome)}.")
        for gene, value in zip(self.genes, genome, strict=True):
            if not gene.contains(value):
                raise EvomergeError(f"{self.where}: gene {gene.name} cannot be {shown(value)}.")
        values = {gene.name: value for gene, value in zip(self.genes, genome, strict=True)}
        tree = fill(self.template, values)
        if self.route is not None:
            drawn = self.route.draw(values, self.depths)
            tree |= {"blends": tree["blends"] | drawn.blends, "route": [*map(tree_of, drawn.route)]}
            tree |= {"ends": tree["ends"] | drawn.ends} if drawn.ends else {}
        return parse(Recipe, tree, self.where)

    def encode(self, recipe: Recipe) -> Genome:
        """The genome that `decode` makes this recipe of; models are taken for those of the space.

        Raises:
            NotInSpace: If there is none.
        """
        values = dict(values_at(self.template["blends"], tree_of(recipe)["blends"]))
        genome: list[Scalar] = []
        for gene in self.genes:
            value = values.get(gene.name, gene.neutral)  # a stage does not spell out what it leaves as it is
            if value is None:
                raise NotInSpace(f"it does not say what gene {gene.name} was{_ASK if self.route else ''}")
            if not gene.contains(value):
                raise NotInSpace(f"gene {gene.name} cannot be {shown(value)}")
            genome.append(value)
        decoded = self.decode(tuple(genome))
        if decoded.digest != recipe.model_copy(update={"models": decoded.models}).digest:
            elsewhere = f", or in its route, whose genes it does not say{_ASK}" if self.route else ""
            raise NotInSpace(f"it differs where the space has no genes{elsewhere}")
        return tuple(genome)


def bind(
    space: SpaceFile, models: Mapping[str, ModelRef], num_layers: int | Mapping[str, int], where: str
) -> SearchSpace:
    """Give a space its models and cut it into groups of their layers.

    Args:
        space: The document.
        models: The same models with their digests known.
        num_layers: How many layers the models have, by name where they differ.
        where: Name of the file, for messages.

    Raises:
        ConfigError: If it names layers that do not exist, or if a seed does not lie in the space.
    """
    depths = _depths(space, num_layers)
    ConfigError.raise_if_any(depth_problems(space, depths, where))
    blends = {name: _opened(name, blend, space.groups, depths[name]) for name, blend in space.blends.items()}
    genes, route = tuple(genes_in(blends)), space.route
    if route is not None:
        models = {name: model.model_copy(update={"layers": depths[name]}) for name, model in models.items()}
        genes += route.genes(depths)
    template = space.model_copy(update={"models": dict(models)}).recipe_tree(blends)
    template |= {} if route is None else {"route": tree_of(route)}
    return SearchSpace(genes, template, _seeds(space, blends, genes, where), where, route, depths)


def depth_problems(space: SpaceFile, num_layers: int | Mapping[str, int], where: str) -> list[Problem]:
    """What a space asks of layers that its models do not have, for whoever has read no more than their headers.

    Args:
        space: The document.
        num_layers: How many layers the models have, by name where they differ.
        where: Name of the file, for messages.
    """
    depths = _depths(space, num_layers)
    faults = [(("route", *place), what) for place, what in (space.route.misfits(depths) if space.route else ())]
    if space.groups:
        least = min(depths[name] for name, blend in space.blends.items() if "pipe" in blend)
        faults += _band_faults(space.groups, least)
    faults += [fault for name, blend in space.blends.items() for fault in _idle_rules(name, blend, depths[name])]
    return [Problem(f"{where}: {key(place)}", what) for place, what in faults]


def _depths(space: SpaceFile, num_layers: int | Mapping[str, int]) -> dict[str, int]:
    """How many layers each model and blend has; those that are blended with one another have the same."""
    depths = {name: num_layers if isinstance(num_layers, int) else num_layers[name] for name in space.models}
    for name, blend in space.blends.items():
        first = open_holes(blend.get("origin") or blend["experts"][0])
        depths[name] = depths[str(first.options[0]) if isinstance(first, ChoiceGene) else first]
    return depths


def _band_faults(groups: Groups, num_layers: int) -> Iterator[Fault]:
    if groups.layers > num_layers:
        what = f"{groups.layers} bands of layers, but the models have {num_layers} layers. Ask for fewer."
        yield ("groups", "layers"), what
    if groups.bands and groups.bands[-1][1] >= num_layers:
        last = f"layer {groups.bands[-1][1]} does not exist: the models' last layer is {num_layers - 1}"
        yield ("groups", "bands"), f"{last}. End the last band there."


def _idle_rules(name: str, blend: Mapping[str, Tree], num_layers: int) -> Iterator[Fault]:
    """Rules that none of the layers obeys, so that their genes would be searched in vain."""
    for index, rule in enumerate(blend.get("rules") or ()):
        layers = (rule.get("where") or {}).get("layers")
        first = open_holes(layers[0]) if layers else 0
        first = first.low if isinstance(first, IntGene) else first
        if first >= num_layers:
            place = ("blends", name, "rules", index, "where", "layers")
            yield place, f"layer {first} does not exist: the last layer of {name} is {num_layers - 1}."


def _seeds(space: SpaceFile, blends: Mapping[str, Tree], genes: tuple[Gene, ...], where: str) -> tuple[Genome, ...]:
    result = [*blends.values()][-1] if blends else None
    genomes: dict[Genome, None] = {}
    problems = []
    for index, start in enumerate(space.seeds):
        place = f"{where}: seeds[{index}]"
        try:
            if start == "neutral":
                genomes[neutral(genes)] = None
                continue
            if result is None:
                raise NotInSpace('there is no blend that it could be. Only "neutral" can be meant')
            alternatives = start_pipes(start, len(result["experts"]), place)
            genomes[encode(alternatives, result, genes)] = None
        except NotInSpace as reason:
            what = f"{shown(start)} does not lie in the space: {reason}. Drop it or widen the space."
            problems.append(Problem(place, what))
        except ConfigError as error:
            problems += error.problems
    ConfigError.raise_if_any(problems)
    return tuple(genomes)


def _opened(name: str, blend: Mapping[str, Tree], groups: Groups | None, num_layers: int) -> dict[str, Tree]:
    """A blend with genes for leaves, its pipe repeated once per group where groups are asked for."""
    namer = _namer(name, blend)
    if groups is None or "pipe" not in blend:
        return {step: open_holes(part, namer, (step,)) for step, part in blend.items()}
    opened = {step: open_holes(part, namer, (step,)) for step, part in blend.items() if step != "pipe"}
    rules = []
    for group, selector in _groups(groups, num_layers):
        pipe = open_holes(blend["pipe"], _namer(f"{name}/{group}", blend), ("pipe",))
        rules.append({**({"where": selector} if selector else {}), "pipe": pipe})
    return opened | {"rules": rules}


def _groups(groups: Groups, num_layers: int) -> Iterator[tuple[str, dict[str, Tree] | None]]:
    """Name and selector of every group; the last one takes what is left."""
    inside: tuple[Role | None, ...] = tuple(role for role in groups.roles if role not in _OUTSIDE)
    for first, last in groups.bands or _even(groups.layers, num_layers):
        name = f"layers {first}-{last}" if last > first else f"layer {first}"
        for role in inside if groups.roles else (None,):
            selector: dict[str, Tree] = {"layers": [first, last]}
            yield (f"{name} {role}", selector | {"roles": [role]}) if role else (name, selector)
    for role in groups.roles:
        if role in _OUTSIDE:
            yield role, {"roles": [role]}
    yield "rest", None


def _even(num_bands: int, num_layers: int) -> list[tuple[int, int]]:
    """First and last layer of bands as even as can be."""
    starts = [band * num_layers // num_bands for band in range(num_bands + 1)]
    return [(first, after - 1) for first, after in itertools.pairwise(starts)]


def _namer(prefix: str, blend: Mapping[str, Tree]) -> Callable[[Path], str]:
    """Names a gene by its group or rule, slot and parameter, such as `mix/layers 0-1 mlp/gate.density`."""

    def name(path: Path) -> str:
        places, words = [prefix], list[str]()
        node: Tree = blend
        for before, step in zip(("", *path), path, strict=False):
            if before == "rules":
                places.append(f"rule {int(step) + 1}")
            elif before == "pipe":
                words.append(_stage_name(node, int(step)))
            elif before in _PER_EXPERT:
                words.append(_expert_name(blend["experts"], int(step)))
            elif step not in ("rules", "pipe", *words):
                words.append(str(step))
            node = node[step]
        return "/".join([*places, ".".join(words)])

    return name


def _stage_name(pipe: Sequence[Tree], index: int) -> str:
    """A stage's slot, numbered from the second of its slot on."""
    slots = [next(slot for slot in SLOTS if slot in stage) for stage in pipe[: index + 1]]
    count = slots.count(slots[-1])
    return slots[-1] if count == 1 else f"{slots[-1]} {count}"


def _expert_name(experts: Sequence[Tree], index: int) -> str:
    name = experts[index]
    return name if isinstance(name, str) and experts.count(name) == 1 else f"expert {index + 1}"
