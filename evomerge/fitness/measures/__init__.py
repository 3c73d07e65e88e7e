"""Measures: what evomerge itself reads out of a model's answers, beside lm-eval's own metrics.

To add one, write a file beside these and name it in `MEASURES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import pydantic

from evomerge.documents import fault, shown, suggestion
from evomerge.fitness.measures.agreement import Agreement, agreement
from evomerge.fitness.measures.base import BaseMeasure
from evomerge.fitness.measures.brevity import Brevity
from evomerge.fitness.measures.language import Language
from evomerge.fitness.measures.margin import Margin
from evomerge.fitness.measures.reply import Reply

Measure: TypeAlias = Margin | Brevity | Language | Agreement

MEASURES: Mapping[str, type[Measure]] = {
    "margin": Margin,
    "brevity": Brevity,
    "language": Language,
    "agreement": Agreement,
}


def _read(given: Any) -> Any:
    """A metric of lm-eval's is a plain name, a measure is a mapping: neither can be taken for the other."""
    if isinstance(given, BaseMeasure) or (isinstance(given, str) and given):
        return given
    if not isinstance(given, Mapping):
        raise fault(f"{shown(given)} is not a metric. Write a name of lm-eval's, or {{name: margin}}.")
    if (kind := MEASURES.get(str(given.get("name")))) is None:
        raise fault(f"{shown(given.get('name'))} is not a measure. {suggestion(str(given.get('name')), MEASURES)}")
    return kind.model_validate(given)


Metric: TypeAlias = Annotated[str | Measure, pydantic.BeforeValidator(_read)]
"""`acc`: a metric of lm-eval's. `{name: margin, per: byte}`: a measure of evomerge's, with its settings."""

__all__ = [
    "MEASURES",
    "Agreement",
    "BaseMeasure",
    "Brevity",
    "Language",
    "Margin",
    "Measure",
    "Metric",
    "Reply",
    "agreement",
]
