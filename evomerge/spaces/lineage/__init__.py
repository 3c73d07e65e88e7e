"""Lineages: members bred from a few models, whose whole genealogy collapses to coefficients of those."""

from evomerge.spaces.lineage.file import Breed, BreedFile, is_breed, parse_breed
from evomerge.spaces.lineage.lattice import Cell, Lattice, lattice_of
from evomerge.spaces.lineage.lineage import Cross, Lineage
from evomerge.spaces.lineage.space import LineageSpace, bind_breed

__all__ = [
    "Breed",
    "BreedFile",
    "Cell",
    "Cross",
    "Lattice",
    "Lineage",
    "LineageSpace",
    "bind_breed",
    "is_breed",
    "lattice_of",
    "parse_breed",
]
