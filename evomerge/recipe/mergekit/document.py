"""The mergekit document: what a person writes for `mergekit-yaml`, with every key and its place known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Self, TypeAlias

import pydantic

from evomerge.documents import Tree, Value, fault, shown
from evomerge.recipe.mergekit.settings import Place, Settings

_DTYPES = ("float32", "bfloat16", "float16")


def _model(tree: Tree) -> str:
    """A model's folder or hub name; with an adapter, `model+adapter`. Revisions are refused: folders are merged."""
    path, revision, lora = _reference(tree)
    adapter, its_revision, _ = _reference(lora) if lora else ("", None, None)
    if revision or its_revision:
        name, wanted = (path, revision) if revision else (adapter, its_revision)
        how = f"`hf download {name} --revision {wanted} --local-dir FOLDER`"
        raise fault(f"{shown(tree)} asks for a revision, but models are folders here. {how}, and name the folder.")
    return f"{path}+{adapter}" if adapter else path


def _reference(tree: Tree) -> tuple[str, str | None, Tree]:
    """Path, revision and adapter of a reference."""
    if isinstance(tree, str) and tree:
        model, _, adapter = tree.partition("+")
        path, _, revision = model.partition("@")
        return path, revision or None, adapter or None
    if isinstance(tree, Mapping):
        known = {"model", "lora", "path", "revision", "override_architecture"}
        if unknown := [name for name in tree if name not in known]:
            raise fault(f'"{unknown[0]}" is not a known key of a model. Write the model\'s folder.')
        if tree.get("override_architecture"):
            raise fault('"override_architecture" cannot be reproduced: a model is what its config.json says. Drop it.')
        inner = _reference(tree.get("model", tree.get("path")))
        return inner[0], inner[1] or tree.get("revision"), tree.get("lora")
    raise fault(f"{shown(tree)} is no model. Write the model's folder.")


def _dtype(tree: Tree) -> str:
    name = str(tree).removeprefix("torch.")
    if name not in _DTYPES:
        raise fault(f'"{shown(tree)}" is no dtype that is written here. Allowed: {", ".join(_DTYPES)}.')
    return name


def _refuse(what: str) -> pydantic.BeforeValidator:
    """A key that mergekit knows and we cannot follow: anything but nothing is refused."""

    def check(tree: Tree) -> None:
        if tree:
            raise fault(what)

    return pydantic.BeforeValidator(check)


Model: TypeAlias = Annotated[str, pydantic.PlainValidator(_model)]
DTypeName: TypeAlias = Annotated[str, pydantic.PlainValidator(_dtype)]

_NO_TEMPLATE = (
    "cannot be reproduced: the result takes its tokenizer's own chat template. "
    "Drop the key, and put the template into the result's tokenizer afterwards."
)
_NO_TOKENS = "cannot be reproduced: rows of the embeddings are merged as they are. Drop it."
_NO_PADDING = "cannot be reproduced: the result has as many rows as its models. Drop it, and resize the result."
_NO_RESIDUAL = "has no effect in mergekit. Drop it."


class Section(Value):
    """A part of the file that may set parameters."""

    parameters: Settings = pydantic.Field(default_factory=dict)


class Input(Section):
    """A model that is merged over all of its layers."""

    model: Model


class Source(Section):
    """Some layers of a model, the last excluded."""

    model: Model
    layer_range: tuple[int, int]


class Slice(Section):
    """Layers of the result, and what they are merged from."""

    sources: tuple[Source, ...] = pydantic.Field(min_length=1)
    base_model: Model | None = None
    residual_weight: Annotated[None, _refuse(_NO_RESIDUAL)] = None


class _Inputs(Section):
    """Either whole models or slices of them."""

    models: tuple[Input, ...] | None = None
    slices: tuple[Slice, ...] | None = None


class Module(_Inputs):
    """A part of the network that is merged on its own."""

    @pydantic.model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.models) == bool(self.slices):
            raise fault('Give either "models" or "slices".')
        return self


class TokenizerSection(Value):
    """How the vocabularies come together."""

    source: Model = "union"
    tokens: Annotated[None, _refuse(_NO_TOKENS)] = None
    pad_to_multiple_of: Annotated[None, _refuse(_NO_PADDING)] = None


class MergekitDocument(_Inputs):
    """A whole file. mergekit passes over keys that it does not know; here they are refused."""

    merge_method: str
    modules: dict[str, Module] | None = None
    base_model: Model | None = None
    dtype: DTypeName | None = None
    out_dtype: DTypeName | None = None
    tokenizer_source: Model | None = None
    tokenizer: TokenizerSection | None = None
    chat_template: Annotated[None, _refuse(_NO_TEMPLATE)] = None

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> Self:
        given = [name for name in ("models", "slices", "modules") if getattr(self, name)]
        if len(given) != 1:
            found = f"{' and '.join(given)} stand side by side" if given else "nothing says what to merge"
            raise fault(f'{found}. Give one of "models", "slices" and "modules".')
        if self.tokenizer_source and self.tokenizer:
            raise fault('"tokenizer_source" and "tokenizer" stand side by side. Give one of them.')
        return self

    @property
    def tokenizer_key(self) -> Place:
        """Where the tokenizer's source stands."""
        return ("tokenizer", "source") if self.tokenizer else ("tokenizer_source",)

    @property
    def tokenizer_from(self) -> str | None:
        """`base`, `union` or a model."""
        return self.tokenizer.source if self.tokenizer else self.tokenizer_source

    @property
    def filters(self) -> tuple[str, ...]:
        """All filters of the file."""
        settings = [conditions for _, section in self.sections() for conditions in section.parameters.values()]
        return tuple(dict.fromkeys(c.filter for conditions in settings for c in conditions if c.filter))

    def sections(self) -> Iterator[tuple[Place, Section]]:
        """Every part of the file that may set parameters, with its place."""
        yield (), self
        yield from _sections_in((), self)
        for name, module in (self.modules or {}).items():
            yield ("modules", name), module
            yield from _sections_in(("modules", name), module)


def _sections_in(place: Place, inputs: _Inputs) -> Iterator[tuple[Place, Section]]:
    for index, model in enumerate(inputs.models or ()):
        yield (*place, "models", index), model
    for index, cut in enumerate(inputs.slices or ()):
        yield (*place, "slices", index), cut
        for number, source in enumerate(cut.sources):
            yield (*place, "slices", index, "sources", number), source


def is_mergekit(tree: Tree) -> bool:
    """Whether a file's plain data is meant for `mergekit-yaml`."""
    return isinstance(tree, Mapping) and "evomerge" not in tree and "merge_method" in tree


def is_evolve(tree: Tree) -> bool:
    """Whether a file's plain data is meant for `mergekit-evolve`."""
    return isinstance(tree, Mapping) and "evomerge" not in tree and "genome" in tree
