"""Diagnosis: norms, kinship, conflicts and gauges of models, before they are merged."""

from evomerge.checkpoints.diagnosis.bands import Grouping
from evomerge.checkpoints.diagnosis.diagnosis import Diagnosis, diagnose
from evomerge.checkpoints.diagnosis.findings import Finding
from evomerge.checkpoints.diagnosis.gauges import Regauged
from evomerge.checkpoints.diagnosis.moments import Change, Kinship, Moments
from evomerge.checkpoints.diagnosis.survey import Survey

__all__ = [
    "Change",
    "Diagnosis",
    "Finding",
    "Grouping",
    "Kinship",
    "Moments",
    "Regauged",
    "Survey",
    "diagnose",
]
