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
from evomerge.warm_start import finalists_of, genomes_by_gene, genomes_of, members_of, recipe_as_start, with_starts
from tests.spaces.lineage.test_shares import recipe, space_of, weighed

GENES: list[Gene] = [FloatGene("weight", 0.0, 1.0), ChoiceGene("vote", ("none", "sign"))]
STARTS = ({"weight": 0.3, "vote": "none"}, {"weight": 0.2, "vote": "sign"})


def assessed(name: str, kind: str = "finalist", failure: str | None = None, digest: str | None = None) -> Assessed:
    digest = digest or name.removeprefix("candidate ")
    return Assessed(name, kind, "selection", digest, {}, {"math": (0,)}, {"math": np.ones(1, np.float32)}, failure)


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
    assert [finalist.name for finalist in finalists_of(folder)] == ["candidate 2", "candidate 0"]
    assert genomes_by_gene(folder) == STARTS


def test_a_favourite_that_was_asked_is_among_them_once(tmp_path: Path) -> None:
    finals = [assessed("candidate 0"), assessed("favourite", digest="1")]
    folder = run(tmp_path / "run", *finals, Asked(4, (0.9, "none"), "1"), Told(4, (0.1, 0.1)), Finished("spent"))
    assert [finalist.name for finalist in finalists_of(folder)] == ["candidate 1", "candidate 0"]


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", assessed("candidate 0"))
    with pytest.raises(ConfigError, match=r"start_from: .*run is not finished\. Finish it: `evomerge resume"):
        finalists_of(folder)


def test_a_run_without_names_of_genes_is_refused(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", Finished("the budget is spent"), identity={"seed": 0})
    with pytest.raises(ConfigError, match="does not say which genes it searched"):
        genomes_by_gene(folder)


def test_members_are_no_genomes_of_genes(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", Finished("the budget is spent"), identity={"genes": []})
    with pytest.raises(ConfigError, match=r"bred its recipes, .* `evomerge export .*run OUT`, and name OUT among the"):
        genomes_by_gene(folder)
    with pytest.raises(ConfigError, match="starts: some do not name their genes"):
        with_starts(bound(), [(24, 1.0, 0.0, 0.0)])
    with pytest.raises(ConfigError, match="starts: some are no members"):
        with_starts(space_of(), [{"mix/weigh.math": 0.25}])
    with pytest.raises(ConfigError, match="starts: some are no members"):
        with_starts(space_of(), [(24, 1.0, 0.0)])


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


def test_a_member_is_no_recipe_of_a_space_with_genes(tmp_path: Path) -> None:
    (tmp_path / "member.yaml").write_text(dump_recipe(space_of().decode(space_of().seeds[0])))
    with pytest.raises(ConfigError, match=r"start_from: .*member\.yaml does not lie in the space: "):
        recipe_as_start(tmp_path / "member.yaml", bound())


def test_starts_stand_before_the_seeds_of_a_space() -> None:
    space = space_of()
    member = (12, 0.5, 0.5, 0.0, 24, 1.0, 0.0, 0.0)
    assert with_starts(space, [member]).seeds == (member, *space.lineage.founders)
    assert with_starts(bound(), [{"mix/weigh.math": 0.25}]).seeds == ((0.25,), *bound().seeds)


def test_recipes_that_are_no_members_are_refused_all_at_once() -> None:
    pair, ties = {"experts": ["one", "two"]}, [{"gate": "top", "density": 0.5}, *weighed(1, 1)]
    recipes = {
        "candidate 1": recipe(pair | {"pipe": ties}),
        "candidate 2": recipe(pair | {"pipe": weighed(0.5, 0.5)}),
        "candidate 3": recipe(pair | {"pipe": ties}),
        "candidate 4": recipe(pair | {"pipe": weighed(0.5, 0.5)}, dtype="float16"),
    }
    with pytest.raises(ConfigError) as caught:
        members_of(recipes, space_of(), Path("runs/ties"))
    remedy = "Export one, `evomerge export runs/ties OUT`, and name OUT among the models and in breed.experts."
    first, second = map(str, caught.value.problems)
    assert first.startswith('start_from: candidate 1, candidate 3 of runs/ties cannot be bred from: "b0" has gate: top')
    assert second.startswith("start_from: candidate 4 of runs/ties cannot be bred from: its dtype is float16")
    assert first.endswith(remedy)
    assert second.endswith(remedy)


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
