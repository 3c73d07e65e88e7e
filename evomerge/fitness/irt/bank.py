"""Item banks: what calibration models taught about the items of one task, in a file with its provenance."""

from __future__ import annotations

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

    def of(self, digests: Sequence[str], where: str) -> Bank:
        """The bank of some items, in their order.

        Args:
            digests: Of the items, as `ItemSplits.digests` has them.
            where: The bank's file, for messages.

        Raises:
            ConfigError: If the bank lacks an item, as one of another version of the task does.
        """
        known = {digest: index for index, digest in enumerate(self.provenance.items)}
        if missing := [digest for digest in digests if digest not in known]:
            raise ConfigError.at(where, self._refusal(len(missing), len(digests)))
        rows_N = np.array([known[digest] for digest in digests], np.intp)
        provenance = self.provenance.model_copy(update={"items": tuple(digests)})
        return Bank(provenance, self.parameters.take(rows_N), self.responses_MN[:, rows_N])

    def save(self, path: Path) -> None:
        """Write a safetensors file; a file of that name is replaced at once."""
        tensors = {**_arrays(self.parameters), "responses_MN": self.responses_MN}
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        save_file(contiguous, part, metadata={_KEY: self.provenance.model_dump_json()})
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

    def _refusal(self, num_missing: int, num_items: int) -> str:
        known = self.provenance
        return (
            f'this bank is of task "{known.task}" version {known.task_version}, metric {known.metric}, and does not '
            f"know {num_missing} of the {num_items} items: they are of another task, another version of it, or asked "
            "in another way. Fit a bank to responses on these items."
        )


def _arrays(parameters: ItemParameters) -> dict[str, Any]:
    return {field.name: getattr(parameters, field.name) for field in fields(parameters)}


def _sizes(tensors: dict[str, Any]) -> tuple[int, ...] | None:
    """(models, items, dimensions), or None where the tensors contradict one another."""
    num_items = len(tensors["difficulties_N"])
    responses, discriminations = tensors["responses_MN"].shape, tensors["discriminations_ND"].shape
    agree = (*responses[1:], discriminations[:1]) == (num_items, (num_items,))
    return (responses[0], num_items, discriminations[1]) if agree and len(discriminations) == 2 else None
