"""Item response theory: response models, their fits, abilities, and item banks."""

from evomerge.fitness.irt.bank import Bank, Provenance
from evomerge.fitness.irt.fit import fit_bank
from evomerge.fitness.irt.model import ItemParameters
from evomerge.fitness.irt.recalibration import recalibrate
from evomerge.fitness.irt.responses import ResponseStore

__all__ = ["Bank", "ItemParameters", "Provenance", "ResponseStore", "fit_bank", "recalibrate"]
