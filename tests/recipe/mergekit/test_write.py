"""Recipes written for mergekit say the same when they are read again."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.documents import Tree, parse
from evomerge.errors import ConfigError
from evomerge.recipe import Recipe
from evomerge.recipe.mergekit import Layout, Reading, write_mergekit
from evomerge.recipe.recipe import PipeRule
from evomerge.recipe.stages import Linear

Read = Callable[..., Reading]
LayoutOf = Callable[..., Layout]

EXAMPLES = [*yaml.safe_load_all((Path(__file__).parent / "examples.yaml").read_text())]
METHODS = ("linear", "slerp", "task_arithmetic", "ties", "dare_linear", "dare_ties", "della", "breadcrumbs", "nuslerp")
WEIGHTS = st.integers(1, 20).map(lambda n: n / 10)
SHARES = st.integers(3, 7).map(lambda n: n / 10)


def points(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[Tree]:
    return numbers | st.lists(numbers, min_size=2, max_size=4)


def setting(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[Tree]:
    """A value, a gradient, or either for two filters that share no tensor, and one for the rest."""
    filtered = st.tuples(points(numbers), points(numbers), points(numbers)).map(
        lambda three: [
            {"filter": "self_attn", "value": three[0]},
            {"filter": "mlp", "value": three[1]},
            {"value": three[2]},
        ]
    )
    return points(numbers) | filtered


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Tree]:
    method = draw(st.sampled_from(METHODS))
    names = ["math"] if method == "slerp" else ["math", "ja"]
    own = {"weight": setting(WEIGHTS), "density": setting(SHARES)}
    models = [{"model": name, "parameters": draw(st.fixed_dictionaries(own))} for name in names]
    shared = {"t": setting(SHARES), "lambda": setting(WEIGHTS), "epsilon": st.just(0.1), "gamma": st.just(0.02)}
    return {
        "merge_method": method,
        "base_model": None if method == "linear" else "base",
        "models": models,
        "parameters": draw(st.fixed_dictionaries(shared)),
        "dtype": draw(st.sampled_from(["float32", "bfloat16", None])),
        "tokenizer_source": draw(st.sampled_from(["math", None])),
    }


def written(recipe: Recipe, layout: Layout) -> dict[str, Tree]:
    tree = yaml.safe_load(write_mergekit(recipe, layout, "r.yaml"))
    paths = {model.path: model.path.removeprefix("models/") for model in recipe.models.values()}
    text = yaml.safe_dump(tree)
    for path, name in paths.items():
        text = text.replace(path, name)
    return yaml.safe_load(text)  # type: ignore[no-any-return]


@settings(max_examples=15)
@given(document=documents())
def test_what_is_written_is_read_to_the_same_recipe(document: dict[str, Tree], read: Read, layout_of: LayoutOf) -> None:
    recipe = read(document).recipe
    assert read(written(recipe, layout_of(4))).recipe.digest == recipe.digest


@pytest.mark.parametrize("document", EXAMPLES, ids=lambda document: document["merge_method"])
def test_a_file_from_the_field_is_read_and_written(document: dict[str, Tree], read: Read, layout_of: LayoutOf) -> None:
    recipe = read(document).recipe
    again = read(written(recipe, layout_of(4))).recipe
    for spot in layout_of(4).spots:
        assert pipe_at(again, spot) == pipe_at(recipe, spot)


def pipe_at(recipe: Recipe, spot: tuple[str, int | None, str]) -> Tree:
    """The experts and stages of a tensor; where parts are picked from, those of its part."""
    blends = recipe.canonical.blends
    rule = rule_at(blends["merged"].rules, spot)
    if len(blends) == 1:
        return rule.pipe
    part = blends["merged"].experts[next(stage for stage in rule.pipe if stage.slot == "weigh").weigh.index(1.0)]  # type: ignore[attr-defined]
    return blends[part].origin, blends[part].experts, rule_at(blends[part].rules, spot).pipe


def rule_at(rules: Sequence[Tree], spot: tuple[str, int | None, str]) -> PipeRule:
    rule = next(rule for rule in rules if rule.where is None or rule.where.matches(*spot))
    assert isinstance(rule, PipeRule)
    return rule


def recipe_of(blend: dict[str, Tree], **more: Tree) -> Recipe:
    models = {name: {"path": name} for name in ("base", "math", "ja")}
    mix = {"origin": "base", "experts": ["math", "ja"], **blend}
    return parse(Recipe, {"models": models, "blends": {"mix": mix}, **more}, "r.yaml")


def test_stages_by_hand_are_recognised(layout_of: LayoutOf) -> None:
    pipe = [{"gate": "top", "density": 0.3, "ties": "first"}, {"vote": "sign"}, {"weigh": [2, 1]}, {"reduce": "mean"}]
    tree = yaml.safe_load(write_mergekit(recipe_of({"pipe": pipe}), layout_of(4), "r.yaml"))
    assert tree == {
        "merge_method": "ties",
        "base_model": "base",
        "models": [
            {"model": "math", "parameters": {"weight": 1.0, "density": 0.3}},
            {"model": "ja", "parameters": {"weight": 0.5, "density": 0.3}},
        ],
    }


def test_what_keeps_equal_magnitudes_is_told_how_to_become_mergekits(layout_of: LayoutOf) -> None:
    by_hand = [{"gate": "top", "density": 0.3}, {"vote": "sign"}, {"weigh": [2, 1]}, {"reduce": "mean"}]
    for blend in ({"pipe": by_hand}, {"rules": [{"use": "ties", "density": 0.3}]}):
        with pytest.raises(ConfigError) as caught:
            write_mergekit(recipe_of(blend), layout_of(4), "r.yaml")
        assert "r.yaml: blends.mix: mergekit's ties does this but for entries of equal" in str(caught.value)
        assert 'Add "ties: first" to it, or use ties@mergekit' in str(caught.value)
    advised = recipe_of({"rules": [{"use": "ties@mergekit", "density": 0.3}]})
    assert yaml.safe_load(write_mergekit(advised, layout_of(4), "r.yaml"))["merge_method"] == "ties"


def test_the_papers_dare_is_mergekits_without_rescaling(layout_of: LayoutOf) -> None:
    text = write_mergekit(recipe_of({"rules": [{"use": "dare_linear", "density": 0.25}]}), layout_of(4), "r.yaml")
    tree = yaml.safe_load(text)
    assert tree["models"][0]["parameters"] == {"weight": 2.0, "density": 0.25}  # 0.5 / 0.25
    assert tree["parameters"] == {"rescale": False}


def test_an_adapter_stands_behind_its_model(layout_of: LayoutOf) -> None:
    models = {"base": {"path": "m/base"}, "lora": {"path": "m/lora", "adapts": "base"}}
    blend = {"origin": "base", "experts": ["lora"], "rules": [{"use": "task_arithmetic", "weights": [0.5]}]}
    recipe = parse(Recipe, {"models": models, "blends": {"mix": blend}}, "r.yaml")
    tree = yaml.safe_load(write_mergekit(recipe, layout_of(4), "r.yaml"))
    assert tree["models"] == [{"model": "m/base+m/lora", "parameters": {"weight": 0.5}}]


def test_roles_become_filters(read: Read, layout_of: LayoutOf) -> None:
    rules = [
        {"where": {"roles": ["attention"], "layers": [1, 3]}, "use": "task_arithmetic", "weights": [0.1, 0.2]},
        {"where": {"roles": ["norm"]}, "use": "task_arithmetic", "weights": [0.3, 0.2]},
        {"where": {"roles": ["head", "embedding"]}, "use": "task_arithmetic", "weights": [0.3, 0.5]},
        {"use": "task_arithmetic", "weights": [0.7, 0.2]},
    ]
    recipe = recipe_of({"rules": rules})
    again = read(write_mergekit(recipe, layout_of(4), "r.yaml")).recipe
    for spot in layout_of(4).spots:
        rule = next(
            rule for rule in recipe.canonical.blends["mix"].rules if not rule.where or rule.where.matches(*spot)
        )
        assert pipe_at(again, spot) == rule.pipe  # type: ignore[union-attr]


def test_layers_of_other_kinds(read: Read, layout_of: LayoutOf) -> None:
    """As where dense layers and layers of experts alternate."""
    layout = layout_of(4)
    mixed = Layout(4, tuple(spot for spot in layout.spots if not (spot.layer in (1, 3) and spot.role == "mlp")))
    rules = [
        {"where": {"roles": ["mlp"], "layers": [2, 3]}, "use": "task_arithmetic", "weights": [0.1, 0.2]},
        {"use": "task_arithmetic", "weights": [0.7, 0.2]},
    ]
    again = read(write_mergekit(recipe_of({"rules": rules}), mixed, "r.yaml"), math=mixed, ja=mixed, base=mixed).recipe
    odd = [spot for spot in mixed.spots if pipe_at(again, spot)[0].weigh == (0.1, 0.2)]
    assert odd == [spot for spot in mixed.spots if spot.layer == 2 and spot.role == "mlp"]


def test_flags_that_change_from_layer_to_layer(read: Read, layout_of: LayoutOf) -> None:
    """With 23 layers, mergekit's arithmetic takes the fifteenth for the fourteenth."""
    many = layout_of(23)
    odd = [layer for layer in range(23) if layer % 3]
    ties = {"use": "ties@mergekit", "weights": [0.7, 0.2], "density": 0.4}
    rules = [{"where": {"layers": [layer, layer]}, **ties, "normalize": False} for layer in odd] + [ties]
    again = read(write_mergekit(recipe_of({"rules": rules}), many, "r.yaml"), math=many, ja=many, base=many).recipe
    summed = {spot.layer for spot in many.spots if Linear(reduce="sum") in pipe_at(again, spot)}
    assert summed == set(odd)


def test_the_draw_is_said_to_be_another(layout_of: LayoutOf) -> None:
    text = write_mergekit(recipe_of({"rules": [{"use": "dare_ties@mergekit", "density": 0.5}]}), layout_of(4), "r.yaml")
    assert "# mergekit draws other random numbers" in text


@pytest.mark.parametrize(
    ("blend", "message"),
    [
        (
            {"pipe": [{"vote": "sign", "tally": "plain"}, {"weigh": [0.3, 0.4]}]},
            "r.yaml: blends.mix: no one method of mergekit does what",
        ),
        (
            {"rules": [{"where": {"layers": [0, 1]}, "use": "ties@mergekit"}, {"use": "task_arithmetic"}]},
            "r.yaml: blends.mix: no one method of mergekit does what all of these rules do.",
        ),
        (
            {"rules": [{"where": {"layers": [0, 1]}, "use": "task_arithmetic"}]},
            "r.yaml: blends.mix.rules: no rule is for model.embed_tokens.weight, but mergekit merges all tensors.",
        ),
    ],
)
def test_what_mergekit_cannot_do_is_refused(layout_of: LayoutOf, blend: dict[str, Tree], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        write_mergekit(recipe_of(blend), layout_of(4), "r.yaml")
    assert message in str(caught.value)


def test_runs_of_layers_are_slices(read: Read, layout_of: LayoutOf) -> None:
    text = """
        merge_method: slerp
        base_model: ja
        slices:
          - {sources: [{model: math, layer_range: [0, 1]}, {model: ja, layer_range: [0, 1]}], parameters: {t: 0.3}}
          - {sources: [{model: math, layer_range: [1, 4]}, {model: ja, layer_range: [1, 4]}], base_model: math}
        parameters: {t: [{filter: mlp, value: [0.1, 0.4]}, {value: 0.2}]}
    """
    recipe = read(text).recipe
    tree = written(recipe, layout_of(4))
    assert [source["model"] for source in tree["slices"][0]["sources"]] == ["ja", "math"]
    assert tree["slices"][1]["base_model"] == "math"
    assert tree["slices"][1]["parameters"]["t"] == [{"filter": "mlp", "value": [0.1, 0.25, 0.4]}, {"value": 0.2}]
    assert read(tree).recipe.digest == recipe.digest


def test_blends_of_blends_are_refused(layout_of: LayoutOf) -> None:
    blends = {
        "one": {"origin": "base", "experts": ["math"], "rules": [{"use": "task_arithmetic"}]},
        "two": {"experts": ["one", "base"], "rules": [{"use": "linear"}]},
    }
    models = {name: {"path": name} for name in ("base", "math")}
    recipe = parse(Recipe, {"models": models, "blends": blends}, "r.yaml")
    with pytest.raises(ConfigError, match="a mergekit file holds one merge"):
        write_mergekit(recipe, layout_of(4), "r.yaml")
