"""Recipe: an immutable value that says exactly which tensors come out of a merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, Self, TypeAlias

import pydantic
from pydantic_core import InitErrorDetails

from evomerge.documents import Value, fault, shown, suggestion, tree_of
from evomerge.recipe.adapters import adapter_faults
from evomerge.recipe.calibration import Calibration
from evomerge.recipe.numbers import refuse_huge
from evomerge.recipe.presets import PRESETS, PresetValue
from evomerge.recipe.route import Ends, Route, depth_faults, route_faults
from evomerge.recipe.spans import span_faults
from evomerge.recipe.stages import Pipe, StageValue
from evomerge.recipe.where import Where

_PLURALS = {"weigh": "weights", "density": "densities"}

DType: TypeAlias = Literal["float32", "bfloat16", "float16"]


class ModelRef(Value):
    """A model: where it lies and what it must contain. In a file, a path alone will do.

    Attributes:
        path: Folder of a Hugging Face checkpoint, or of a LoRA adapter as peft saves it.
        digest: `sha256:` of its config and tensor files; filled in when the model is first opened.
        adapts: Name of the model that an adapter was trained on; absent: the folder is a whole model.
        layers: How many it has; filled in when the model is first opened for a route.
    """

    path: str
    digest: str | None = None
    adapts: str | None = None
    layers: int | None = pydantic.Field(default=None, ge=1)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _path_alone(cls, tree: Any) -> Any:
        return {"path": tree} if isinstance(tree, str) else tree

    @property
    def identity(self) -> str:
        """What tells this model from others: its digest, or its path while that is not known."""
        return self.digest or f"path:{self.path}"


class PipeRule(Value):
    """Stages for the tensors that `where` selects; for all of them without it."""

    where: Where | None = None
    pipe: Pipe


RuleValue: TypeAlias = PipeRule | PresetValue


def _parse_rule(tree: Any) -> RuleValue:
    if isinstance(tree, pydantic.BaseModel):
        return tree  # type: ignore[return-value]
    if not isinstance(tree, Mapping) or ("use" in tree) == ("pipe" in tree):
        raise fault('A rule has either "pipe" (a list of stages) or "use" (the name of a preset).')
    if "pipe" in tree:
        return PipeRule.model_validate(tree)
    name = tree["use"]
    if not isinstance(name, str) or name not in PRESETS:
        raise fault(f'"{shown(name)}" is no preset. {suggestion(str(name), PRESETS)}')
    return refuse_huge(PRESETS[name].model_validate(tree))


Rule: TypeAlias = Annotated[RuleValue, pydantic.PlainValidator(_parse_rule), pydantic.PlainSerializer(tree_of)]


class Blend(Value):
    """A virtual model: experts combined in parameter space.

    Attributes:
        origin: Model or earlier blend that task vectors are measured from; absent: zero.
        experts: Models or earlier blends.
        seed: Of the stochastic gates; nothing else depends on it.
        pipe: The stages for all tensors, in place of `rules`.
        rules: The first that matches a tensor wins; a tensor that none matches is the origin's own.
    """

    origin: str | None = None
    experts: tuple[str, ...] = pydantic.Field(min_length=1)
    seed: int = 0
    pipe: Pipe | None = None
    rules: tuple[Rule, ...] = ()

    @property
    def all_rules(self) -> tuple[RuleValue, ...]:
        """The rules, with `pipe` as the only one where it is given."""
        return (PipeRule(pipe=self.pipe),) if self.pipe is not None else self.rules

    def faults(self) -> list[tuple[tuple[str | int, ...], str]]:
        """What does not fit together inside the blend, each with its place."""
        if (self.pipe is None) == (not self.rules):
            return [((), 'Give either "pipe" or "rules".')]
        found: list[tuple[tuple[str | int, ...], str]] = []
        for index, rule in enumerate(self.all_rules):
            place: tuple[str | int, ...] = () if self.pipe is not None else ("rules", index)
            found += [((*place, *inner), what) for inner, what in _misfits(rule, self)]
            if index + 1 < len(self.all_rules) and rule.where in (None, Where()):
                found.append((place, 'has no "where", so that no later rule ever acts. Move it to the end.'))
        return found or [(("rules", index), what) for index, what in span_faults(self._stages)]

    @property
    def _stages(self) -> list[tuple[Where | None, Sequence[StageValue]]]:
        """Selector and stages of every rule."""
        pipes = (rule.pipe if isinstance(rule, PipeRule) else rule.pipe(len(self.experts)) for rule in self.all_rules)
        return [(rule.where, pipe) for rule, pipe in zip(self.all_rules, pipes, strict=True)]


class TokenizerPolicy(Value):
    """Whose tokenizer the result takes."""

    source: str = pydantic.Field(alias="from")


class Recipe(Value):
    """What to merge and how. Equal recipes give equal bytes; `digest` is their identity everywhere.

    Attributes:
        models: Checkpoints by the names that blends use.
        blends: Virtual models, each built from models and earlier blends; the last one is the result, but for what
            `route` and `ends` take from elsewhere.
        route: The result's layers in their order; absent: the last blend's own.
        ends: Where embeddings, last norm and head come from; absent: the last blend or, without any, the model that the
            route begins with.
        dtype: Of the result; absent: each tensor keeps the dtype it has in the blend's first model.
        tokenizer: Absent: the tokenizer of the model that also gives the config.
        calibration: By the name of a model, the data that its statistics are measured on, for stages that read some.
    """

    model_config = pydantic.ConfigDict(ignored_types=(cached_property,))

    evomerge: Literal["recipe/1"] = "recipe/1"
    models: dict[str, ModelRef] = pydantic.Field(min_length=1)
    blends: dict[str, Blend] = pydantic.Field(default_factory=dict)
    route: Route | None = None
    ends: Ends | None = None
    dtype: DType | None = None
    tokenizer: TokenizerPolicy | None = None
    calibration: dict[str, Calibration] | None = None

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> Self:
        from evomerge.recipe.measures import calibration_faults

        found = [*adapter_faults(self), *_blend_faults(self), *_tokenizer_faults(self), *route_faults(self)]
        found = found or [*calibration_faults(self), *depth_faults(self)]  # whose sources and pipes must fit for that
        if faults := [InitErrorDetails(type=fault(what), loc=place, input=None) for place, what in found]:
            raise pydantic.ValidationError.from_exception_data("Recipe", faults)
        return self

    @property
    def result(self) -> str:
        """Name of the blend that is the merged model but for its route; without blends, the route's first model."""
        return next(reversed(self.blends), None) or (self.route or ())[0].source

    @property
    def end_sources(self) -> dict[str, str]:
        """The blend or model that `embeddings`, `norm` and `head` come from, by these names."""
        return {name: source or self.result for name, source in (self.ends or Ends()).sources.items()}

    @property
    def sources(self) -> tuple[str, ...]:
        """Blends and models that the result's tensors are taken from, each once."""
        layers = [self.result] if self.route is None else [segment.source for segment in self.route]
        return tuple(dict.fromkeys([*layers, *self.end_sources.values()]))

    @property
    def donor(self) -> str:
        """Name of the model that gives config and layout: that behind the embeddings."""
        return self.donor_of(self.end_sources["embeddings"])

    def donor_of(self, source: str) -> str:
        """Name of the model that gives a blend or model its layout: its origin, else its first expert or its base."""
        while source in self.blends:
            blend = self.blends[source]
            source = blend.origin or blend.experts[0]
        return (self.models[source].adapts if source in self.models else None) or source

    @property
    def tokenizer_donor(self) -> str:
        """Name of the model whose tokenizer the result takes; an adapter has its base's."""
        name = self.tokenizer.source if self.tokenizer else self.donor
        return self.models[name].adapts or name

    @property
    def identities(self) -> dict[str, str]:
        """What tells each model and blend from the others, by its name: content for models, place for blends."""
        blends = {name: f"blend:{index}" for index, name in enumerate(self.blends)}
        models = {
            name: model.identity + (f" on {self.models[model.adapts].identity}" if model.adapts else "")
            for name, model in self.models.items()
        }
        return models | blends

    @cached_property
    def canonical(self) -> Recipe:
        """The same merge in its one canonical spelling, which is what is merged: equal spellings give equal bytes."""
        from evomerge.recipe.canonical import canonical_form

        return canonical_form(self)

    @cached_property
    def digest(self) -> str:
        """`sha256` of the canonical form, in hexadecimal. Names of models and blends do not enter it."""
        from evomerge.recipe.canonical import identity_digest

        return identity_digest(self.canonical)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __copy__(self) -> Self:
        copied = super().__copy__()
        for known in ("canonical", "digest"):  # `model_copy` may change what they were computed from
            copied.__dict__.pop(known, None)
        return copied


def _blend_faults(recipe: Recipe) -> list[tuple[tuple[str | int, ...], str]]:
    found: list[tuple[tuple[str | int, ...], str]] = []
    known = list(recipe.models)
    if "" in known:
        found.append((("models",), "a model has an empty name. Give it one."))
    for name, blend in recipe.blends.items():
        if not name:
            found.append((("blends",), "a blend has an empty name. Give it one."))
        if name in recipe.models:
            found.append((("blends", name), f'"{name}" is a model already. Give the blend a name of its own.'))
        for position, source in (("origin", blend.origin), *((("experts", i), e) for i, e in enumerate(blend.experts))):
            if source is not None and source not in known:
                place = position if isinstance(position, tuple) else (position,)
                what = f'"{source}" is neither a model nor an earlier blend. {suggestion(source, known)}'
                found.append((("blends", name, *place), what))
        found += [(("blends", name, *place), what) for place, what in blend.faults()]
        known.append(name)
    return found


def _tokenizer_faults(recipe: Recipe) -> list[tuple[tuple[str | int, ...], str]]:
    if recipe.tokenizer is None or recipe.tokenizer.source in recipe.models:
        return []
    source = recipe.tokenizer.source
    return [(("tokenizer", "from"), f'"{source}" is not a model. {suggestion(source, recipe.models)}')]


def _misfits(rule: RuleValue, blend: Blend) -> list[tuple[tuple[str | int, ...], str]]:
    """Parameters that are one per expert must be as many as the experts, and stages must suit their number."""
    if isinstance(rule, PipeRule):
        return [
            (("pipe", index, *place), what)
            for index, stage in enumerate(rule.pipe)
            for place, what in [*_miscounts(stage, blend), *_unsuited(stage, blend)]
        ]
    if miscounts := _miscounts(rule, blend):
        return miscounts
    return [(("use",), what) for stage in rule.pipe(len(blend.experts)) for _, what in _unsuited(stage, blend)]


def _miscounts(value: Value, blend: Blend) -> list[tuple[tuple[str | int, ...], str]]:
    wrong = [(name, part) for name, part in value if isinstance(part, tuple) and len(part) != len(blend.experts)]
    return [
        (
            (name,),
            f"{len(part)} {_PLURALS.get(name, name)} for {len(blend.experts)} experts {shown(list(blend.experts))}. "
            "Give one for each, in that order.",
        )
        for name, part in wrong
    ]


def _unsuited(stage: StageValue, blend: Blend) -> list[tuple[tuple[str | int, ...], str]]:
    what = stage.misfit(blend.experts)
    return [((), what)] if what else []
