"""Search spaces: recipes with holes, and the way between genomes and recipes."""

from evomerge.spaces.file import SpaceFile, measured_in, parse_space
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene
from evomerge.spaces.space import SearchSpace, bind

__all__ = [
    "ChoiceGene",
    "FloatGene",
    "Gene",
    "Genome",
    "IntGene",
    "SearchSpace",
    "SpaceFile",
    "bind",
    "measured_in",
    "parse_space",
]
