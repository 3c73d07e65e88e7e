"""mergekit-evolve's file as a search space and a fitness of the same freedom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evomerge.documents import Tree, parse
from evomerge.recipe.mergekit.faults import Faults
from evomerge.recipe.mergekit.layout import Layout
from evomerge.recipe.mergekit.models import Locate, locate_all, tokenizer_donor
from evomerge.recipe.mergekit.text import yaml_text
from evomerge.spaces.evolve.document import EvolveDocument
from evomerge.spaces.evolve.fitness import fitness_note, fitness_tree
from evomerge.spaces.evolve.space import space_note, space_tree

__all__ = ["Conversion", "convert_evolve"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What becomes of a file.

    Attributes:
        space: YAML of the search space.
        fitness: YAML of the fitness.
    """

    space: str
    fitness: str


def convert_evolve(tree: Tree, where: str, locate: Locate) -> Conversion:
    """Convert a file of mergekit-evolve.

    Args:
        tree: Its plain data.
        where: Its name, for messages and comments.
        locate: Finds its models on disk.

    Raises:
        ConfigError: With all that is wrong or has no counterpart, by key.
    """
    document = parse(EvolveDocument, tree, where)
    faults = Faults(where)
    models = locate_all(document.genome.places, locate, faults)
    layouts = {model: layout for model, (_, layout) in models.items()}
    _check(document, layouts, faults)
    genome, place = document.genome, ("genome", "tokenizer_source")
    donor = tokenizer_donor(genome.tokenizer_source, genome.base_model, layouts, place, faults)
    faults.raise_if_any()
    space = space_tree(document, {model: path for model, (path, _) in models.items()}, layouts, donor)
    return Conversion(
        space_note(genome, where) + yaml_text(space),
        fitness_note(document, where) + yaml_text(fitness_tree(document)),
    )


def _check(document: EvolveDocument, layouts: Mapping[str, Layout], faults: Faults) -> None:
    genome = document.genome
    for model, place in genome.places.items():
        if "+" in model:
            faults.add(place, f"{model} is a model with an adapter on it. Merge the adapter into a copy of it first.")
    if genome.smooth:
        what = "genes that are points of a gradient have no counterpart. Drop it: each group gets values of its own."
        faults.add(("genome", "smooth"), what)
    if genome.merge_method in ("task_arithmetic", "ties", "dare_ties") and not genome.base_model:
        faults.add(("genome", "base_model"), f"is missing. {genome.merge_method} measures from a base model; name it.")
    if genome.merge_method in ("linear", "slerp") and genome.base_model not in (None, *genome.models):
        what = f"{genome.merge_method} merges whole models, and mergekit-evolve fails with a base beside them. Drop it."
        faults.add(("genome", "base_model"), what)
    if genome.merge_method == "slerp" and len(genome.models) != 2:
        what = f"{len(genome.models)} models: which two of them are interpolated is no gene here. Name two."
        faults.add(("genome", "models"), what)
    if genome.merge_method == "slerp" and genome.filters:
        faults.add(("genome", "filters"), "mergekit-evolve takes no filters with slerp. Drop them.")
    depths = {layouts[model].num_layers for model in genome.models if model in layouts}
    if len(depths) > 1:
        faults.add(("genome", "models"), "the models differ in their number of layers. Merge models of one depth.")
    elif depths and genome.layer_granularity > 0 and min(depths) % genome.layer_granularity:
        what = f"{genome.layer_granularity} does not divide the {min(depths)} layers. Take a divisor."
        faults.add(("genome", "layer_granularity"), what)
    for index, task in enumerate(document.tasks):
        if task.weight < 0 and task.metric.startswith(("acc", "exact_match", "f1", "bleu")):
            what = f"{task.weight:g} asks for a worse {task.metric}. Drop the task, or give a positive weight."
            faults.add(("tasks", index, "weight"), what)
