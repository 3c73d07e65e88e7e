"""What commands score: a fitness document by its name, and a checkpoint as the recipe that leaves it as it is."""

from __future__ import annotations

from pathlib import Path

from evomerge import shipped
from evomerge.config.files import read_resolved
from evomerge.documents import parse
from evomerge.fitness import FitnessSpec
from evomerge.recipe import Blend, ModelRef, Recipe
from evomerge.recipe.stages import Linear


def read_fitness(name: str, zoo: str) -> tuple[str, FitnessSpec]:
    """A fitness document and its name for messages.

    Args:
        name: Of a file in fitness/, or a path that ends in .yaml.
        zoo: What `${zoo}` stands for in it.

    Raises:
        ConfigError: With all problems of the file.
    """
    path = Path(name) if Path(name).suffix in (".yaml", ".yml") else shipped.find("fitness", name)
    return str(path), parse(FitnessSpec, read_resolved(path, zoo), str(path))


def alone(folder: Path) -> Recipe:
    """The recipe that is one checkpoint as it is."""
    blend = Blend(experts=("model",), pipe=(Linear(reduce="sum"),))
    return Recipe(models={"model": ModelRef(path=str(folder))}, blends={"alone": blend})
