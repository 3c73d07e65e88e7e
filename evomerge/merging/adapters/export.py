"""Export of a blend of adapters as an adapter, which peft loads on the same base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from evomerge.checkpoints import Adapted, Adapter, Checkpoint
from evomerge.checkpoints.adapter import Target
from evomerge.checkpoints.factors import Factors
from evomerge.errors import ConfigError, Problem
from evomerge.merging.adapters.algebra import truncated
from evomerge.merging.adapters.blend import acts_on_factors, adapters_on, merged_change
from evomerge.merging.adapters.folder import write_adapter
from evomerge.merging.card import Provenance, model_card
from evomerge.merging.finite import is_finite
from evomerge.merging.folder import new_folder
from evomerge.merging.library import Library
from evomerge.merging.merge import Merge
from evomerge.recipe import Blend, Recipe, dump_recipe
from evomerge.recipe.parts import Parts
from evomerge.recipe.recipe import PipeRule
from evomerge.recipe.stages import Linear, Origin, Scale, Weigh

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_OTHERWISE = "Export a model, without --adapter."


def export_adapter(
    recipe: Recipe, library: Library, destination: Path, provenance: Provenance, rank: int | None = None
) -> Path:
    """Write the merged adapter. No matrix is built but of tensors that adapters bring whole, such as a trained head.

    It is written beside the destination, read back and compared, and only then moved to its name.

    Args:
        recipe: Its result is a blend of adapters on its origin whose rules act on factors.
        library: Where models are opened.
        destination: New folder.
        provenance: Where the recipe comes from, for the model card.
        rank: Cut every tensor's change to the closest of this rank; absent: the changes are exact, and their ranks the
            sums of the adapters' ranks.

    Returns:
        The destination.

    Raises:
        ConfigError: If the result has no factors, with every reason, the destination exists or the disk is too small.
        CandidateFailed: If the adapters' ranks do not suit the reducer.
        EvomergeError: If writing fails or what was read back differs.
    """
    if recipe.canonical.route is not None or recipe.canonical.ends is not None:
        what = "its route puts layers in another order, or its ends come from elsewhere, so it is no adapter."
        raise ConfigError.at("recipe", f"{what} {_OTHERWISE}")
    blend = recipe.canonical.blends[recipe.result]
    models = library.open_all(recipe.models)
    adapters = adapters_on(models.get(blend.origin or ""), [models.get(expert) for expert in blend.experts])
    if adapters is None:
        what = f"its result {recipe.result} is not a blend of adapters on its origin, so it is no adapter. {_OTHERWISE}"
        raise ConfigError.at("recipe", what)
    where = f"blends.{recipe.result}"
    ConfigError.raise_if_any(_problems(blend, adapters, where))
    dtype = _DTYPES[recipe.dtype or "float32"]
    changes = _changes(blend, adapters, rank)
    if not changes:
        what = "none of its rules acts where the adapters do, or none of them has a weight other than 0"
        raise ConfigError.at(where, f"{what}, so there is nothing to write.")
    whole = {key: Merge(recipe, library).rounded(name) for name, key in _brought(adapters).items()}
    _check_finite(changes, whole, dtype)
    num_bytes = dtype.itemsize * sum(change.b_OR.numel() + change.a_RI.numel() for change in changes.values())
    with new_folder(destination, num_bytes + sum(tensor.nbytes for tensor in whole.values())) as draft:
        write_adapter(draft, changes, whole, [each.adapter for each in adapters], _targets(adapters), dtype)
        Adapted(adapters[0].base, Adapter(draft))  # what others will do with it
        (draft / "recipe.yaml").write_text(dump_recipe(recipe.canonical), encoding="utf-8")
        (draft / "README.md").write_text(model_card(recipe, provenance, "adapter"), encoding="utf-8")
    return destination


def _problems(blend: Blend, adapters: list[Adapted], where: str) -> Iterator[Problem]:
    """Why a blend of adapters is no adapter."""
    base = adapters[0].base
    changed = [name for name in base.names if any(adapter.has_factors(name) for adapter in adapters)]
    if any(rule.where and rule.where.span for rule in blend.rules):
        yield Problem(where, f"a span may cut matrices, and parts of a matrix have no factors. {_OTHERWISE}")
        return
    for name in changed:
        if whole := [adapter.adapter.folder for adapter in adapters if adapter.is_whole(name)]:
            yield Problem(where, f"{whole[0]} brings {name} whole, which others change by factors. {_OTHERWISE}")
    for parts in {_parts(blend, base, name): None for name in changed}:
        if parts is not None and not acts_on_factors(parts):
            yield Problem(where, f"{_reason(parts)}, so its result has no factors. {_OTHERWISE}")


def _reason(parts: Parts) -> str:
    """What in a pipe needs whole matrices."""
    if parts.is_affine:
        return "its weights of whole models do not sum to 1, which scales the base too"
    linear = (Origin, Weigh, Scale)
    stages = [stage for stage in parts.stages if not isinstance(stage, linear) and stage != Linear(reduce="sum")]
    return f"{stages[0].slot}: {getattr(stages[0], stages[0].slot)} acts on the entries of matrices"


def _changes(blend: Blend, adapters: list[Adapted], rank: int | None) -> dict[str, Factors]:
    """What the blend changes of every tensor that it changes."""
    changes: dict[str, Factors] = {}
    base = adapters[0].base
    for name in base.names:
        parts = _parts(blend, base, name)
        change = None if parts is None else merged_change(parts, adapters, name, blend.seed)
        if change is not None:
            changes[name] = change if rank is None else truncated(change, rank)
    return changes


def _check_finite(changes: Mapping[str, Factors], whole: Mapping[str, torch.Tensor], dtype: torch.dtype) -> None:
    """Refuse numbers that a dtype cannot hold."""
    tensors = {name: (change.a_RI.to(dtype), change.b_OR.to(dtype)) for name, change in changes.items()}
    for name, parts in (tensors | {key: (tensor,) for key, tensor in whole.items()}).items():
        if not all(is_finite(part) for part in parts):
            what = f"the merged change of {name} is not finite in {str(dtype).removeprefix('torch.')}."
            raise ConfigError.at("recipe", f"{what} Use smaller weights, or a dtype with a wider range.")


def _brought(adapters: list[Adapted]) -> dict[str, str]:
    """Tensors of the base that some adapter brings whole, each with its key in the file of the first that does."""
    return {
        own: adapter.adapter.replaced[name]
        for adapter in reversed(adapters)
        for own, name in adapter.keys.items()
        if name in adapter.adapter.replaced and not adapter.has_factors(own)
    }


def _targets(adapters: list[Adapted]) -> dict[str, Target]:
    """The module of every tensor of the base that some adapter changes, as the first such adapter calls it."""
    return {
        own: adapter.adapter.targets[name]
        for adapter in reversed(adapters)
        for own, name in adapter.keys.items()
        if name in adapter.adapter.targets
    }


def _parts(blend: Blend, base: Checkpoint, name: str) -> Parts | None:
    """The parts of the rule that governs a tensor; None where none does."""
    position = base.position(name)
    for rule in blend.rules:
        if rule.where is None or rule.where.matches(name, position.layer, position.role):
            assert isinstance(rule, PipeRule), "the canonical form has no presets"
            return Parts.of(rule.pipe, len(blend.experts))
    return None
