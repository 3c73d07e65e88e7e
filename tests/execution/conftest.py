"""Jobs over the micro zoo."""

from collections.abc import Callable

import pytest

from evomerge.execution import Job
from evomerge.recipe import Blend, Recipe
from evomerge.recipe.stages import Linear, Weigh
from evomerge.settings import Settings
from evomerge.study import Study, assemble


@pytest.fixture
def study(make_settings: Callable[..., Settings]) -> Study:
    return assemble(make_settings())


@pytest.fixture
def job(study: Study) -> Callable[[int, float], Job]:
    def make(number: int, weight: float) -> Job:
        genome = (weight,) * len(study.space.genes)
        return Job(number, study.space.decode(genome), study.fitness.search_items)

    return make


@pytest.fixture
def broken_job(study: Study) -> Callable[[int], Job]:
    """Its weights overflow, so its logits are not finite."""

    def make(number: int) -> Job:
        models = study.space.decode(study.space.seeds[0]).models
        huge = Blend(experts=("math",), pipe=(Weigh(weigh=(1e40,)), Linear(reduce="sum")))
        return Job(number, Recipe(models=models, blends={"huge": huge}), study.fitness.search_items)

    return make
