"""Stages that read statistics of the models, measured once on named data."""

from __future__ import annotations

from typing import ClassVar, Literal

import pydantic

from evomerge.documents import fault
from evomerge.recipe.calibration import StatisticKind
from evomerge.recipe.numbers import Densities, NotNegative, Positive, Strength
from evomerge.recipe.stages.base import StageValue
from evomerge.recipe.stages.gates import DensityGate


class SalientGate(DensityGate):
    """Keeps the entries whose change would raise the loss most to second order: the largest curvature · τ².

    The curvature is the diagonal Fisher (the grafting mask of OTA) or the mean square of the input that an entry is
    multiplied with (OBIM, arXiv:2502.12217). Where that was not measured, as in embeddings and biases, it is the same
    for all entries. Below density 1, entries that the loss does not depend on are dropped. `scope: model` takes all
    tensors of the rule together.
    """

    gate: Literal["salient"]
    density: Densities
    of: Literal["fisher", "act_sq"] = "fisher"
    scope: Literal["tensor", "model"] = "tensor"

    @property
    def expert_measures(self) -> tuple[StatisticKind, ...]:
        """The curvature."""
        return (self.of,)

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "most salient changes" + (" of the model" if self.scope == "model" else "")


class PriorGate(StageValue):
    """Keeps entries that help the expert's data more than they harm the origin (RCP, arXiv:2508.03140).

    Per text of the expert's data, an entry helps where |g · τ| > penalty · F · τ², with g the gradient of the expert's
    loss and F the origin's Fisher; it is kept where most texts say so. What was not measured is kept.
    """

    is_entrywise: ClassVar[bool] = True
    is_homogeneous: ClassVar[bool] = False

    gate: Literal["prior"]
    penalty: NotNegative = 1.0

    @property
    def expert_measures(self) -> tuple[StatisticKind, ...]:
        """The median gradient: most texts say |g| > c where the median of |g| is larger than c."""
        return ("grad_median",)

    @property
    def origin_measures(self) -> tuple[StatisticKind, ...]:
        """Its Fisher information."""
        return ("fisher",)

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "changes that spare the origin"


class FisherWeigh(StageValue):
    """Weighs each entry by the expert's Fisher information there: weight · max(F, floor)^power.

    Power 1 is Fisher averaging (arXiv:2111.09832); 0.5 is OTA, whose Adam moments the Fisher stands for. The floor
    counts in means of the tensor over experts, or absolutely (`unit: one`, 1e-6 in the code of Fisher averaging), and
    holds for all experts (the code floors one of them). `normalise: model` divides F by its norm over the whole model
    first, as later codes do. Entries that were not measured count alike.

    Attributes:
        weights: One factor per expert, in the blend's order.
    """

    is_entrywise: ClassVar[bool] = True

    weigh: Literal["fisher"]
    weights: tuple[float, ...]
    power: NotNegative = 1.0
    floor: NotNegative = 1e-6
    unit: Literal["mean", "one"] = "mean"
    normalise: Literal["none", "model"] = "none"

    @property
    def expert_measures(self) -> tuple[StatisticKind, ...]:
        """The Fisher information."""
        return ("fisher",)

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "weighed by Fisher information"


class SensitivityWeigh(StageValue):
    """Weighs each layer by how sensitive the expert's loss is to it (Sens-Merging, arXiv:2502.12420).

    σ = n · softmax over experts of (sensitivity · transfer / temperature), the sensitivity Σ|θ · g| of the layer being
    of norm 1 over all layers. Tensors outside the layers get 1.

    Attributes:
        transfer: How well each expert carries over to the others' tasks, which the paper takes from shifts of logits;
            one number per expert.
    """

    is_entrywise: ClassVar[bool] = True

    weigh: Literal["sensitivity"]
    transfer: tuple[float, ...]
    temperature: Positive = 1.0

    @property
    def expert_measures(self) -> tuple[StatisticKind, ...]:
        """The sensitivity of layers."""
        return ("grad_sens",)

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "weighed by sensitivity"


class Metric(StageValue):
    """The matrix that is nearest to all experts where distance is what their inputs show of it.

    argmin_D Σ c_k tr((D − τ_k) G_k (D − τ_k)ᵀ), with c_k the weights and G_k the Gram matrix of the expert's inputs,
    whose entries off the diagonal are multiplied by `shrink` (RegMean, arXiv:2212.09849; codes differ: 0.1 to 1) and
    to which `ridge` times its mean diagonal is added. `of: kfac` also takes the Gram matrix of the gradients at the
    outputs (MaTS, arXiv:2312.04339), shrunk alike.

    With `steps` so many conjugate gradient steps are taken from `start` times the weighted mean; without, the solution
    is exact, which `kfac` cannot be. Factors per entry, as those of `weigh: fisher`, scale the task vectors instead.
    What is no linear map with measured inputs gets the weighted mean.

    `inputs: merged` measures what each expert's layer reads behind the layers that are merged already (RegMean++,
    arXiv:2508.03121), which takes passes of the data through every candidate.
    """

    on_matrices: ClassVar[bool] = True
    ignores_factor: ClassVar[bool] = True

    reduce: Literal["metric"]
    of: Literal["gram", "kfac"] = "gram"
    shrink: Strength = 0.9
    ridge: NotNegative = 1e-6
    steps: int | None = pydantic.Field(default=None, ge=0)
    start: float = 1.0
    inputs: Literal["own", "merged"] = "own"

    @pydantic.model_validator(mode="after")
    def _solvable(self) -> Metric:
        if self.of == "kfac" and self.steps is None:
            raise fault('"of: kfac" has no exact solution. Give "steps", such as 30.')
        return self

    @property
    def expert_measures(self) -> tuple[StatisticKind, ...]:
        """Gram matrices."""
        inputs: StatisticKind = "gram" if self.inputs == "own" else "merged_gram"
        return (inputs,) if self.of == "gram" else (inputs, "grad_gram")

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "least squares on inputs"


class First(StageValue):
    """Takes, entry by entry, the first of the experts, in the blend's order, that changes it (OBIM, arXiv:2502.12217).

    What gates and votes took is no change. Values are weighed.
    """

    is_entrywise: ClassVar[bool] = True
    takes_factor: ClassVar[bool] = True
    is_sum_alone: ClassVar[bool] = True

    reduce: Literal["first"]

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "first to change"


class Channel(StageValue):
    """Moves input channels less, the larger the origin's activations there (AIM, arXiv:2502.02421).

    The column of channel j is multiplied by 1 − (1 − floor) · a_j / max a, with a_j the mean |x_j|. What was not
    measured, as embeddings and biases, is left as it is.

    Attributes:
        floor: What is left of the change at the channel of largest activation; 1 switches it off.
    """

    post: Literal["channel"]
    floor: Strength = 0.4

    @property
    def is_neutral(self) -> bool:
        """Whether it does nothing."""
        return self.floor == 1.0

    @property
    def origin_measures(self) -> tuple[StatisticKind, ...]:
        """Its mean activations."""
        return ("act_mean",)

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "active channels spared"


STAGES = (SalientGate, PriorGate, FisherWeigh, SensitivityWeigh, Metric, First, Channel)
