"""Files of mergekit-evolve become spaces and fitnesses of the same freedom."""

from typing import Any

import pytest
import yaml

from evomerge.documents import Tree, parse
from evomerge.errors import ConfigError
from evomerge.fitness import FitnessSpec
from evomerge.fitness.goals import Mean
from evomerge.recipe.mergekit import Layout, Spot
from evomerge.spaces import SearchSpace, bind, parse_space
from evomerge.spaces.evolve import convert_evolve

BLOCKS = {"self_attn.q_proj": "attention", "mlp.up_proj": "mlp", "input_layernorm": "norm"}


def llama(num_layers: int, vocabulary: dict[str, int] | None = None) -> Layout:
    inside = [
        Spot(f"model.layers.{layer}.{name}.weight", layer, role)  # type: ignore[arg-type]
        for layer in range(num_layers)
        for name, role in BLOCKS.items()
    ]
    ends = [Spot("model.norm.weight", None, "norm"), Spot("lm_head.weight", None, "head")]
    return Layout(num_layers, (Spot("model.embed_tokens.weight", None, "embedding"), *inside, *ends), vocabulary)


def converted(genome: dict[str, Tree], tasks: list[Tree] | None = None, **more: Tree) -> tuple[str, str]:
    tree = {"genome": {"models": ["org/math", "org/ja"], **genome}, "tasks": tasks or ["arc_train"], **more}

    def locate(name: str, where: str) -> tuple[str, Layout]:
        if name == "nowhere":
            raise ConfigError.at(where, "there is no model folder nowhere.")
        return f"models/{name}", llama(3 if name == "flat" else 8, {"x": 0} if name == "foreign" else {"x": 0, "y": 1})

    made = convert_evolve(tree, "evolve.yaml", locate)
    return made.space, made.fitness


def bound(genome: dict[str, Tree], **more: Tree) -> SearchSpace:
    space = parse_space(yaml.safe_load(converted(genome, **more)[0]), "space")
    return bind(space, space.models, 8, "space")


TIES = {"merge_method": "ties", "base_model": "org/base"}


@pytest.mark.parametrize(
    ("genome", "num_genes"),
    [
        (TIES, 2 * 2),
        (TIES | {"layer_granularity": 8}, 2 * 2),
        (TIES | {"layer_granularity": 2}, 4 * 2 * 2),
        (TIES | {"layer_granularity": 4, "filters": ["self_attn", "mlp"]}, 2 * 3 * 2 * 2),
        ({"merge_method": "task_arithmetic", "base_model": "org/base", "layer_granularity": 1}, 8 * 2),
        ({"merge_method": "linear", "layer_granularity": 4, "filters": ["mlp"]}, 2 * 2 * 2),
        ({"merge_method": "dare_ties", "base_model": "org/base"}, 2 * 2),
        ({"merge_method": "slerp", "base_model": "org/math", "layer_granularity": 2}, 4),
    ],
)
def test_there_are_as_many_genes_as_mergekit_evolve_has(genome: dict[str, Tree], num_genes: int) -> None:
    """Groups times filters times models times parameters; two models interpolated have one point between them."""
    assert len(bound(genome).genes) == num_genes


@pytest.mark.parametrize("filters", [None, ["self_attn"], ["mlp", "embed", "layers.1"], ["norm"]])
@pytest.mark.parametrize("size", [0, 2, 4])
def test_every_tensor_has_the_genes_that_mergekit_evolve_gives_it(filters: list[str] | None, size: int) -> None:
    space = bound(TIES | {"layer_granularity": size, "filters": filters})
    recipe = space.decode(tuple(0.1 + 0.001 * index for index in range(len(space.genes))))
    rules = recipe.blends["merged"].rules
    seen: dict[tuple[Any, ...], set[int]] = {}
    for spot in llama(8).spots:
        group = (
            0 if size == 0 or spot.role == "embedding" else 8 // size - 1 if spot.layer is None else spot.layer // size
        )
        chosen = next((text for text in filters or [] if text in spot.name), None)
        rule = next(i for i, rule in enumerate(rules) if rule.where is None or rule.where.matches(*spot))
        seen.setdefault((group, chosen), set()).add(rule)
    assert all(len(found) == 1 for found in seen.values())
    assert len(set.union(*seen.values())) == len(seen)


def test_the_start_is_that_of_mergekit_evolve() -> None:
    space = bound(TIES | {"layer_granularity": 4})
    (seed,) = space.seeds
    blend = space.decode(seed).blends["merged"]
    for rule in blend.rules:
        stages = {stage.slot: stage for stage in rule.pipe}  # type: ignore[union-attr]
        assert stages["weigh"].weigh == (0.5, 0.5)  # type: ignore[attr-defined]
        assert stages["gate"].density == (1.0, 1.0)  # type: ignore[attr-defined]
    assert bound(TIES, random_init=True).seeds == ()


def test_what_is_fixed_is_kept() -> None:
    text, _ = converted(TIES | {"allow_negative_weights": True, "normalize": False, "tokenizer_source": "union"})
    space = parse_space(yaml.safe_load(text), "space")
    pipe = space.blends["merged"]["rules"][0]["pipe"]
    assert (space.dtype, space.tokenizer and space.tokenizer.source) == ("bfloat16", "base")
    assert {"reduce": "sum"} in pipe
    assert {"weigh": [{"float": [-1.5, 1.5]}] * 2} in pipe
    assert text.startswith(
        "# From evolve.yaml of mergekit-evolve. What differs:\n# - Weights lie in [-1.5, 1.5]; mergekit's"
    )


def fitness(tasks: list[Tree], **more: Tree) -> tuple[FitnessSpec, str]:
    text = converted(TIES, tasks, **more)[1]
    return parse(FitnessSpec, yaml.safe_load(text), "fitness"), text


def test_equally_weighted_tasks_are_one_mean() -> None:
    tasks: list[Tree] = [
        {"name": "gsm8k_train", "metric": "exact_match,strict-match", "weight": 2},
        {"name": "spartqa_train", "metric": "acc_norm,none", "weight": 2},
        {"name": "unseen", "weight": 0},
    ]
    spec, text = fitness(tasks, num_fewshot=3, limit=100)
    assert spec.objectives == {"mean": Mean(tasks=("gsm8k_train", "spartqa_train"))}
    assert spec.tasks["gsm8k_train"].model_dump(exclude_defaults=True) == {
        "task": "gsm8k_train",
        "metric": "exact_match",
        "filter": "strict-match",
        "num_fewshot": 3,
    }
    assert (spec.tasks["unseen"].metric, spec.items.search, spec.apply_chat_template) == ("acc", 100, True)
    assert "`limit` takes the first items" in text
    assert "`fewshot_as_multiturn`" in text


def test_other_weights_are_kept() -> None:
    spec, text = fitness(
        [{"name": "a", "weight": 2}, "b", {"name": "b", "metric": "acc_norm"}], apply_chat_template=False
    )
    assert spec.objectives == {"mean": Mean(tasks=("a", "b", "b-2"), weights=(2, 1, 1))}
    assert not spec.apply_chat_template
    assert "mergekit's weighted sum ranks alike" in text


def test_weights_of_both_signs_are_a_front() -> None:
    spec, text = fitness([{"name": "a", "weight": 2}, {"name": "b", "metric": "word_perplexity", "weight": -0.5}])
    assert spec.objectives == {"a": Mean(tasks=("a",)), "b": Mean(tasks=("b",))}
    assert "mergekit's weighted sum (a 2, b -0.5) is a front here" in text


@pytest.mark.parametrize(
    ("genome", "message"),
    [
        (
            TIES | {"smooth": True},
            "evolve.yaml: genome.smooth: genes that are points of a gradient have no counterpart.",
        ),
        (TIES | {"layer_granularity": 3}, "genome.layer_granularity: 3 does not divide the 8 layers. Take a divisor."),
        (TIES | {"models": ["org/math", "flat"]}, "genome.models: the models differ in their number of layers."),
        (TIES | {"models": ["org/math", "nowhere"]}, "genome.models[1]: there is no model folder nowhere."),
        (TIES | {"merge_method": "della"}, 'evolve.yaml: genome.merge_method: "della" is not allowed.'),
        (
            TIES | {"layer_granulariti": 3},
            'genome: "layer_granulariti" is not a known key. Did you mean "layer_granularity"?',
        ),
        (TIES | {"models": ["a+b", "c"]}, "genome.models[0]: a+b is a model with an adapter on it. Merge the adapter"),
        ({"merge_method": "ties"}, "genome.base_model: is missing. ties measures from a base model; name it."),
        ({"merge_method": "linear", "base_model": "org/base"}, "genome.base_model: linear merges whole models"),
        ({"merge_method": "slerp", "models": ["a", "b", "c"]}, "genome.models: 3 models: which two of them"),
        ({"merge_method": "slerp", "filters": ["mlp"]}, "genome.filters: mergekit-evolve takes no filters with slerp."),
        (
            TIES | {"models": ["foreign", "org/ja"], "tokenizer_source": "union"},
            'genome.tokenizer_source: "union" takes',
        ),
    ],
)
def test_a_refusal_names_its_key(genome: dict[str, Tree], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        converted(genome)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([{"name": "a", "weight": 0}], "no task has a weight, so that nothing is optimised."),
        ([{"name": "a", "weight": -1}], "tasks[0].weight: -1 asks for a worse acc,none."),
        ([{"task": "a"}], 'tasks[0]: "task" is not a known key.'),
    ],
)
def test_tasks_that_cannot_be_optimised(tasks: list[Tree], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        converted(TIES, tasks)
    assert message in str(caught.value)
