"""Bands: a cut of the layers into groups in which norms and conflicts are alike, for a search space."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from evomerge.checkpoints.diagnosis.moments import Moments
from evomerge.checkpoints.diagnosis.survey import Survey
from evomerge.documents import Value
from evomerge.recipe.where import Role

Profile = npt.NDArray[np.float64]

WORTH = 0.1
"""A further band must explain this share of the variance between layers; each costs a set of genes."""

FLAT = 0.05
"""Profiles that vary less than this (root mean square) are flat: 5 % in norm, or as much in agreement of signs."""

_ROLES: tuple[Role, ...] = ("attention", "mlp")
_QUIETEST = 0.01


class Grouping(Value):
    """Suggested groups.

    Attributes:
        bands: First and last layer of each, both included.
        roles: Roles that deserve genes of their own in each band.
        explained: Share of the variance between layers that lies between bands; 1 for a flat profile.
    """

    bands: tuple[tuple[int, int], ...]
    roles: tuple[Role, ...]
    explained: float

    @property
    def yaml(self) -> str:
        """The `groups:` line of a search space."""
        bands = ", ".join(f"[{first}, {last}]" for first, last in self.bands)
        roles = f", roles: [{', '.join(self.roles)}]" if self.roles else ""
        return f"groups: {{bands: [{bands}]{roles}}}"


def suggest(survey: Survey) -> Grouping | None:
    """Cut the layers where their profile changes; None for a model without layers.

    The profile of a layer is the logarithm of every expert's relative norm, and every pair's agreement of signs
    (1 − 2 · conflict; Mediator, arXiv 2502.04411, groups layers by conflict). Dynamic programming finds the best cut
    into each number of contiguous bands, that is the one with the least squared distance of layers from the mean of
    their band. The number is the one with the least unexplained share of the variance plus `WORTH` for each band.
    """
    by_layer = survey.grouped(lambda name: survey.parts_of[name].layer)
    layers = sorted(layer for layer in by_layer if layer is not None)
    if not layers:
        return None
    profile_LF = profile([by_layer[layer] for layer in layers], survey)
    ends = cut(profile_LF)
    spread = _spread(profile_LF)
    inside = sum(_spread(profile_LF[first:last]) for first, last in itertools.pairwise((0, *ends)))
    return Grouping(
        bands=tuple((layers[first], layers[last - 1]) for first, last in itertools.pairwise((0, *ends))),
        roles=_ROLES if _roles_differ(survey) else (),
        explained=1 - inside / spread if spread > 0 and len(ends) > 1 else float(len(ends) == 1),
    )


def profile(parts: Iterable[Moments], survey: Survey) -> Profile:
    """Norms and agreements of parts, (parts, experts + pairs); all norms together weigh as much as all agreements."""
    parts = list(parts)
    count = len(survey.experts)
    norms_PE = np.array([[part.change(expert).relative_norm or 0.0 for expert in range(count)] for part in parts])
    floor_E = np.maximum(_QUIETEST * norms_PE.max(axis=0), np.finfo(np.float64).tiny)
    kin = [[part.kinship(one, other).conflict for one, other in survey.pairs] for part in parts]
    agreement_PK = np.array([[0.0 if conflict is None else 1 - 2 * conflict for conflict in row] for row in kin])
    return np.concatenate(
        [
            np.log(np.maximum(norms_PE, floor_E)) / np.sqrt(count),
            agreement_PK / np.sqrt(max(len(survey.pairs), 1)),
        ],
        axis=1,
    )


def cut(profile_LF: Profile) -> list[int]:
    """Ends, exclusive, of the best contiguous bands of L layers with F features."""
    count = len(profile_LF)
    total = _spread(profile_LF)
    if total <= count * FLAT**2:
        return [count]
    inside_LL = [[_spread(profile_LF[first:last]) for last in range(count + 1)] for first in range(count)]
    best: list[list[tuple[float, list[int]]]] = [[(inside_LL[0][end], [end]) for end in range(count + 1)]]
    for num_bands in range(2, min(count, int(1 / WORTH)) + 1):
        shorter = best[-1]
        best.append([
            min(((shorter[at][0] + inside_LL[at][end], [*shorter[at][1], end]) for at in range(num_bands - 1, end)),
                default=(np.inf, []))
            for end in range(count + 1)
        ])  # fmt: skip
    choices = [row[count] for row in best]
    return min(choices, key=lambda choice: choice[0] / total + WORTH * len(choice[1]))[1]


def _spread(profile_LF: Profile) -> float:
    """Sum of squared distances from the mean."""
    return float(np.square(profile_LF - profile_LF.mean(axis=0)).sum()) if len(profile_LF) else 0.0


def _roles_differ(survey: Survey) -> bool:
    """Whether attention and MLP of the same layer differ more than a flat profile does."""
    parts = survey.parts
    pairs = [
        (parts[position], mlp)
        for position in parts
        if position.role == _ROLES[0]
        for other, mlp in parts.items()
        if other.layer == position.layer and other.role == _ROLES[1]
    ]
    if not pairs:
        return False
    both_PF = profile([part for pair in pairs for part in pair], survey)
    apart = np.square(both_PF[0::2] - both_PF[1::2]).sum(axis=1).mean()
    return bool(apart > FLAT**2)
