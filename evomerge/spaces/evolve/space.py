"""The search space of a mergekit-evolve file: a pipe per group of layers and filter, with holes for its genes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from glob import escape

from evomerge.documents import Tree
from evomerge.recipe.mergekit.layout import Layout, Spot
from evomerge.recipe.mergekit.models import short_names
from evomerge.recipe.presets import PRESETS
from evomerge.recipe.stages import stage_tree
from evomerge.spaces.evolve.document import EvolveDocument, GenomeSection

_HIGHEST, _SPARSEST = 1.5, 0.05


def space_note(genome: GenomeSection, where: str) -> str:
    """Comments that say what differs."""
    weights = "unbounded" if genome.allow_negative_weights else "unbounded and taken absolute"
    lines = [
        f"From {where} of mergekit-evolve. What differs:",
        f"- Weights lie in [{_lowest(genome):g}, {_HIGHEST:g}]; mergekit's are {weights}.",
        f"- Densities lie in [{_SPARSEST:g}, 1]; mergekit's are clipped to [0, 1].",
        "- Merges are computed in float32 and rounded once; mergekit computes in bfloat16.",
    ]
    is_sparse = genome.merge_method in ("ties", "dare_ties")
    is_slerp = genome.merge_method == "slerp"
    if is_slerp:
        lines[1] = "- t lies in [0, 1]; mergekit's is the softmax of two genes, which never reaches the ends."
    return "".join(f"# {line}\n" for line in (lines if is_sparse else lines[:2] + lines[3:]))


def space_tree(
    document: EvolveDocument, paths: Mapping[str, str], layouts: Mapping[str, Layout], donor: str | None
) -> dict[str, Tree]:
    """The search space as plain data.

    Args:
        document: The file.
        paths: Folder of every model, the base first.
        layouts: Layout of every model.
        donor: The model whose tokenizer the result takes, if the file says.
    """
    genome = document.genome
    names = short_names(paths, ("uniform", "favourite", "merged"))
    is_delta = genome.merge_method not in ("linear", "slerp")
    pipe = _pipe(genome)
    blend = {
        **({"origin": names[str(genome.base_model)]} if is_delta else {}),
        "experts": [names[model] for model in genome.experts],
        "rules": [({"where": where} if where else {}) | {"pipe": pipe} for where in _groups(genome, layouts)],
    }
    start: dict[str, Tree] = {"use": f"{genome.merge_method}@mergekit"} | _values(genome, 1 / len(genome.models), 1.0)
    return {
        "evomerge": "space/1",
        "models": {names[model]: path for model, path in paths.items()},
        "blends": {"merged": blend},
        "seeds": [] if document.random_init else [start],
        "dtype": "bfloat16",
        **({"tokenizer": {"from": names[donor]}} if donor else {}),
    }


def _lowest(genome: GenomeSection) -> float:
    return -_HIGHEST if genome.allow_negative_weights else 0.0


def _values(genome: GenomeSection, weight: float, density: float) -> dict[str, Tree]:
    """Parameters of the method's preset, the same for all experts."""
    if genome.merge_method == "slerp":
        return {"t": 0.5}
    density_too = {"density": density} if genome.merge_method in ("ties", "dare_ties") else {}
    return {"weights": [weight] * len(genome.experts), **density_too, "normalize": genome.normalizes}


def _pipe(genome: GenomeSection) -> list[dict[str, Tree]]:
    """The method's stages with holes for what mergekit-evolve varies."""
    count = len(genome.experts)
    preset = PRESETS[f"{genome.merge_method}@mergekit"].model_validate(
        {"use": f"{genome.merge_method}@mergekit"} | _values(genome, 1.0, 0.5)
    )
    holes: dict[str, Tree] = {
        "weigh": [{"float": [_lowest(genome), _HIGHEST]}] * count,
        "density": [{"float": [_SPARSEST, 1.0], "neutral": 1.0}] * count,
        "t": {"float": [0.0, 1.0]},
    }
    stages = [stage_tree(stage) for stage in preset.pipe(count) if not stage.is_neutral]
    return [{name: holes.get(name, part) for name, part in stage.items()} for stage in stages]


def _groups(genome: GenomeSection, layouts: Mapping[str, Layout]) -> Iterator[dict[str, Tree]]:
    """Where each set of genes acts: per band of layers and, within it, per filter that some tensor meets.

    mergekit-evolve's first band takes the embeddings along, its last one the final norm and the head.
    """
    layout = layouts[genome.models[0]]
    size = genome.layer_granularity if genome.layer_granularity > 0 else layout.num_layers
    last = layout.num_layers // size - 1
    filters = [*(genome.filters or ()), None]
    bands: dict[int, dict[str | None, list[Spot]]] = {band: {} for band in (*range(1, last), 0, last)}
    for spot in layout.spots:
        outside = 0 if spot.role == "embedding" else last
        band = outside if spot.layer is None else spot.layer // size
        bands[band].setdefault(_first_of(filters, spot.name), []).append(spot)
    for band, groups in bands.items():
        for text in filters:
            names = [f"*{escape(text)}*"] if text else []
            if text in groups and band == 0 < last:
                yield {"names": sorted({_family(spot, text) for spot in groups[text]})}
            elif text in groups:
                layers = {"layers": [band * size, (band + 1) * size - 1]} if band < last else {}
                yield layers | ({"names": names} if names else {})


def _first_of(filters: Sequence[str | None], name: str) -> str | None:
    return next((text for text in filters if text and text in name), None)


def _family(spot: Spot, text: str | None) -> str:
    """A pattern for the tensors of one layer that contain a text, or the name of a tensor outside the layers."""
    if spot.layer is None:
        return spot.name
    before, after = spot.halves
    return f"{before}*" + (f"{escape(text)}*" if text and text in after else "")
