from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.errors import ConfigError
from evomerge.optimizers.base import Optimizer, Scored
from evomerge.optimizers.configs import StageConfig
from evomerge.optimizers.registry import make_optimizer, read_config
from evomerge.optimizers.stages import ends_of
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene
from evomerge.testing.optimizers import REAL_GENES, Judge, Loop

GENES: tuple[Gene, ...] = (
    FloatGene("mix/weigh.math", -1.0, 1.0),
    FloatGene("mix/weigh.ja", -1.0, 1.0),
    ChoiceGene("route/math 0/include", (False, True), neutral=False),
    FloatGene("route/math 0/write", 0.5, 2.0, neutral=1.0, scale="log"),
)
MIX, ROUTE = ["mix/*"], ["route/*"]
FEW = {"name": "nsga2", "population": 4}


def make(
    stages: Sequence[Mapping[str, Any]],
    candidates: int = 40,
    seeds: Sequence[Genome] = (),
    num_objectives: int = 1,
    genes: Sequence[Gene] = GENES,
    **settings: Any,
) -> Optimizer:
    config = {"name": "staged", "stages": stages, **settings}
    return make_optimizer(config, genes, num_objectives, 0, seeds, candidates)


def problems(stages: Sequence[Mapping[str, Any]], candidates: int, num_objectives: int) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        make(stages, candidates, num_objectives=num_objectives)
    return [str(problem) for problem in caught.value.problems]


def judge(genome: Genome) -> Scored:
    math, ja, is_in, write = (float(value) for value in genome)
    return Scored(((math - 0.3) ** 2 + (ja + 0.2) ** 2 + (1 - is_in) + (write - 1.5) ** 2,))


def best(genomes: Sequence[Genome], judge: Judge = judge) -> Genome:
    return min(genomes, key=lambda genome: judge(genome).losses)


names = st.sets(st.sampled_from([gene.name for gene in REAL_GENES]), min_size=1)
drivers = st.sampled_from(["nsga2", "catcma", "cma_lr", "random"])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(names, drivers), min_size=1, max_size=4), st.sampled_from(["best", "favourite"]))
def test_a_stage_changes_no_gene_but_its_own(parts: list[tuple[set[str], str]], carry: str) -> None:
    """Stages of 12 candidates, each with three generations of 4."""
    stages = [{"genes": sorted(genes), "driver": {"name": name, "population": 4}} for genes, name in parts]
    optimizer = make(stages, 12 * len(stages), genes=REAL_GENES, carry=carry)
    genomes = Loop(optimizer, lambda genome: Scored((float(sum(genome)),))).run(12 * len(stages), workers=3)  # type: ignore[arg-type]
    for number, (moved, _) in enumerate(parts):
        asked = genomes[12 * number : 12 * number + 12]
        for place, gene in enumerate(REAL_GENES):
            assert gene.name in moved or len({genome[place] for genome in asked}) == 1


def test_parameter_space_first_and_data_flow_on_the_best_of_it() -> None:
    stages = [{"genes": MIX, "driver": {**FEW, "name": "cma_es"}}, {"genes": ROUTE, "driver": FEW}]
    genomes = Loop(make(stages), judge).run(40, workers=1)
    merges, routes = genomes[:20], genomes[20:]
    assert {genome[2:] for genome in merges} == {(False, 1.0)}  # the neutral values
    assert {genome[:2] for genome in routes} == {best(merges)[:2]}
    assert routes[0] == best(merges)
    assert judge(best(routes)).losses < judge(best(merges)).losses


def test_a_gene_in_no_stage_stays_at_the_first_seed() -> None:
    seeds = [(0.5, -0.5, True, 2.0), (0.1, 0.7, False, 1.0)]
    genomes = Loop(make([{"genes": MIX, "driver": FEW}], seeds=seeds), judge).run(12, workers=1)
    assert {genome[2:] for genome in genomes} == {(True, 2.0)}
    assert [genome[:2] for genome in genomes[:2]] == [(0.5, -0.5), (0.1, 0.7)]


def test_every_stage_starts_from_what_was_found_and_from_the_seeds() -> None:
    seeds = [(0.5, -0.5, False, 1.0), (0.1, 0.7, True, 1.25)]
    stages = [{"genes": MIX, "driver": FEW, "share": 0.2}, {"genes": ROUTE, "driver": FEW}]
    genomes = Loop(make(stages, seeds=seeds), judge).run(40, workers=1)
    found = best(genomes[:8])
    assert genomes[8:10] == [found, (*found[:2], True, 1.25)]


def test_the_term_counts_in_its_stage_alone() -> None:
    """With a term that outweighs the loss, the best is what has the smallest values, and is carried on."""
    weights: list[tuple[float, ...]] = [(0.3, -0.2), (0.0, 0.0), (0.9, 0.9), (-0.5, 0.1)]
    seeds = [(*pair, False, 1.0) for pair in weights]
    for l1, expected in ((0.0, (0.3, -0.2)), (100.0, (0.0, 0.0))):
        stages = [{"genes": MIX, "driver": FEW, "share": 0.1, "l1": l1}, {"genes": ROUTE, "driver": FEW}]
        genomes = Loop(make(stages, seeds=seeds), judge).run(20, workers=1)
        assert {genome[:2] for genome in genomes[4:]} == {expected}


def test_stages_are_not_compared_with_one_another() -> None:
    """The second stage finds nothing better than the first, yet the third starts from what the second found."""
    stages = [{"genes": MIX, "driver": FEW}, {"genes": ROUTE, "driver": FEW, "l1": 1.0}, {"genes": MIX, "driver": FEW}]

    def judge(genome: Genome) -> Scored:
        return Scored((abs(float(genome[0])),))

    genomes = Loop(make(stages, 24), judge).run(24, workers=1)
    smallest = min(genomes[8:16], key=lambda genome: float(genome[3]))
    assert smallest[3] < 1.0
    assert genomes[16] == smallest


def test_shares_are_kept_and_the_rest_goes_on() -> None:
    """Generations of 6: of 20 candidates 18 fit into the first stage, and what is left goes to the second."""
    driver = {"name": "nsga2", "population": 6}
    stages = [{"genes": MIX, "driver": driver, "share": 0.5}, {"genes": ROUTE, "driver": driver}]
    genomes = Loop(make(stages), judge).run(60, workers=1)
    assert len({genome[:2] for genome in genomes[18:]}) == 1
    assert len({genome[2:] for genome in genomes[:18]}) == 1
    assert len(genomes) == 60  # and so does whatever a search that goes on is given


def test_of_a_generation_larger_than_the_share_as_many_are_tried_as_fit() -> None:
    driver = {"name": "cma_es", "population": 20}
    stages = [{"genes": MIX, "driver": driver, "share": 0.25}, {"genes": ROUTE, "driver": FEW}]
    genomes = Loop(make(stages, 20, carry="favourite"), judge).run(20, workers=7)
    assert {genome[:2] for genome in genomes[5:]} == {best(genomes[:5])[:2]}  # there is no belief yet


def test_a_stage_without_anything_left_to_try_gives_way() -> None:
    genes = [IntGene("layer", 0, 2), FloatGene("weight", 0.0, 1.0)]
    stages = [{"genes": ["layer"], "driver": {"name": "grid", "points": 3}}, {"genes": ["weight"], "driver": FEW}]
    optimizer = make(stages, 100, genes=genes)
    genomes = Loop(optimizer, lambda genome: Scored((float(genome[1] - genome[0]),))).run(11, workers=1)
    assert sorted(genome[0] for genome in genomes[:3]) == [0, 1, 2]
    assert {genome[0] for genome in genomes[3:]} == {2}


def test_the_last_stage_exhausts_the_search() -> None:
    genes = [IntGene("layer", 0, 2), ChoiceGene("vote", ("none", "sign"))]
    stages = [{"genes": [gene.name], "driver": {"name": "grid"}} for gene in genes]
    optimizer = make(stages, 100, genes=genes)
    assert len(Loop(optimizer, lambda genome: Scored((float(genome[0]),))).run(100, workers=1)) == 5
    assert optimizer.ask() is None


def test_a_favourite_may_be_carried() -> None:
    stages = [{"genes": MIX, "driver": {"name": "cma_es", "population": 8}}, {"genes": ROUTE, "driver": FEW}]
    optimizer = make(stages, carry="favourite")
    loop = Loop(optimizer, judge)
    loop.run(16, workers=1)
    favourite = optimizer.favourite()
    assert favourite is not None
    assert favourite not in loop.genomes
    assert {genome[:2] for genome in loop.run(40, workers=1)[16:]} == {favourite[:2]}


def test_what_holds_the_constraints_is_carried() -> None:
    stages = [{"genes": MIX, "driver": {"name": "random", "population": 10}}, {"genes": ROUTE, "driver": FEW}]

    def judge(genome: Genome) -> Scored:
        return Scored((float(genome[0]),), (-0.2 - float(genome[0]), -1.0))  # the loss draws to where it is broken

    genomes = Loop(make(stages, 20), judge).run(20, workers=1)
    allowed = [genome for genome in genomes[:10] if genome[0] >= -0.2]
    assert len(allowed) < 10
    assert genomes[10][:2] == min(allowed)[:2]


def test_of_several_objectives_the_lowest_mean_of_scaled_losses_is_carried() -> None:
    """The second objective is a thousand times larger; unscaled it would decide alone."""
    pairs = {(0.0, 0.0): (0.0, 1000.0), (0.5, 0.0): (0.4, 400.0), (1.0, 0.0): (1.0, 0.0), (-1.0, 0.0): (1.0, 900.0)}
    stages = [{"genes": MIX, "driver": FEW, "share": 0.1}, {"genes": ROUTE, "driver": FEW}]
    seeds = [(*pair, False, 1.0) for pair in pairs]
    genomes = Loop(make(stages, seeds=seeds, num_objectives=2), lambda g: Scored(pairs[g[0], g[1]])).run(8, workers=1)  # type: ignore[index]
    assert {genome[:2] for genome in genomes[4:]} == {(0.5, 0.0)}


def test_shares_stay_when_a_search_is_given_more() -> None:
    stages = [{"genes": MIX, "driver": FEW, "share": 0.5}, {"genes": ROUTE, "driver": FEW}]
    first = Loop(make(stages, 40, budget=40), judge).run(40, workers=1)
    grown = Loop(make(stages, 80, budget=40), judge).run(80, workers=1)
    assert grown[:40] == first
    assert {genome[:2] for genome in grown[20:]} == {best(first[:20])[:2]}


def test_faults_of_stages_are_told_all_at_once() -> None:
    stages = [
        {"genes": ["mix/*", "blends.*"], "driver": {"name": "cma_es"}, "share": 0.9},
        {"genes": ["route/*include"], "l1": 0.1},
        {"genes": ["mix/*ja"], "driver": {"name": "cma_es"}},
        {"genes": ["route/*"], "driver": {"name": "screened", "driver": {"name": "cma_lr"}}},
    ]
    listed = ", ".join(gene.name for gene in GENES)
    one = "takes one objective, but the fitness has 2. Use nsga2, or keep one objective."
    assert problems(stages, 6, num_objectives=2) == [
        f'optimizer.stages[0].genes[1]: "blends.*" matches no gene. The genes are {listed}.',
        "optimizer.stages[1].l1: its genes are choices, which have no absolute value. Drop it.",
        *(
            f"optimizer.stages[{number}].share: of 6 candidates none is left for this stage. Ask for more, or raise "
            "its share."
            for number in (2, 3)
        ),
        'optimizer.stages[2].driver.name: "cma_es" needs 2 genes or more, but this stage has 1. Use cma_lr.',
        'optimizer.stages[3].driver.driver.name: "cma_lr" moves real numbers only, but gene "route/math 0/include" is '
        "a choice. Use catcma or nsga2.",
        *(f'optimizer.stages[{number}].driver.name: "cma_es" {one}' for number in (0, 2)),
        f'optimizer.stages[3].driver.driver.name: "cma_lr" {one}',
    ]


def test_many_genes_are_told_by_their_beginnings() -> None:
    genes = [FloatGene(f"{head}/{number}", 0, 1) for head in ("mix", "route") for number in range(7)]
    with pytest.raises(ConfigError, match=r"The genes are 7 mix/\* such as mix/0, 7 route/\* such as route/0\."):
        make([{"genes": ["blends"]}], genes=genes)


@pytest.mark.parametrize(
    ("shares", "what"),
    [
        ((0.5, 0.6), "the shares sum to 1.1, not to 1. Leave one out, and its stage gets the rest."),
        ((1.0, None), "the shares sum to 1, which leaves nothing to the stages without. Lower them."),
    ],
)
def test_shares_make_up_the_whole(shares: tuple[float | None, ...], what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config({"name": "staged", "stages": [{"share": share} for share in shares]})
    assert str(caught.value) == f"optimizer.stages: {what}"


def test_shares_that_are_not_given_are_equal() -> None:
    def ends(*shares: float | None) -> list[int]:
        return ends_of([StageConfig(share=share) for share in shares], 1200)

    assert ends(None, None, None) == [400, 800, 1200]
    assert ends(0.3333, None) == [400, 1200]
    assert ends(0.333, 0.333, 0.333) == [400, 799, 1200]
    assert ends(None, 0.5, None) == [300, 900, 1200]
