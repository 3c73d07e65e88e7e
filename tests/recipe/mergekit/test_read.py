"""What a recipe read from mergekit's YAML does to every tensor, against mergekit's rules stated plainly."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.documents import Tree
from evomerge.recipe import Recipe
from evomerge.recipe.mergekit import Layout, Reading, Spot
from evomerge.recipe.mergekit.methods import METHODS
from evomerge.recipe.presets import PRESETS, PresetValue

Read = Callable[..., Reading]

FILTERS = ("self_attn", "mlp", "q_proj", "down", "norm", "layers.2", "lm_head", "embed")
NUMBERS = st.integers(1, 20).map(lambda n: n / 10)
POINTS = NUMBERS | st.lists(NUMBERS, min_size=1, max_size=5)
CONDITIONS = st.lists(
    st.fixed_dictionaries({"filter": st.sampled_from(FILTERS), "value": POINTS}), min_size=1, max_size=3
)
SETTING = POINTS | CONDITIONS | st.tuples(CONDITIONS, POINTS).map(lambda pair: [*pair[0], {"value": pair[1]}])
SCOPE = st.fixed_dictionaries({}, optional={"weight": SETTING, "lambda": SETTING})


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Tree]:
    """Files for `ties` over a base and two models of four layers, as models or as slices."""
    document: dict[str, Tree] = {"merge_method": "ties", "base_model": "base"}
    document["parameters"] = {"weight": draw(NUMBERS)} | draw(SCOPE | st.just({}))
    fallback = draw(CONDITIONS)
    document["parameters"]["weight"] = [*fallback, {"value": draw(POINTS)}]
    names = ["base", "math", "ja"]
    if draw(st.booleans()):
        document["models"] = [{"model": name, "parameters": draw(SCOPE)} for name in names[draw(st.integers(0, 1)) :]]
        return document
    ends = [0, *sorted(draw(st.sets(st.integers(1, 3)))), 4]
    document["slices"] = [
        {
            "sources": [{"model": m, "layer_range": [a, b], "parameters": draw(SCOPE)} for m in names],
            "parameters": draw(SCOPE),
        }
        for a, b in itertools.pairwise(ends)
    ]
    return document


def stated(document: dict[str, Tree], name: str, model: str | None, spot: Spot) -> float | None:
    """A parameter at a tensor, as mergekit's documentation says; `model` is None for shared ones."""
    slices = document.get("slices") or [
        {"sources": [{"layer_range": [0, 4], **entry} for entry in document["models"]], "parameters": {}}
    ]
    if spot.layer is None:
        cut, t = slices[0] if spot.role == "embedding" else slices[-1], 0.0
    else:
        cut = next(
            s for s in slices if s["sources"][0]["layer_range"][0] <= spot.layer < s["sources"][0]["layer_range"][1]
        )
        first, end = cut["sources"][0]["layer_range"]
        t = (spot.layer - first) / (end - first - 1) if end - first > 1 else 1.0
    own = [source["parameters"] for source in cut["sources"] if source["model"] == model]
    for scope in [*own, cut["parameters"], document["parameters"]]:
        setting = scope.get(name, [])
        is_filtered = isinstance(setting, list) and any(isinstance(part, dict) for part in setting)
        for part in setting if is_filtered else [{"value": setting}]:
            if part.get("filter", "") in spot.name and part["value"] != []:
                return interpolated(part["value"], t)
    return None


def interpolated(points: Any, t: float) -> float:
    points = points if isinstance(points, list) else [points]
    place = t * (len(points) - 1)
    low = min(int(place), len(points) - 1)
    high = min(low + 1, len(points) - 1)
    return float(points[low] + (place - low) * (points[high] - points[low]))


def shares(weights: Any) -> list[float]:
    return [weight / sum(weights) for weight in weights]


def rule_of(recipe: Recipe, spot: Spot) -> PresetValue:
    rules = recipe.blends["merged"].rules
    rule = next(rule for rule in rules if rule.where is None or rule.where.matches(*spot))
    assert isinstance(rule, PresetValue)
    return rule


@settings(max_examples=40)
@given(document=documents())
def test_every_tensor_gets_what_mergekit_gives_it(
    document: dict[str, Tree], read: Read, layout_of: Callable[[int], Layout]
) -> None:
    recipe = read(document).recipe
    assert recipe.blends["merged"].origin == "base"
    assert recipe.blends["merged"].experts == ("math", "ja")
    for spot in layout_of(4).spots:
        rule = rule_of(recipe, spot)
        wanted = [stated(document, "weight", model, spot) for model in ("math", "ja")]
        # a voted mean knows proportions only; equal ones are spelt alike
        assert shares(rule.weights) == pytest.approx(shares(wanted), rel=1e-7)  # type: ignore[attr-defined]
        scale = stated(document, "lambda", None, spot)
        assert rule.scale == pytest.approx(1.0 if scale is None else scale, rel=1e-8)  # type: ignore[attr-defined]


def test_every_method_has_its_preset_with_the_same_parameters() -> None:
    for name, method in METHODS.items():
        preset = PRESETS[method.preset]
        taken = {parameter.field for parameter in method.parameters.values()}
        assert taken == set(preset.model_fields) - {"where", "use"}, name
        for parameter in method.parameters.values():
            if parameter.kind == "flag":
                assert isinstance(preset.model_fields[parameter.field].default, bool), name


@pytest.mark.parametrize(
    ("method", "field", "default"),
    [
        ("linear", "normalize", True),
        ("task_arithmetic", "normalize", False),
        ("task_arithmetic", "scale", 1.0),
        ("ties", "density", 1.0),
        ("ties", "normalize", True),
        ("ties", "rescale", False),
        ("dare_linear", "rescale", True),
        ("dare_ties", "normalize", False),
        ("della", "epsilon", 0.15),
        ("della", "normalize", True),
        ("della_linear", "normalize", False),
        ("breadcrumbs", "gamma", 0.01),
        ("breadcrumbs_ties", "rescale", False),
        ("karcher", "max_iter", 10),
        ("karcher", "tol", 1e-5),
        ("nuslerp", "nuslerp_flatten", True),
        ("nuslerp", "nuslerp_row_wise", False),
        ("multislerp", "normalize_weights", True),
        ("model_stock", "filter_wise", False),
        ("sce", "select_topk", 1.0),
        ("ram", "epsilon", 1e-5),
        ("ramplus_tl", "r", 0.1),
        ("ramplus_tl", "alpha", 0.2),
        ("passthrough", "scale", 1.0),
    ],
)
def test_defaults_are_those_of_mergekit(method: str, field: str, default: Tree) -> None:
    assert PRESETS[METHODS[method].preset].model_fields[field].default == default


class TestShape:
    """How rules are gathered."""

    def test_what_is_the_same_everywhere_is_one_rule(self, read: Read) -> None:
        text = "{merge_method: linear, models: [{model: a}, {model: b}], parameters: {weight: 1}}"
        (rule,) = read(text).recipe.blends["merged"].rules
        assert rule.where is None

    def test_layers_with_the_same_values_are_one_band(self, read: Read) -> None:
        text = """
            merge_method: linear
            models: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: [1, 1, 2, 2]}}]
        """
        band, rest = read(text).recipe.blends["merged"].rules
        assert band.where is not None
        assert (band.where.layers, rest.where) == ((2, 3), None)

    def test_filters_are_patterns(self, read: Read) -> None:
        text = """
            merge_method: linear
            models:
              - {model: a, parameters: {weight: [{filter: mlp, value: 1}, {filter: "x[0]*?", value: 2}, {value: 3}]}}
              - {model: b, parameters: {weight: 1}}
        """
        mlp, rest = read(text).recipe.blends["merged"].rules  # no name holds the odd filter
        assert mlp.where is not None
        assert (mlp.where.names, rest.where) == (("*mlp*",), None)

    def test_front_and_back_follow_the_first_and_last_slice(self, read: Read) -> None:
        text = """
            merge_method: linear
            slices:
              - {sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [0, 2]}], parameters: {weight: 1}}
              - sources:
                  - {model: a, layer_range: [2, 4], parameters: {weight: [3, 5]}}
                  - {model: b, layer_range: [2, 4]}
            parameters: {weight: 2}
        """
        recipe = read(text).recipe
        spots = {
            "embed": Spot("model.embed_tokens.weight", None, "embedding"),
            "head": Spot("lm_head.weight", None, "head"),
        }
        found = {name: rule_of(recipe, spot).weights for name, spot in spots.items()}  # type: ignore[attr-defined]
        assert found == {"embed": (1, 1), "head": (3, 2)}


class TestModels:
    """Which models take part, and as what."""

    @pytest.mark.parametrize(
        ("method", "models", "origin", "experts"),
        [
            ("linear", ["a", "b"], None, ("base", "a", "b")),
            ("ties", ["a", "b"], "base", ("a", "b")),
            ("ties", ["a", "base", "b"], "base", ("a", "b")),
            ("slerp", ["a", "base"], None, ("base", "a")),
            ("slerp", ["a"], None, ("base", "a")),
            ("nearswap", ["base", "a"], "base", ("a",)),
            ("nuslerp", ["a", "b"], "base", ("a", "b")),
            ("karcher", ["a", "b"], None, ("base", "a", "b")),
        ],
    )
    def test_the_base(
        self, read: Read, method: str, models: list[str], origin: str | None, experts: tuple[str, ...]
    ) -> None:
        tree = {"merge_method": method, "base_model": "base", "parameters": {"weight": 1, "t": 0.3}}
        blend = read(tree | {"models": [{"model": model} for model in models]}).recipe.blends["merged"]
        assert (blend.origin, blend.experts) == (origin, experts)

    def test_a_base_beside_slices_of_whole_models_gives_nothing(self, read: Read) -> None:
        cut = {"sources": [{"model": name, "layer_range": [0, 4]} for name in ("a", "b")]}
        tree = {"merge_method": "linear", "base_model": "base", "slices": [cut], "parameters": {"weight": 1}}
        assert read(tree).recipe.blends["merged"].experts == ("a", "b")

    @pytest.mark.parametrize("model", ["base+my/lora", {"model": {"path": "base"}, "lora": {"path": "my/lora"}}])
    def test_adapters_stand_on_models(self, read: Read, model: Tree) -> None:
        tree = {"merge_method": "ties", "base_model": "base", "parameters": {"weight": 1}}
        recipe = read(tree | {"models": [{"model": model}, {"model": "other+my/lora2"}]}).recipe
        assert recipe.blends["merged"].experts == ("lora", "lora2")
        assert {name: model.adapts for name, model in recipe.models.items()} == {
            "base": None,
            "lora": "base",
            "other": None,
            "lora2": "other",
        }

    def test_names_are_the_last_parts_of_paths(self, read: Read) -> None:
        models = [{"model": name} for name in ("org/math", "other/math", "./x/ja")]
        recipe = read({"merge_method": "linear", "models": models, "parameters": {"weight": 1}}).recipe
        assert {name: model.path for name, model in recipe.models.items()} == {
            "math": "models/org/math",
            "math 2": "models/other/math",
            "ja": "models/./x/ja",
        }

    def test_slices_of_other_models_are_parts(self, read: Read) -> None:
        text = """
            merge_method: slerp
            base_model: a
            slices:
              - {sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [0, 2]}]}
              - {sources: [{model: a, layer_range: [2, 4]}, {model: c, layer_range: [2, 4]}], base_model: c}
            parameters: {t: 0.3}
        """
        blends = read(text).recipe.blends
        assert {name: blend.experts for name, blend in blends.items()} == {
            "part 1": ("a", "b"),
            "part 2": ("c", "a"),
            "merged": ("part 1", "part 2"),
        }

    def test_one_module_is_the_whole_network(self, read: Read) -> None:
        tree = {"merge_method": "linear", "models": [{"model": "a"}, {"model": "b"}]}
        module = {"models": tree["models"], "parameters": {"weight": 2}}
        inner = {"merge_method": "linear", "modules": {"default": module}, "parameters": {"weight": 1}}
        assert read(inner).recipe.digest == read(tree | {"parameters": {"weight": 2}}).recipe.digest


def test_what_mergekit_writes_beside_a_model_is_read(read: Read) -> None:
    """Its mergekit_config.yml spells models and flags in full."""
    plain = {"merge_method": "ties", "base_model": "b", "models": [{"model": "a", "parameters": {"weight": 1}}]}
    a, b = ({"model": {"path": name, "revision": None}, "lora": None} for name in "ab")
    full = {"merge_method": "ties", "base_model": b, "parameters": {"normalize": 1.0, "int8_mask": 0.0}}
    full["models"] = [{"model": a, "parameters": {"weight": [{"filter": None, "value": [1.0]}]}}]
    assert read(full).recipe.digest == read(plain).recipe.digest


def test_dtype_and_tokenizer(read: Read, layout_of: Callable[..., Layout]) -> None:
    tree = {"merge_method": "ties", "base_model": "base", "models": [{"model": "a"}], "parameters": {"weight": 1}}
    assert read(tree | {"dtype": "float16"}).recipe.dtype == "float16"
    recipe = read(tree | {"dtype": "torch.float32", "out_dtype": "bfloat16", "tokenizer_source": "a"}).recipe
    assert (recipe.dtype, recipe.tokenizer_donor) == ("bfloat16", "a")
    same = {name: layout_of(4, {"x": 0, "y": 1}) for name in ("base", "a")}
    for source in (
        {"tokenizer_source": "union"},
        {"tokenizer": {"source": "union"}},
        {"tokenizer": {"source": "base"}},
    ):
        assert read(tree | source, **same).recipe.tokenizer_donor == "base"
    recipe = read(tree | {"tokenizer_source": "other"}).recipe
    assert (recipe.tokenizer_donor, list(recipe.models)) == ("other", ["base", "a", "other"])


def test_what_has_no_effect_is_remarked_upon(read: Read) -> None:
    text = """
        merge_method: slerp
        base_model: base
        models: [{model: base}, {model: a, parameters: {t: 1, weight: 3}}]
        parameters: {t: 0.5, int8_mask: true, normalize: true}
    """
    assert read(text).remarks == (
        "m.yaml: parameters.normalize: has no effect on slerp.",
        "m.yaml: models[1].parameters.t: has no effect on one model; t belongs to a slice or to the whole file.",
        "m.yaml: models[1].parameters.weight: has no effect on slerp.",
    )
    models = [{"model": "b", "parameters": {"weight": 3}}, {"model": "a"}]
    tree = {"merge_method": "ties", "base_model": "b", "models": models, "parameters": {"weight": 1}}
    assert read(tree).remarks == ("m.yaml: models[0].parameters.weight: has no effect on the base model.",)
