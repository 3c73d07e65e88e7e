"""Diagnosis: norms, kinship, conflicts and gauges of models, before they are merged."""

from evomerge.checkpoints.diagnosis.bands import Grouping
from evomerge.checkpoints.diagnosis.diagnosis import Diagnosis, diagnose
from evomerge.checkpoints.diagnosis.findings import Finding, thresholds
from evomerge.checkpoints.diagnosis.gauges import Regauged
from evomerge.checkpoints.diagnosis.moments import Change, Kinship, Moments
from evomerge.checkpoints.diagnosis.record import record
from evomerge.checkpoints.diagnosis.survey import Progress, Survey

__all__ = [
    "Change",
    "Diagnosis",
    "Finding",
    "Grouping",
    "Kinship",
    "Moments",
    "Progress",
    "Regauged",
    "Survey",
    "diagnose",
    "record",
    "thresholds",
]
