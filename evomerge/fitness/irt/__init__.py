"""Item response theory: response models, their fits, abilities, and item banks."""

from evomerge.fitness.irt.bank import Bank, Provenance
from evomerge.fitness.irt.fit import fit_bank
from evomerge.fitness.irt.model import ItemParameters

__all__ = ["Bank", "ItemParameters", "Provenance", "fit_bank"]
