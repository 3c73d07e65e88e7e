"""Whether checkpoints can be merged tensor by tensor."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from evomerge.checkpoints.checkpoint import Checkpoint
from evomerge.checkpoints.layers import layers_of, likes_of
from evomerge.checkpoints.rows import share_tokens
from evomerge.checkpoints.vocabulary import agree
from evomerge.errors import ConfigError, Problem

_MUST_AGREE = ("model_type", "num_attention_heads", "num_key_value_heads", "head_dim")
"""Config keys that change what a tensor of the same shape means. A key that one config leaves out says nothing."""

_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "rope_theta": ("rope_theta", "rope_parameters.rope_theta"),
    "rope_type": ("rope_scaling.rope_type", "rope_scaling.type", "rope_parameters.rope_type"),
    "rms_norm_eps": ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"),
    "hidden_act": ("hidden_act", "hidden_activation", "activation_function"),
    "sliding_window": ("sliding_window",),
    "query_pre_attn_scalar": ("query_pre_attn_scalar",),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "residual_multiplier": ("residual_multiplier",),
}
"""Config keys that say how all layers of a model compute, and where they may stand."""

_ADVICE = "Merge fine-tunes of one ancestor."


def check_mergeable(checkpoints: Mapping[str, Checkpoint], where: str) -> None:
    """Refuse models whose tensors do not correspond.

    Args:
        checkpoints: By the names of the recipe; each is compared with the first.
        where: Name of the file that names them.

    Raises:
        ConfigError: Naming every model that differs and how.
    """
    ConfigError.raise_if_any(merge_problems(checkpoints, where, [[*checkpoints]]))


def merge_problems(checkpoints: Mapping[str, Checkpoint], where: str, kin: Iterable[Collection[str]]) -> list[Problem]:
    """Every model whose tensors do not correspond to those of others, and how it differs.

    Args:
        checkpoints: By the names of the recipe.
        where: Name of the file that names them.
        kin: Models in groups. Those of one group are merged tensor by tensor; those of several, which a route alone
            joins, need not have as many layers.
    """
    problems = [Problem(f"{where}: models.{name}", what) for name in checkpoints for what in _unfit(checkpoints[name])]
    for name, first, is_kin in _pairs([*checkpoints], kin):
        one, other = checkpoints[first], checkpoints[name]
        problems += [
            Problem(f"{where}: models.{name}", what) for what in _differences(one, other, first, is_kin=is_kin)
        ]
    return problems


def _pairs(names: Sequence[str], kin: Iterable[Collection[str]]) -> Iterator[tuple[str, str, bool]]:
    """Every model, the one that it is compared with, and whether it must have as many layers."""
    for group in kin:
        head, *others = (name for name in names if name in group)
        if head != names[0]:
            yield head, names[0], False
        yield from ((name, head, True) for name in others)


def route_problems(
    checkpoints: Mapping[str, Checkpoint], donor: str, sources: Iterable[str], where: str
) -> list[Problem]:
    """Every model whose layers cannot stand in one model, or in another order, and why.

    Args:
        checkpoints: By the names of the recipe; they can be merged.
        donor: Name of the model that gives the config.
        sources: Names of the models that layers are taken from.
        where: Name of the file, for messages.
    """
    config = checkpoints[donor].config
    if layers_of(checkpoints[donor]) is None:
        what = f"layers of {config.get('model_type')} cannot be put in another order yet."
        advice = "Leave the route out, or use models of a family such as llama."
        return [Problem(f"{where}: route", f"{what} {advice}")]
    if config.get("scale_attn_by_inverse_layer_idx"):
        what = "attention of these models depends on the number of its layer, so that none can stand elsewhere."
        return [Problem(f"{where}: route", f"{what} Leave the route out.")]
    problems = []
    for name in dict.fromkeys(sources):
        if strange := [n for n, like in enumerate(likes_of(checkpoints[donor], checkpoints[name])) if like is None]:
            which = f"layer {strange[0]}" if len(strange) == 1 else f"{len(strange)} layers, {strange[0]} among them,"
            what = f"{donor}, which gives the config, has no layer of the kind of {which}"
            problems.append(Problem(f"{where}: models.{name}", f"{what}. Let {name} give the embeddings in `ends`."))
        pairs = {key: (_said(checkpoints[name].config, key), _said(config, key)) for key in _SPELLINGS}
        differing = {key: pair for key, pair in pairs.items() if None not in pair and pair[0] != pair[1]}
        if differing:
            stated = "; ".join(f"{key} is {its}, not {wanted}" for key, (its, wanted) in differing.items())
            what = f"its layers compute otherwise than those of {donor}: {stated}. Take none of them into the route."
            problems.append(Problem(f"{where}: models.{name}", what))
    return problems


def _said(config: Mapping[str, Any], key: str) -> Any:
    """What a config says of how layers compute, wherever it stands; None for nothing."""
    for spelling in _SPELLINGS[key]:
        outer, _, inner = spelling.partition(".")
        value = config.get(outer)
        value = value.get(inner) if inner and isinstance(value, Mapping) else None if inner else value
        if value is not None:
            return value
    return None


def _unfit(checkpoint: Checkpoint) -> Iterator[str]:
    if checkpoint.config.get("quantization_config"):
        yield "is quantised, and sums of codes mean nothing. Use the model in its original precision."


def _differences(reference: Checkpoint, other: Checkpoint, first: str, *, is_kin: bool) -> Iterator[str]:
    pairs = [(key, other.config.get(key), reference.config.get(key)) for key in _MUST_AGREE]
    if differing := [pair for pair in pairs if None not in pair and pair[1] != pair[2]]:
        stated = "; ".join(f"{key} is {its}, not {wanted}" for key, its, wanted in differing)
        yield f"is built differently from {first}: {stated}. {_ADVICE}"
        return
    if is_kin and other.num_layers != reference.num_layers:
        depths = f"has {other.num_layers} layers, and {first}, with which it is merged, has {reference.num_layers}"
        yield f"{depths}. Merge models of one depth; a route may take layers of models of several depths."
        return
    its, wanted = other.vocabulary, reference.vocabulary
    if its and wanted and not agree(its, wanted):
        yield (
            f"has another vocabulary than {first} ({len(its)} tokens against {len(wanted)}). "
            "Rows of the embeddings would not mean the same tokens; use models that share a tokenizer."
        )
    num_layers = min(reference.num_layers, other.num_layers)  # a deeper model has further ones, which nothing meets
    if missing := [name for name in _first(reference, num_layers) if name not in other.files]:
        yield f"lacks {len(missing)} tensors of {first}, {missing[0]} among them. {_ADVICE}"
    if extra := [name for name in _first(other, num_layers) if name not in reference.files]:
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


def _first(checkpoint: Checkpoint, num_layers: int) -> Iterator[str]:
    """The tensors of a model's first layers, and those outside them."""
    yield from (name for name in checkpoint.names if (checkpoint.position(name).layer or 0) < max(num_layers, 1))


def _fits(name: str, reference: Checkpoint, other: Checkpoint) -> bool:
    """Whether a tensor can be merged: of one shape, or longer in one model by rows of tokens that it alone has."""
    its, wanted = other.shape(name), reference.shape(name)
    if its == wanted:
        return True
    return reference.position(name).per_token and its[1:] == wanted[1:] and share_tokens(reference, other)
