from pathlib import Path

import numpy as np
import pytest

from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.recipe.files import dump_recipe
from evomerge.recipe.recipe import ModelRef
from evomerge.runs import Asked, Assessed, Event, Finished, RunLog, Started, Told
from evomerge.spaces import SearchSpace, SpaceFile, bind
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene
from evomerge.warm_start import finalists_of, genomes_of, recipe_as_start

GENES: list[Gene] = [FloatGene("weight", 0.0, 1.0), ChoiceGene("vote", ("none", "sign"))]
STARTS = ({"weight": 0.3, "vote": "none"}, {"weight": 0.2, "vote": "sign"})


def assessed(name: str, kind: str = "finalist", failure: str | None = None) -> Assessed:
    return Assessed(name, kind, "selection", "digest", {}, {"math": (0,)}, {"math": np.ones(1, np.float32)}, failure)


def run(folder: Path, *rest: Event, identity: dict[str, object] | None = None) -> Path:
    events: list[Event] = [Started({"genes": ["weight", "vote"]} if identity is None else identity)]
    for number, (weight, vote, losses) in enumerate(
        [(0.2, "sign", (0.5, 0.4)), (0.9, "none", (0.1, 0.1)), (0.3, "none", (0.2, 0.6)), (0.4, "none", (0.1, 0.5))]
    ):
        events += [Asked(number, (weight, vote), f"{number}"), Told(number, losses)]
    with RunLog.create(folder) as log:
        log.append(*events, *rest)
    return folder


def test_the_finalists_of_a_run_come_with_the_lowest_mean_loss_first(tmp_path: Path) -> None:
    finals = [assessed("candidate 0"), assessed("candidate 2"), assessed("candidate 3", failure="NaN")]
    others = [assessed("favourite"), assessed("math", kind="reference")]
    folder = run(tmp_path / "run", *finals, *others, Finished("the budget is spent"))
    assert finalists_of(folder) == STARTS


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", assessed("candidate 0"))
    with pytest.raises(ConfigError, match=r"start_from: .*run is not finished\. Finish it: `evomerge resume"):
        finalists_of(folder)


def test_a_run_without_names_of_genes_is_refused(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", Finished("the budget is spent"), identity={"seed": 0})
    with pytest.raises(ConfigError, match="does not say which genes it searched"):
        finalists_of(folder)


def test_no_run_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no run"):
        finalists_of(tmp_path)


def test_genomes_follow_the_order_of_the_genes() -> None:
    assert genomes_of(STARTS, GENES) == ((0.3, "none"), (0.2, "sign"))
    assert genomes_of(STARTS, GENES[::-1]) == (("none", 0.3), ("sign", 0.2))
    assert genomes_of((), GENES) == ()


def bound() -> SearchSpace:
    models = {name: ModelRef(path=f"/models/{name}") for name in ("base", "math")}
    pipe = [{"weigh": [{"float": [0.0, 1.0]}]}, {"reduce": "sum"}]
    tree = {"evomerge": "space/1", "models": {name: model.path for name, model in models.items()}}
    space = parse(SpaceFile, tree | {"blends": {"mix": {"origin": "base", "experts": ["math"], "pipe": pipe}}}, "space")
    return bind(space, models, 2, "space")


def test_a_recipe_of_the_space_is_a_start(tmp_path: Path) -> None:
    (tmp_path / "refined.yaml").write_text(dump_recipe(bound().decode((0.25,))))
    assert recipe_as_start(tmp_path / "refined.yaml", bound()) == {"mix/weigh.math": 0.25}


def test_a_recipe_of_elsewhere_is_refused(tmp_path: Path) -> None:
    recipe = bound().decode((0.25,)).model_copy(update={"dtype": "bfloat16"})
    (tmp_path / "other.yaml").write_text(dump_recipe(recipe))
    with pytest.raises(ConfigError, match=r"start_from: .*other\.yaml does not lie in the space: it differs where"):
        recipe_as_start(tmp_path / "other.yaml", bound())


def test_other_genes_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        genomes_of(STARTS, [GENES[0], FloatGene("scale", 0.0, 1.0), FloatGene("density", 0.0, 1.0)])
    assert str(caught.value) == (
        "start_from: the earlier run searched other genes: 1 there only, such as vote and 2 here only, such as "
        "density. Start from a run over the same search space."
    )


def test_values_outside_a_gene_are_refused_all_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        genomes_of(STARTS, [FloatGene("weight", 0.25, 1.0), ChoiceGene("vote", ("none", "rank"))])
    assert [str(problem) for problem in caught.value.problems] == [
        'start_from: gene "weight" was 0.2 there, which it cannot be here. Widen it.',
        'start_from: gene "vote" was sign there, which it cannot be here. Widen it.',
    ]
