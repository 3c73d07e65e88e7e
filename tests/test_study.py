"""A study is refused before any weights are read where its models or their layers do not go together."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from evomerge.documents import Tree, parse
from evomerge.errors import ConfigError
from evomerge.execution import Job
from evomerge.finals import assess, models_before
from evomerge.merging import Library, Provenance, export_model
from evomerge.recipe import Recipe
from evomerge.recipe.references import references
from evomerge.runs import RunLog, Started
from evomerge.runs.joint import Joint
from evomerge.runs.results import Results, examiner_of
from evomerge.settings import Settings
from evomerge.study import assemble
from evomerge.testing.executors import run_all

MakeSpace = Callable[..., Settings]


@pytest.fixture
def deep(zoo: Path, tmp_path: Path) -> Path:
    """An expert of the micro zoo, whose models have three layers, with its last one twice."""
    route = [{"from": "math"}, {"from": "math", "layers": [2, 2]}]
    recipe = parse(Recipe, {"models": {"math": str(zoo / "math")}, "route": route}, "recipe")
    return export_model(recipe, Library(), tmp_path / "deep", Provenance("A test."))


@pytest.fixture
def make_space(make_settings: Callable[..., Settings], deep: Path) -> MakeSpace:
    """Settings whose space has a model of four layers beside those of three; keywords replace its parts."""

    def make(**parts: Tree) -> Settings:
        settings = make_settings()
        space = settings.search_space | {"models": settings.search_space["models"] | {"deep": str(deep)}} | parts
        return settings.model_copy(update={"search_space": space})

    return make


def told(settings: Settings) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        assemble(settings)
    return [str(problem).removeprefix("search_spaces/tiny.yaml: ") for problem in caught.value.problems]


def test_layers_asked_in_vain_are_told_together_and_before_weights_are_read(make_space: MakeSpace) -> None:
    models = make_space().search_space["models"]
    settings = make_space(
        models=models | {"math": {"path": models["math"], "digest": "sha256:of another model"}},
        route=[{"from": "deep", "layers": [0, 4]}, {"from": "mix", "layers": [1, 3]}],
        groups={"layers": 9},
    )
    assert told(settings) == [
        "route[0].layers: layer 4 does not exist: the last layer of deep is 3.",
        "route[1].layers: layer 3 does not exist: the last layer of mix is 2.",
        "groups.layers: 9 bands of layers, but the models have 3 layers. Ask for fewer.",
    ]


def test_models_of_two_depths_do_not_blend(make_space: MakeSpace) -> None:
    blend = {"origin": "base", "experts": ["deep"], "pipe": [{"weigh": [{"float": [0, 1]}]}, {"reduce": "sum"}]}
    for more in ({"route": [{"from": "mix"}]}, {}):
        (problem,) = told(make_space(blends={"mix": blend}, groups=None, seeds=[], **more))
        assert problem.startswith("models.deep: has 4 layers, and base, with which it is merged, has 3.")


def test_what_is_searched_over_models_of_two_depths_answers_as_it_is_exported(
    make_space: MakeSpace, tmp_path: Path
) -> None:
    blend = {"origin": "base", "experts": ["math", "ja"], "pipe": [{"weigh": [0.6, 0.6]}, {"reduce": "sum"}]}
    route = {"use": "indicator", "from": ["mix", "deep"], "write": [-1, 2]}
    study = assemble(make_space(blends={"mix": blend}, groups=None, route=route, seeds=["neutral"]))
    values = {gene.name: gene.neutral for gene in study.space.genes}
    values |= {"route/deep 3/include": True, "route/deep 1/include": True, "route/mix 1/write": -0.5}
    recipe = study.space.decode(tuple(values[gene.name] for gene in study.space.genes))  # type: ignore[misc]
    folder = export_model(recipe, Library(), tmp_path / "out", Provenance("A test."))
    alone = parse(Recipe, {"models": {"out": str(folder)}, "route": [{"from": "out"}]}, "recipe")
    recipes = [recipe, alone, references(recipe)["deep"]]
    with closing(study.executor()) as executor:
        jobs = [Job(number, one, study.fitness.search_items) for number, one in enumerate(recipes)]
        searched, exported, deep = sorted(run_all(executor, jobs), key=lambda outcome: outcome.number)
    assert (searched.failure, exported.failure, deep.failure) == (None, None, None)
    for task, scores in searched.responses.items():
        assert np.array_equal(scores, exported.responses[task])


def test_a_bound_on_a_cost_is_a_share_of_what_the_named_model_costs(make_space: MakeSpace, tmp_path: Path) -> None:
    settings = make_space(
        blends={}, groups=None, route={"use": "indicator", "from": ["math", "deep"]}, seeds=["neutral"]
    )
    goals = {"objectives": {"skill": ["math"], "size": {"cost": "layers"}}}
    bound = {"constraints": [{"objective": "size", "at_most": 0.9, "of": "deep"}]}  # 0.9 times 4 layers of 3
    study = assemble(settings.model_copy(update={"fitness": settings.fitness | goals | bound}))
    with closing(study.executor()) as executor, RunLog.create(tmp_path / "run") as log:
        log.append(Started({"seed": 0}))
        models = models_before(study.some_recipe, study.fitness)
        assess(models, executor, study.fitness, log, lambda event: None, ("search",))
        known = examiner_of(log, study.fitness, 0).rival_estimates
        assert study.fitness.worth(known["deep"], known).violations == pytest.approx([4 / 3 * 0.1])
        results = Results(log, study.fitness)
        joint = Joint.of(results, [results.contenders["deep"]], "search")
    assert joint.violations(joint.draws(2))["size at most 0.9 of deep"] == pytest.approx(4 / 3 * 0.1)
