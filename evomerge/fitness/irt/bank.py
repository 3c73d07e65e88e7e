"""Item banks: what calibration models taught about the items of one task, in a file with its provenance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pydantic
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from evomerge.documents import Value, parse
from evomerge.errors import ConfigError
from evomerge.fitness.irt.model import ItemParameters

_KEY: Final = "evomerge"
_TENSORS: Final = ("discriminations_ND", "difficulties_N", "guesses_N", "responses_MN")


class Provenance(Value):
    """Where a bank comes from.

    Attributes:
        evomerge: The format of the file.
        version: Of evomerge, by which it was fitted.
        task: Name of the lm-eval task.
        task_version: The version that the task gives itself.
        metric: Of the responses.
        models: Names of the calibration models, in the order of the responses.
        method: The response model.
        num_dimensions: Of the abilities.
        seed: Of the fit.
        misfit: Mean absolute error of a calibration model's score on one half of the items, predicted from the other:
            b of gp-IRT's λ.
        items: Digest of every item, in the order of the parameters.
        digests: Of the models as recipes, in their order; empty where one is not known.
        num_candidates: How many of the models, the last ones, are candidates of the run that recalibrated the bank.
    """

    evomerge: Literal["bank/1"] = "bank/1"
    version: str
    task: str
    task_version: str
    metric: str
    models: tuple[str, ...]
    method: Literal["1pl", "2pl", "3pl", "mirt"]
    num_dimensions: int = pydantic.Field(ge=1)
    seed: int
    misfit: float = pydantic.Field(ge=0)
    items: tuple[str, ...]
    digests: tuple[str, ...] = ()
    num_candidates: int = pydantic.Field(default=0, ge=0)


@dataclass(frozen=True, slots=True)
class Bank:
    """Item parameters of one task and the responses that they were fitted to.

    Attributes:
        provenance: Where they come from.
        parameters: Of N items.
        responses_MN: Scores of M calibration models, float32 in [0, 1]; NaN where a model was not asked.
    """

    provenance: Provenance
    parameters: ItemParameters
    responses_MN: npt.NDArray[np.float32]

    @property
    def score_variance(self) -> float:
        """Mean over the calibration models of the variance of a response: v of gp-IRT's λ."""
        return float(np.nanvar(self.responses_MN, axis=1).mean())

    @property
    def digest(self) -> str:
        """16 hexadecimal digits: of the parameters, responses and provenance, in whatever file they lie."""
        digest = hashlib.sha256(self.provenance.model_dump_json().encode())
        for _, array in sorted(self._tensors().items()):
            digest.update(array.tobytes())
        return digest.hexdigest()[:16]

    def missing(self, digests: Sequence[str]) -> list[str]:
        """Those of some items that the bank does not know."""
        known = frozenset(self.provenance.items)
        return [digest for digest in digests if digest not in known]

    def of(self, digests: Sequence[str], where: str) -> Bank:
        """The bank of some items, in their order.

        Args:
            digests: Of the items, as `ItemSplits.digests` has them.
            where: The bank's file, for messages.

        Raises:
            ConfigError: If the bank lacks an item, as one of another version of the task does.
        """
        if missing := self.missing(digests):
            raise ConfigError.at(where, self._refusal(len(missing), len(digests)))
        known = {digest: index for index, digest in enumerate(self.provenance.items)}
        rows_N = np.array([known[digest] for digest in digests], np.intp)
        provenance = self.provenance.model_copy(update={"items": tuple(digests)})
        return Bank(provenance, self.parameters.take(rows_N), self.responses_MN[:, rows_N])

    def save(self, path: Path) -> None:
        """Write a safetensors file; a file of that name is replaced at once."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        save_file(self._tensors(), part, metadata={_KEY: self.provenance.model_dump_json()})
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Bank:
        """Read a bank.

        Raises:
            ConfigError: If there is no such file, or if it is not an item bank.
        """
        try:
            with safe_open(path, "numpy") as file:
                text = (file.metadata() or {}).get(_KEY, "null")
                tensors = {name: file.get_tensor(name) for name in file.keys()}
            tree = json.loads(text)
        except FileNotFoundError:
            raise ConfigError.at(str(path), "there is no such file. Make it with `evomerge calibrate items`.") from None
        except (OSError, SafetensorError, ValueError) as error:
            raise ConfigError.at(str(path), f"cannot be read as an item bank: {error}. Make it anew.") from None
        if tree is None or set(tensors) != set(_TENSORS):
            raise ConfigError.at(str(path), "is a safetensors file, but no item bank. Name a bank, or make one.")
        provenance = parse(Provenance, tree, str(path))
        sizes = (len(provenance.models), len(provenance.items), provenance.num_dimensions)
        if _sizes(tensors) != sizes:
            raise ConfigError.at(str(path), "its tensors do not match its list of models and items. Make it anew.")
        responses_MN = tensors.pop("responses_MN")
        return cls(provenance, ItemParameters(**tensors), responses_MN)

    def _tensors(self) -> dict[str, Any]:
        tensors = {field.name: getattr(self.parameters, field.name) for field in fields(self.parameters)}
        return {
            name: np.ascontiguousarray(array) for name, array in (tensors | {"responses_MN": self.responses_MN}).items()
        }

    def _refusal(self, num_missing: int, num_items: int) -> str:
        known = self.provenance
        return (
            f'this bank is of task "{known.task}" version {known.task_version}, metric {known.metric}, and does not '
            f"know {num_missing} of the {num_items} items: they are of another task, another version of it, or asked "
            "in another way. Fit a bank to responses on these items."
        )


def _sizes(tensors: dict[str, Any]) -> tuple[int, ...] | None:
    """(models, items, dimensions), or None where the tensors contradict one another."""
    num_items = len(tensors["difficulties_N"])
    responses, discriminations = tensors["responses_MN"].shape, tensors["discriminations_ND"].shape
    agree = (*responses[1:], discriminations[:1]) == (num_items, (num_items,))
    return (responses[0], num_items, discriminations[1]) if agree and len(discriminations) == 2 else None
