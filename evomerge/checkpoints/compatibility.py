"""Whether checkpoints can be merged tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evomerge.checkpoints.checkpoint import Checkpoint
from evomerge.checkpoints.rows import share_tokens
from evomerge.checkpoints.vocabulary import agree
from evomerge.errors import ConfigError, Problem

_MUST_AGREE = ("model_type", "num_attention_heads", "num_key_value_heads", "head_dim")
"""Config keys that change what a tensor of the same shape means. A key that one config leaves out says nothing."""

_ADVICE = "Merge fine-tunes of one ancestor."


def check_mergeable(checkpoints: Mapping[str, Checkpoint], where: str) -> None:
    """Refuse models whose tensors do not correspond.

    Args:
        checkpoints: By the names of the recipe; each is compared with the first.
        where: Name of the file that names them.

    Raises:
        ConfigError: Naming every model that differs and how.
    """
    first, *others = checkpoints
    problems = [Problem(f"{where}: models.{name}", what) for name in checkpoints for what in _unfit(checkpoints[name])]
    for name in others:
        for difference in _differences(checkpoints[first], checkpoints[name], first):
            problems.append(Problem(f"{where}: models.{name}", difference))
    ConfigError.raise_if_any(problems)


def _unfit(checkpoint: Checkpoint) -> Iterator[str]:
    if checkpoint.config.get("quantization_config"):
        yield "is quantised, and sums of codes mean nothing. Use the model in its original precision."


def _differences(reference: Checkpoint, other: Checkpoint, first: str) -> Iterator[str]:
    pairs = [(key, other.config.get(key), reference.config.get(key)) for key in _MUST_AGREE]
    if differing := [pair for pair in pairs if None not in pair and pair[1] != pair[2]]:
        stated = "; ".join(f"{key} is {its}, not {wanted}" for key, its, wanted in differing)
        yield f"is built differently from {first}: {stated}. {_ADVICE}"
        return
    its, wanted = other.vocabulary, reference.vocabulary
    if its and wanted and not agree(its, wanted):
        yield (
            f"has another vocabulary than {first} ({len(its)} tokens against {len(wanted)}). "
            "Rows of the embeddings would not mean the same tokens; use models that share a tokenizer."
        )
    if missing := [name for name in reference.names if name not in other.files]:
        yield f"lacks {len(missing)} tensors of {first}, {missing[0]} among them. {_ADVICE}"
    if extra := [name for name in other.names if name not in reference.files]:
        yield f"has {len(extra)} tensors that {first} lacks, {extra[0]} among them. {_ADVICE}"
    shared = [name for name in reference.names if name in other.files]
    if misshapen := [name for name in shared if not _fits(name, reference, other)]:
        name = misshapen[0]
        shapes = f"{name} is {list(other.shape(name))}, not {list(reference.shape(name))}"
        yield (
            f"{len(misshapen)} tensors have other shapes than in {first}: {shapes}. "
            "Merge fine-tunes of one ancestor with one vocabulary."
        )
    if mistyped := [n for n in shared if other.dtype(n).is_floating_point != reference.dtype(n).is_floating_point]:
        name = mistyped[0]
        dtypes = f"{name} is {other.dtype(name)}, not {reference.dtype(name)}"
        yield f"{len(mistyped)} tensors are of another kind than in {first}: {dtypes}. {_ADVICE}"


def _fits(name: str, reference: Checkpoint, other: Checkpoint) -> bool:
    """Whether a tensor can be merged: of one shape, or longer in one model by rows of tokens that it alone has."""
    its, wanted = other.shape(name), reference.shape(name)
    if its == wanted:
        return True
    return reference.position(name).per_token and its[1:] == wanted[1:] and share_tokens(reference, other)
