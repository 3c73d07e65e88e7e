"""The diagnosis: everything that weights alone tell of a base and its experts before they are merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evomerge.checkpoints.checkpoint import Checkpoint
from evomerge.checkpoints.diagnosis.bands import Grouping, suggest
from evomerge.checkpoints.diagnosis.findings import Finding, able, findings
from evomerge.checkpoints.diagnosis.gauges import Regauged, regauged
from evomerge.checkpoints.diagnosis.survey import Progress, Survey, ignore, survey


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found.

    Attributes:
        survey: Norms, kinship and conflicts, by tensor and for any union of tensors.
        sound: The same of the experts that can be merged as they are.
        regauged: Parts that are the base's in another gauge.
        findings: What to know before merging, the gravest first.
        grouping: Suggested groups of layers, for the sound experts; None without experts or layers.
    """

    survey: Survey
    sound: Survey
    regauged: tuple[Regauged, ...]
    findings: tuple[Finding, ...]
    grouping: Grouping | None


def diagnose(models: Mapping[str, Checkpoint], progress: Progress = ignore) -> Diagnosis:
    """Look at models before merging them.

    Args:
        models: By name; the first is the base.
        progress: Told what is being done, and how much of it is.

    Raises:
        ConfigError: If tensors do not correspond, or hold what is not a number.
    """
    seen = survey(models, progress)
    gauges = regauged(seen, models, progress)
    sound = seen.only(able(seen, gauges))
    grouping = suggest(sound) if sound.experts else None
    return Diagnosis(seen, sound, tuple(gauges), tuple(findings(seen, gauges)), grouping)
