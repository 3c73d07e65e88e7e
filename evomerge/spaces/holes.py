"""Holes: places of a recipe left open. A tree whose leaves may be genes is a recipe with holes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, Self

import pydantic
from pydantic_core import InitErrorDetails

from evomerge.documents import Tree, Value, fault, faults_at, shown
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, IntGene, Scalar

Path = tuple[str | int, ...]


class _FloatHole(Value):
    ends: tuple[float, float] = pydantic.Field(alias="float")
    neutral: float | None = None
    scale: Literal["linear", "log"] = "linear"

    @pydantic.model_validator(mode="after")
    def _sound(self) -> Self:
        low, high = self.ends
        if low >= high:
            raise fault(f"[{low:g}, {high:g}] is empty. Write [low, high] with low < high.")
        if self.scale == "log" and low <= 0:
            raise fault(f"a log scale needs low > 0, not {low:g}. Raise low, or drop the scale.")
        if self.neutral is not None and not low <= self.neutral <= high:
            raise fault(f"neutral {self.neutral:g} lies outside [{low:g}, {high:g}].")
        return self

    def gene(self, name: str) -> Gene:
        return FloatGene(name, *self.ends, neutral=self.neutral, scale=self.scale)


class _IntHole(Value):
    ends: tuple[int, int] = pydantic.Field(alias="int")
    neutral: int | None = None

    @pydantic.model_validator(mode="after")
    def _sound(self) -> Self:
        low, high = self.ends
        if low >= high:
            raise fault(f"[{low}, {high}] is empty. Write [low, high] with low < high; both are included.")
        if self.neutral is not None and not low <= self.neutral <= high:
            raise fault(f"neutral {self.neutral} lies outside [{low}, {high}].")
        return self

    def gene(self, name: str) -> Gene:
        return IntGene(name, *self.ends, neutral=self.neutral)


class _ChoiceHole(Value):
    options: tuple[bool | int | float | str, ...] = pydantic.Field(alias="choice", min_length=2)
    neutral: bool | int | float | str | None = None

    @pydantic.model_validator(mode="after")
    def _sound(self) -> Self:
        if len(set(map(repr, self.options))) < len(self.options):
            raise fault(f"{shown(list(self.options))} names an option twice.")
        if self.neutral is not None and not self.gene("").contains(self.neutral):
            raise fault(f"neutral {shown(self.neutral)} is none of {shown(list(self.options))}.")
        return self

    def gene(self, name: str) -> Gene:
        return ChoiceGene(name, self.options, neutral=self.neutral)


class _BoolHole(Value):
    nothing: None = pydantic.Field(alias="bool")
    neutral: bool | None = None

    def gene(self, name: str) -> Gene:
        return ChoiceGene(name, (False, True), neutral=self.neutral)


_FORMS: dict[str, type[_FloatHole] | type[_IntHole] | type[_ChoiceHole] | type[_BoolHole]] = {
    "float": _FloatHole,
    "int": _IntHole,
    "choice": _ChoiceHole,
    "bool": _BoolHole,
}


def open_holes(tree: Tree, name: Callable[[Path], str] = str, path: Path = ()) -> Tree:
    """The tree with every description of a hole replaced by its gene.

    Args:
        tree: Plain data; a mapping with the key `float`, `int`, `choice` or `bool` describes a hole.
        name: Gives a gene its name from its place in the tree.
        path: Place of the tree itself.

    Raises:
        pydantic.ValidationError: If a hole is described badly.
    """
    if isinstance(tree, Mapping):
        form = next((form for kind, form in _FORMS.items() if kind in tree), None)
        if form is not None:
            return form.model_validate(tree).gene(name(path))
        return {step: open_holes(part, name, (*path, step)) for step, part in tree.items()}
    if is_list(tree):
        return [open_holes(part, name, (*path, index)) for index, part in enumerate(tree)]
    return tree


def check_holes(tree: Tree) -> Tree:
    """Validator that refuses badly described holes, all of them at once, and changes nothing."""
    faults: list[InitErrorDetails] = []
    for place, part in _described(tree):
        try:
            open_holes(part)
        except pydantic.ValidationError as error:
            faults += faults_at(place, error)
    if faults:
        raise pydantic.ValidationError.from_exception_data("holes", faults)
    return tree


def genes_in(tree: Tree) -> Iterator[Gene]:
    """All genes of an opened tree, in the order of the file."""
    if isinstance(tree, Gene):
        yield tree
    elif isinstance(tree, Mapping):
        for part in tree.values():
            yield from genes_in(part)
    elif is_list(tree):
        for part in tree:
            yield from genes_in(part)


def fill(tree: Tree, values: Mapping[str, Scalar]) -> Tree:
    """The tree with a value, found by the gene's name, in place of every gene."""
    if isinstance(tree, Gene):
        return values[tree.name]
    if isinstance(tree, Mapping):
        return {name: fill(part, values) for name, part in tree.items()}
    if is_list(tree):
        return [fill(part, values) for part in tree]
    return tree


def values_at(tree: Tree, filled: Tree) -> Iterator[tuple[str, Tree]]:
    """What stands in a filled tree at the place of every gene, by the gene's name: the way back from `fill`.

    Args:
        tree: With genes for leaves.
        filled: Of the same shape, except that it may lack parts.
    """
    if isinstance(tree, Gene):
        yield tree.name, filled
    elif isinstance(tree, Mapping) and isinstance(filled, Mapping):
        for name, part in tree.items():
            if name in filled:
                yield from values_at(part, filled[name])
    elif is_list(tree) and is_list(filled):
        for part, there in zip(tree, filled, strict=False):
            yield from values_at(part, there)


def corners(genes: Sequence[Gene]) -> Iterator[dict[str, Scalar]]:
    """Enough points of a space to meet every end of every gene, as values by name."""
    options = {gene.name: _ends(gene) for gene in genes}
    yield from (
        {name: ends[min(index, len(ends) - 1)] for name, ends in options.items()}
        for index in range(max(map(len, options.values()), default=1))
    )


def _ends(gene: Gene) -> tuple[Scalar, ...]:
    return gene.options if isinstance(gene, ChoiceGene) else (gene.low, gene.high)


def is_list(tree: Tree) -> bool:
    """Whether a node of plain data is a sequence of nodes."""
    return isinstance(tree, Sequence) and not isinstance(tree, str)


def _described(tree: Tree, path: Path = ()) -> Iterator[tuple[Path, Tree]]:
    if isinstance(tree, Mapping):
        if any(kind in tree for kind in _FORMS):
            yield path, tree
        else:
            for step, part in tree.items():
                yield from _described(part, (*path, step))
    elif is_list(tree):
        for index, part in enumerate(tree):
            yield from _described(part, (*path, index))
