"""Picking: one finalist of a run by a preference, on the selection split; the test split has no say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evomerge.errors import ConfigError, EvomergeError
from evomerge.runs.joint import Floats, Joint
from evomerge.runs.preference import Preference
from evomerge.runs.results import Contender, Results


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One finalist under a preference.

    Attributes:
        contender: The finalist.
        key: What the preference minimises, on the selection split; infinite where it is out of the question.
        meets: Probability that it meets all bounds and constraints.
        share: Probability that it is the one with the lowest key. Both allow for the errors of the selection scores, by
            draws from the finalists' joint distribution (`runs/joint.py`).
    """

    contender: Contender
    key: float
    meets: float
    share: float


@dataclass(frozen=True, slots=True)
class Pick:
    """The outcome.

    Attributes:
        choices: All finalists with selection scores, the picked one first.
        tied: Those with the same key as the picked one.
        num_eligible: How many finalists meet the bounds and the run's own constraints.
    """

    choices: tuple[Choice, ...]
    tied: tuple[Contender, ...]
    num_eligible: int

    @property
    def contender(self) -> Contender:
        """The picked one."""
        return self.choices[0].contender


def pick(results: Results, preference: Preference, where: str) -> Pick:
    """Pick the finalist with the lowest key; equal ones by their mean loss, then by the order of assessment.

    Args:
        results: The run's.
        preference: What is wanted; names only objectives and tasks of the run.
        where: Name of the run, for messages.

    Raises:
        ConfigError: If no finalist meets the bounds, or the front has no knee.
        EvomergeError: If no finalist has been scored on the selection split.
    """
    finalists = [finalist for finalist in results.finalists if finalist.complete("selection")]
    if not finalists:
        raise EvomergeError(f"{where}: no finalist has been scored on the selection split yet. Resume the run first.")
    joint = Joint.of(results, finalists, "selection")
    scores_1RT = joint.means_RT[None]
    num_eligible = int(preference.eligible(joint, scores_1RT).sum())
    if not num_eligible:
        raise ConfigError.at(where, _infeasible(joint, preference))
    keys_C = preference.keys(joint, scores_1RT)[0]
    if not np.isfinite(keys_C).any():
        raise ConfigError.at(where, _kneeless(num_eligible))
    drawn_SRT = joint.draws()
    meets_C = preference.eligible(joint, drawn_SRT).mean(axis=0)
    shares_C = _shares(preference.keys(joint, drawn_SRT))
    mean_losses_C = joint.losses(scores_1RT)[0].mean(axis=1)
    order = np.lexsort((mean_losses_C, keys_C)).tolist()  # stable: the last resort is the order of assessment
    return Pick(
        tuple(Choice(finalists[c], float(keys_C[c]), float(meets_C[c]), float(shares_C[c])) for c in order),
        tuple(finalists[c] for c in order[1:] if keys_C[c] == keys_C[order[0]]),
        num_eligible,
    )


def _shares(keys_SC: Floats) -> Floats:
    """How often each has the lowest key; draws in which nobody has one count for none."""
    winners_S = keys_SC.argmin(axis=1)[np.isfinite(keys_SC).any(axis=1)]
    return np.bincount(winners_S, minlength=keys_SC.shape[1]) / len(keys_SC)


def _infeasible(joint: Joint, preference: Preference) -> str:
    """Which bound nobody meets, or that they exclude one another; and who comes nearest."""
    deficits = {text: found[0] for text, found in preference.deficits(joint, joint.means_RT[None]).items()}
    names = [contender.name for contender in joint.contenders]
    among = f"on the selection items, among {len(names)} finalists"
    for text, deficits_C in deficits.items():
        if (deficits_C > 0).all():
            nearest = int(deficits_C.argmin())
            return f"nobody has {text} {among}. {names[nearest]} comes nearest, {deficits_C[nearest]:.4g} from it."
    worst_C = np.max(list(deficits.values()), axis=0)
    nearest = int(worst_C.argmin())
    missed = " and ".join(f"{found[nearest]:.4g} from {text}" for text, found in deficits.items() if found[nearest] > 0)
    together = f"nobody has {' and '.join(deficits)} together {among}, though each alone can be met"
    return f"{together}. {names[nearest]} comes nearest, {missed}."


def _kneeless(num_eligible: int) -> str:
    what = f"no finalist of the {num_eligible} in question bulges out of the line between the ends of their front"
    return f"{what}, so it has no knee. Say what you prefer: --weights, or --at-least."
