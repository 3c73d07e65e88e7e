"""Search spaces: recipes with holes, and the way between genomes and recipes."""

from evomerge.spaces.file import SpaceFile, corner_recipe, kin_in, measured_in, parse_space
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene
from evomerge.spaces.space import SearchSpace, bind, depth_problems

__all__ = [
    "ChoiceGene",
    "FloatGene",
    "Gene",
    "Genome",
    "IntGene",
    "SearchSpace",
    "SpaceFile",
    "bind",
    "corner_recipe",
    "depth_problems",
    "kin_in",
    "measured_in",
    "parse_space",
]
