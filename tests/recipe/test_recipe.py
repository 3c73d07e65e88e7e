"""Recipes: what is refused, and in which words."""

from typing import Any

import pytest

from evomerge.documents import Tree, parse
from evomerge.errors import ConfigError
from evomerge.recipe import Recipe

Path = tuple[str | int, ...]
MODELS = {name: {"path": f"zoo/{name}"} for name in ("base", "math", "ja")}


def recipe_of(blend: dict[str, Tree], **rest: Tree) -> Recipe:
    tree = {"models": MODELS, "blends": {"mix": {"origin": "base", "experts": ["math", "ja"], **blend}}, **rest}
    return parse(Recipe, tree, "r.yaml")


def problems(blend: dict[str, Tree], **rest: Tree) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        recipe_of(blend, **rest)
    return [str(problem) for problem in caught.value.problems]


SLOTS = "origin, lens, gate, restore, vote, weigh, reduce, post"


@pytest.mark.parametrize(
    ("pipe", "message"),
    [
        ([{"gate": "top", "density": 1.4}], "[0].density: 1.4 is above 1. A density lies in (0, 1]."),
        (
            [{"gate": "top", "density": 0}],
            "[0].density: 0 is not above 0. A density lies in (0, 1]; to leave an expert out, give it weight 0.",
        ),
        ([{"gate": "top", "density": [0.5, 2]}], "[0].density[1]: 2 is above 1. A density lies in (0, 1]."),
        ([{"gate": "top", "density": float("nan")}], "[0].density: .nan is not a finite number."),
        ([{"gate": "top", "density": "x"}], "[0].density: x is not a number."),
        ([{"gate": "top"}], '[0]: "density" is missing. Add it.'),
        (
            [{"gate": "top", "density": [0.5]}],
            "[0].density: 1 densities for 2 experts [math, ja]. Give one for each, in that order.",
        ),
        ([{"gate": "topp", "density": 1}], '[0]: "topp" is no kind of gate. Did you mean "top"?'),
        ([{"gate": ["top"]}], '[0]: "[top]" is no kind of gate. Did you mean "top"?'),
        ([{"vote": True}], '[0]: "true" is no kind of vote. Allowed: none, nonzero, sign, tall.'),
        ([{"vote": "sign", "tally": "loud"}], '[0].tally: "loud" is not allowed. Allowed: count, plain, weighted.'),
        (
            [{"weigh": 0.5}],
            '[0]: "0.5" is no kind of weigh. Allowed: [number, …], balance, divergence, energy, fisher, norm, overlap, '
            "sensitivity.",
        ),
        ([{"weigh": ["x", 1]}], "[0].weigh[0]: x is not a number."),
        ([{"weigh": [1, 2, 3]}], "[0].weigh: 3 weights for 2 experts [math, ja]. Give one for each, in that order."),
        ([{"reduce": "sphere", "t": 1.5}], "[0].t: 1.5 is above 1. An interpolation point lies in [0, 1]."),
        ([{"reduce": "sphere", "t": -1}], "[0].t: -1 is below 0. An interpolation point lies in [0, 1]."),
        (
            [{"gate": "band", "density": 0.5, "gamma": 1}],
            "[0].gamma: 1 is not below 1. A share of the entries lies in [0, 1).",
        ),
        ([{"gate": "clip", "at": 0}], "[0].at: 0 is not above 0. Give a positive number."),
        ([{"vote": "nonzero", "epsilon": -1}], "[0].epsilon: -1 is below 0. Give 0 or a positive number."),
        ([{"gate": "block", "n": 3, "m": 2}], "[0]: 3 of every 2 entries cannot be kept. Give an n of at most m."),
        (
            [{"reduce": "pick", "expert": 2}],
            "[0]: expert 2 is none of the 2 experts [math, ja], counted from 0. Name another.",
        ),
        (
            [{"vote": "tall", "decoder": 5}],
            "[0]: decoder 5 is none of the 2 experts [math, ja], counted from 0. Name another.",
        ),
        ([{"reduce": "sum", "t": 0.5}], '[0]: "t" is not a known key. Allowed: reduce.'),
        ([{"post": "scale", "by": float("inf")}], "[0].by: .inf is not a finite number."),
        ([{"post": "scale", "by": -1e31}], "[0].by: -1e+31 is beyond ±1e+30. Give a smaller number."),
        ([{"weigh": [1, 1e308]}], "[0].weigh[1]: 1e+308 is beyond ±1e+30. Give a smaller number."),
        ([{"reduce": "consensus", "steps": -1}], "[0].steps: -1 is below 0. Give 0 or more."),
        (["top"], "[0]: top is not a stage. Write a mapping such as {gate: top, density: 0.3}."),
        ([{"gaet": "top"}], f"[0]: {{gaet: top}} must name one slot, not 0. Slots: {SLOTS}."),
        (
            [{"vote": "sign", "gate": "none"}],
            f"[0]: {{gate: none, vote: sign}} must name one slot, not 2. Slots: {SLOTS}.",
        ),
        ("top", ": top is not a list."),
        (
            [{"reduce": "sum"}, {"gate": "none"}],
            f': "gate" stands after "reduce". Stages act in this order: {SLOTS}.',
        ),
        ([{"vote": "sign"}, {"vote": "sign"}], ': "vote" stands twice. Only gate and post may repeat.'),
    ],
)
def test_a_bad_pipe(pipe: Tree, message: str) -> None:
    assert problems({"pipe": pipe}) == [f"r.yaml: blends.mix.pipe{message}"]


def test_a_misspelt_parameter_is_also_a_missing_one() -> None:
    assert problems({"pipe": [{"gate": "top", "densty": 0.3}]}) == [
        'r.yaml: blends.mix.pipe[0]: "densty" is not a known key. Did you mean "density"?',
        'r.yaml: blends.mix.pipe[0]: "density" is missing. Add it.',
    ]


def test_gates_and_posts_may_repeat() -> None:
    gates = [{"gate": "top", "density": 0.5}, {"gate": "bernoulli", "density": 0.5}]
    recipe_of({"pipe": [*gates, {"post": "scale", "by": 2}, {"post": "scale", "by": 3}]})


def test_yaml_reads_small_numbers_as_text_and_we_do_not_mind() -> None:
    assert recipe_of({"pipe": [{"gate": "top", "density": "1e-1"}]}) == recipe_of(
        {"pipe": [{"gate": "top", "density": 0.1}]}
    )


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"use": "teis"}, ': "teis" is no preset. Did you mean "ties"?'),
        ({"use": ["ties"]}, ': "[ties]" is no preset. Did you mean "ties"?'),
        ({"use": "ties", "weigths": [1, 1]}, ': "weigths" is not a known key. Did you mean "weights"?'),
        ({"use": "ties", "density": 2}, ".density: 2 is above 1. A density lies in (0, 1]."),
        (
            {"use": "ties", "weights": [1]},
            ".weights: 1 weights for 2 experts [math, ja]. Give one for each, in that order.",
        ),
        (
            {"use": "linear", "weights": []},
            ".weights: 0 weights for 2 experts [math, ja]. Give one for each, in that order.",
        ),
        (
            {"use": "ties", "density": [1]},
            ".density: 1 densities for 2 experts [math, ja]. Give one for each, in that order.",
        ),
        ({"use": "dare_ties", "restore": "l2"}, '.restore: "l2" is not allowed. Allowed: inverse, l1.'),
        ("ties", ': A rule has either "pipe" (a list of stages) or "use" (the name of a preset).'),
        ({"use": "ties", "pipe": []}, ': A rule has either "pipe" (a list of stages) or "use" (the name of a preset).'),
        ({}, ': A rule has either "pipe" (a list of stages) or "use" (the name of a preset).'),
        ({"pipe": [], "were": {}}, ': "were" is not a known key. Did you mean "where"?'),
        (
            {"pipe": [], "where": {"layers": [3, 1]}},
            ".where.layers: [3, 1] is not a range. Write [first, last] with 0 <= first <= last.",
        ),
        ({"pipe": [], "where": {"layers": [3]}}, ".where.layers: entry 2 is missing. Add it."),
        ({"pipe": [], "where": {"layers": [0, 1, 2]}}, ".where.layers: 3 entries are too many. Give 2."),
        ({"use": "slerp", "t": [0.5, 0.5]}, ".t: [0.5, 0.5] is not a number."),
        ({"use": "linear", "weights": [1e31, 1]}, ".weights[0]: 1e+31 is beyond ±1e+30. Give a smaller number."),
        ({"pipe": [], "where": {"roles": ["mpl"]}}, '.where.roles[0]: "mpl" is not allowed. Did you mean "mlp"?'),
        ({"pipe": [], "where": {"roles": []}}, ".where.roles: 0 entries are too few. Give 1 or more."),
        ({"pipe": [], "where": {"names": []}}, ".where.names: 0 entries are too few. Give 1 or more."),
    ],
)
def test_a_bad_rule(rule: Tree, message: str) -> None:
    assert problems({"rules": [rule]}) == [f"r.yaml: blends.mix.rules[0]{message}"]


@pytest.mark.parametrize(
    "rules", [[{"use": "ties"}, {"use": "linear"}], [{"pipe": [], "where": {}}, {"use": "linear"}]]
)
def test_no_rule_may_hide_behind_one_for_everything(rules: list[Tree]) -> None:
    assert problems({"rules": rules}) == [
        'r.yaml: blends.mix.rules[0]: has no "where", so that no later rule ever acts. Move it to the end.'
    ]


@pytest.mark.parametrize("rule", [{"use": "slerp"}, {"pipe": [{"reduce": "sphere", "t": 0.5}]}])
def test_spherical_interpolation_takes_two(rule: dict[str, Tree]) -> None:
    place = "use" if "use" in rule else "pipe[0]"
    assert problems({"rules": [rule], "experts": ["math"]}) == [
        f"r.yaml: blends.mix.rules[0].{place}: reduce: sphere takes two experts, but there are 1 [math]. Name two."
    ]


@pytest.mark.parametrize("blend", [{}, {"pipe": [], "rules": [{"use": "ties"}]}, {"rules": []}])
def test_a_blend_has_a_pipe_or_rules(blend: dict[str, Tree]) -> None:
    assert problems(blend) == ['r.yaml: blends.mix: Give either "pipe" or "rules".']


@pytest.mark.parametrize(
    ("blend", "message"),
    [
        ({"experts": []}, "experts: 0 entries are too few. Give 1 or more."),
        ({"experts": "math"}, "experts: math is not a list."),
        ({"experts": ["maths"]}, 'experts[0]: "maths" is neither a model nor an earlier blend. Did you mean "math"?'),
        ({"experts": ["mix"]}, 'experts[0]: "mix" is neither a model nor an earlier blend. Allowed: base, ja, math.'),
        ({"origin": "bsae"}, 'origin: "bsae" is neither a model nor an earlier blend. Did you mean "base"?'),
        ({"seed": 1.5}, "seed: 1.5 is not a whole number."),
    ],
)
def test_a_bad_blend(blend: dict[str, Tree], message: str) -> None:
    assert problems({"pipe": []} | blend) == [f"r.yaml: blends.mix.{message}"]


def test_a_blend_may_use_earlier_ones_and_no_later_ones() -> None:
    first, second = {"experts": ["math"], "pipe": []}, {"experts": ["first", "ja"], "origin": "first", "pipe": []}
    tree: dict[str, Any] = {"models": MODELS, "blends": {"first": first, "second": second}}
    assert parse(Recipe, tree, "r.yaml").result == "second"
    tree["blends"] = {"second": second, "first": first}
    with pytest.raises(ConfigError, match='"first" is neither a model nor an earlier blend'):
        parse(Recipe, tree, "r.yaml")


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ({"dtype": "float8"}, 'dtype: "float8" is not allowed. Did you mean "float32"?'),
        ({"tokenizer": {"from": "jaa"}}, 'tokenizer.from: "jaa" is not a model. Did you mean "ja"?'),
        ({"tokenizer": {"of": "ja"}}, 'tokenizer: "of" is not a known key. Allowed: from.'),
        ({"evomerge": "recipe/2"}, 'evomerge: "recipe/2" is not allowed. Did you mean "recipe/1"?'),
        ({"models": {}}, "models: 0 entries are too few. Give 1 or more."),
        ({"models": {"": "x"}}, "models: a model has an empty name. Give it one."),
        ({"blends": {"": {"experts": ["ja"], "pipe": []}}}, "blends: a blend has an empty name. Give it one."),
        ({"models": {"base": {"pth": "x"}}}, 'models.base: "pth" is not a known key. Did you mean "path"?'),
        (
            {"blends": {}},
            "blends: there are none. Name a blend, or say by a route which layers of which models to take.",
        ),
        ({"blends": {"mix": 3}}, "blends.mix: 3 is not a mapping."),
        ({"blendz": {}}, ': "blendz" is not a known key. Did you mean "blends"?'),
    ],
)
def test_a_bad_recipe(rest: dict[str, Tree], message: str) -> None:
    found = problems({"pipe": []}, **rest)
    assert f"r.yaml: {message}".replace(": :", ":") in found


def test_a_blend_may_not_have_the_name_of_a_model() -> None:
    tree = {"models": MODELS, "blends": {"ja": {"experts": ["math"], "pipe": []}}}
    with pytest.raises(ConfigError) as caught:
        parse(Recipe, tree, "r.yaml")
    assert str(caught.value) == 'r.yaml: blends.ja: "ja" is a model already. Give the blend a name of its own.'


def test_all_problems_are_told_at_once() -> None:
    found = problems({"pipe": [{"gate": "top", "density": 2}], "experts": ["x"], "seed": "y"}, dtype="z")
    assert [line.split(": ")[1] for line in found] == ["blends.mix.seed", "blends.mix.pipe[0].density", "dtype"]
    found = problems({"pipe": [{"weigh": [1]}], "experts": ["x", "y"]}, tokenizer={"from": "z"})
    assert [line.split(": ")[1] for line in found] == [
        "blends.mix.experts[0]",
        "blends.mix.experts[1]",
        "blends.mix.pipe[0].weigh",
        "tokenizer.from",
    ]


def test_config_and_tokenizer_come_from_the_root_of_the_result() -> None:
    inner = {"origin": "base", "experts": ["math"], "pipe": []}
    outer = {"experts": ["inner", "ja"], "pipe": []}
    tree: dict[str, Any] = {"models": MODELS, "blends": {"inner": inner, "outer": outer}}
    recipe = parse(Recipe, tree, "r.yaml")
    assert (recipe.result, recipe.donor, recipe.tokenizer_donor) == ("outer", "base", "base")
    recipe = parse(Recipe, tree | {"tokenizer": {"from": "ja"}}, "r.yaml")
    assert (recipe.donor, recipe.tokenizer_donor) == ("base", "ja")


def test_recipes_with_one_digest_have_one_hash() -> None:
    one = recipe_of({"pipe": [{"weigh": [1, 1]}, {"reduce": "mean"}]})
    other = recipe_of({"pipe": [{"weigh": [2, 2]}, {"reduce": "mean"}]})
    assert one != other
    assert (one.digest, hash(one)) == (other.digest, hash(other))


def test_a_changed_copy_forgets_the_digest_of_its_original() -> None:
    recipe = recipe_of({"pipe": []})
    digest = recipe.digest
    other = recipe.model_copy(update={"dtype": "float16"})
    assert other.digest == recipe_of({"pipe": []}, dtype="float16").digest != digest
    assert other.canonical.dtype == "float16"


def test_a_path_alone_names_a_model() -> None:
    short = recipe_of({"pipe": [{"reduce": "mean"}]}, models={name: f"zoo/{name}" for name in MODELS})
    assert short == recipe_of({"pipe": [{"reduce": "mean"}]})
