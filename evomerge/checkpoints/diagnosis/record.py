"""The record: a diagnosis as plain data, for programs."""

from __future__ import annotations

from collections.abc import Mapping

from evomerge.checkpoints.diagnosis.diagnosis import Diagnosis
from evomerge.checkpoints.diagnosis.moments import Moments
from evomerge.checkpoints.diagnosis.survey import Survey
from evomerge.documents import Tree


def record(diagnosis: Diagnosis) -> dict[str, Tree]:
    """Everything that was found, ready for JSON: the whole models, then layers, roles, both, and single tensors."""
    survey = diagnosis.survey
    return {
        "evomerge": "diagnosis/1",
        "base": survey.base,
        "experts": list(survey.experts),
        "findings": [finding.model_dump(mode="json") for finding in diagnosis.findings],
        "regauged": [gauge.model_dump(mode="json") for gauge in diagnosis.regauged],
        "groups": diagnosis.grouping.model_dump(mode="json") if diagnosis.grouping else None,
        "whole": _numbers(survey, survey.whole),
        "layers": _rows(survey, survey.grouped(lambda name: (("layer", survey.parts_of[name].layer),))),
        "roles": _rows(survey, survey.grouped(lambda name: (("role", survey.parts_of[name].role),))),
        "parts": _rows(
            survey,
            survey.grouped(lambda name: (("layer", survey.parts_of[name].layer), ("role", survey.parts_of[name].role))),
        ),
        "tensors": _rows(survey, survey.grouped(lambda name: (("name", name),))),
    }


def _rows(survey: Survey, groups: Mapping[tuple[tuple[str, Tree], ...], Moments]) -> list[dict[str, Tree]]:
    return [dict(place) | _numbers(survey, moments) for place, moments in groups.items()]


def _numbers(survey: Survey, moments: Moments) -> dict[str, Tree]:
    return {
        "num_entries": moments.num_entries,
        "base_norm": moments.base_norm,
        "experts": {name: moments.change(index).model_dump() for index, name in enumerate(survey.experts)},
        "pairs": [
            {"experts": [survey.experts[one], survey.experts[other]]} | moments.kinship(one, other).model_dump()
            for one, other in survey.pairs
        ],
    }
