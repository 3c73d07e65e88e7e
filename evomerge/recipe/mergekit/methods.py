"""mergekit's merge methods: their parameters, what they ask of their models, and the presets that compute the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["number", "flag"]
BaseUse: TypeAlias = Literal["origin", "optional origin", "first", "input"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a method.

    Attributes:
        field: The preset's field that takes it.
        kind: A number, or true or false.
        is_required: Whether mergekit has no default for it.
    """

    field: str
    kind: Kind = "number"
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Method:
    """One method.

    Attributes:
        preset: The preset that computes what mergekit computes.
        base: What the base model is to it: the origin of task vectors, the same if there is one, the first of two
            models, or a model like the others.
        each: Parameters with a value per model, by mergekit's name.
        shared: Parameters with one value.
        num_others: Fewest and most models beside the base (`input`: of all models); None for no limit.
    """

    preset: str
    base: BaseUse
    each: Mapping[str, Parameter] = field(default_factory=dict)
    shared: Mapping[str, Parameter] = field(default_factory=dict)
    num_others: tuple[int, int | None] = (1, None)

    @property
    def parameters(self) -> dict[str, Parameter]:
        """All parameters by mergekit's name."""
        return {**self.shared, **self.each}


_WEIGHT = {"weight": Parameter("weights", is_required=True)}
_TASK = {"lambda": Parameter("scale"), "normalize": Parameter("normalize", "flag")}
_SPARSE = {**_TASK, "rescale": Parameter("rescale", "flag")}
_GATED = {**_WEIGHT, "density": Parameter("density")}
_T = {"t": Parameter("t", is_required=True)}
_EPSILON = {"epsilon": Parameter("epsilon")}
_GAMMA = {"gamma": Parameter("gamma")}

METHODS: dict[str, Method] = {
    "linear": Method("linear@mergekit", "input", _WEIGHT, {"normalize": Parameter("normalize", "flag")}),
    "slerp": Method("slerp@mergekit", "first", {}, _T, (1, 1)),
    "nuslerp": Method(
        "nuslerp@mergekit",
        "optional origin",
        _WEIGHT,
        {
            "nuslerp_row_wise": Parameter("nuslerp_row_wise", "flag"),
            "nuslerp_flatten": Parameter("nuslerp_flatten", "flag"),
        },
        (2, 2),
    ),
    "multislerp": Method(
        "multislerp@mergekit",
        "optional origin",
        _WEIGHT,
        {"normalize_weights": Parameter("normalize_weights", "flag")},
    ),
    "karcher": Method("karcher@mergekit", "input", {}, {"max_iter": Parameter("max_iter"), "tol": Parameter("tol")}),
    "task_arithmetic": Method("task_arithmetic@mergekit", "origin", _WEIGHT, _TASK),
    "ties": Method("ties@mergekit", "origin", _GATED, _SPARSE),
    "dare_linear": Method("dare_linear@mergekit", "origin", _GATED, _SPARSE),
    "dare_ties": Method("dare_ties@mergekit", "origin", _GATED, _SPARSE),
    "della": Method("della@mergekit", "origin", {**_GATED, **_EPSILON}, _SPARSE),
    "della_linear": Method("della_linear@mergekit", "origin", {**_GATED, **_EPSILON}, _SPARSE),
    "breadcrumbs": Method("breadcrumbs@mergekit", "origin", {**_GATED, **_GAMMA}, _SPARSE),
    "breadcrumbs_ties": Method("breadcrumbs_ties@mergekit", "origin", {**_GATED, **_GAMMA}, _SPARSE),
    "model_stock": Method(
        "model_stock@mergekit", "origin", {}, {"filter_wise": Parameter("filter_wise", "flag")}, (2, None)
    ),
    "sce": Method("sce@mergekit", "origin", {}, {"select_topk": Parameter("select_topk")}),
    "arcee_fusion": Method("arcee_fusion@mergekit", "origin", {}, {}, (1, 1)),
    "nearswap": Method("nearswap@mergekit", "origin", {}, _T, (1, 1)),
    "ram": Method("ram@mergekit", "origin", {}, _EPSILON),
    "ramplus_tl": Method(
        "ramplus_tl@mergekit",
        "origin",
        {},
        {"r": Parameter("r"), "alpha": Parameter("alpha"), **_EPSILON},
    ),
    "passthrough": Method("passthrough@mergekit", "input", {"scale": Parameter("scale")}, {}, (1, 1)),
}
"""By mergekit's name."""

IDLE = ("int8_mask",)
"""Parameters that several methods accept and that change no result."""

FIXED = {"eps": "is fixed at what mergekit takes by itself"}
"""Parameters that cannot be followed, and why."""

KNOWN = sorted({*IDLE, *(name for method in METHODS.values() for name in method.parameters)})
"""Every parameter that some method has."""
