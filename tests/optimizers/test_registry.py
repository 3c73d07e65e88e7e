import subprocess
import sys

import pytest
import yaml

from evomerge.errors import ConfigError
from evomerge.optimizers.base import Scored
from evomerge.optimizers.configs import CmaLrConfig, Nsga2Config
from evomerge.optimizers.registry import OPTIMIZERS, make_optimizer, read_config
from evomerge.shipped import shipped_root
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene
from evomerge.testing.optimizers import Loop

REAL: list[Gene] = [FloatGene("a", 0, 1), FloatGene("b", 0, 1)]
MIXED: list[Gene] = [FloatGene("a", 0, 1), ChoiceGene("mix/vote", ("none", "sign")), IntGene("layer", 0, 3)]


def problems(tree: object, genes: list[Gene] = REAL, num_objectives: int = 1) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        make_optimizer(tree, genes, num_objectives, seed=0, seeds=(), budget=10)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_name_is_the_name_of_its_settings(name: str) -> None:
    assert read_config({"name": name}) == OPTIMIZERS[name].config()
    assert OPTIMIZERS[name].config().name == name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_its_file_has_the_default_settings(name: str) -> None:
    tree = yaml.safe_load((shipped_root() / "conf" / "optimizer" / f"{name}.yaml").read_text())
    if "budget" in tree:
        assert tree.pop("budget") == "${candidates}"
    assert read_config(tree) == OPTIMIZERS[name].config()


@pytest.mark.parametrize("name", [name for name, entry in OPTIMIZERS.items() if entry.genes != "members"])
def test_a_search_that_is_given_more_begins_as_it_did(name: str) -> None:
    if name in ("tpe", "gp"):
        pytest.importorskip("optuna")
    tree = yaml.safe_load((shipped_root() / "conf" / "optimizer" / f"{name}.yaml").read_text())
    tree = {key: 24 if value == "${candidates}" else value for key, value in tree.items()}
    genes = [FloatGene(f"g{place}", 0, 1) for place in range(6)]
    num_objectives = 1 if OPTIMIZERS[name].objectives == "one" else 2

    def judge(genome: Genome) -> Scored:
        return Scored((sum((x - 0.3) ** 2 for x in genome), sum((x - 0.6) ** 2 for x in genome))[:num_objectives])

    def begun(budget: int) -> list[Genome]:
        return Loop(make_optimizer(tree, genes, num_objectives, 0, (), budget), judge).run(24, workers=1)

    assert begun(24) == begun(200)


def test_every_file_is_an_optimiser() -> None:
    assert {file.stem for file in (shipped_root() / "conf" / "optimizer").iterdir()} == OPTIMIZERS.keys()


@pytest.mark.parametrize("config", [{"name": "nsga2", "population": 6}, Nsga2Config(population=6)])
def test_a_tree_and_a_value_make_the_same_optimiser(config: object) -> None:
    optimizer = make_optimizer(config, MIXED, 2, seed=0, seeds=(), budget=10)
    asked = 0
    while optimizer.ask() is not None:
        asked += 1
    assert asked == 6
    for number in range(asked):
        optimizer.tell(number, Scored((0.1, 0.2)))
    assert optimizer.ask() is not None


def test_a_close_name_is_suggested() -> None:
    assert problems({"name": "nsg2"}) == ['optimizer.name: there is no optimiser "nsg2". Did you mean "nsga2"?']


def test_a_far_name_gets_the_list() -> None:
    assert problems({"name": "gradient"})[0].endswith(f"Allowed: {', '.join(sorted(OPTIMIZERS))}.")


@pytest.mark.parametrize("tree", [None, {}, "cma_lr", {"population": 8}, []])
def test_a_missing_name_is_asked_for(tree: object) -> None:
    assert problems(tree)[0].startswith('optimizer: "name" is missing. Write {name: cma_lr}.')


def test_all_problems_of_the_settings_come_at_once() -> None:
    assert problems({"name": "cma_lr", "poplation": 8, "population": 2, "sigma0": 3}) == [
        'optimizer: "poplation" is not a known key. Did you mean "population"?',
        "optimizer.population: 2 is outside [4, 10000]. It is the number of candidates per generation.",
        "optimizer.sigma0: 3 is outside [0.001, 1]. It is the first standard deviation as a fraction of each gene's "
        "range; 0.1 to 0.3 is usual.",
    ]


def test_a_real_optimiser_refuses_other_genes_and_more_objectives_in_one_go() -> None:
    assert problems({"name": "cma_lr"}, MIXED, num_objectives=2) == [
        'optimizer.name: "cma_lr" moves real numbers only, but gene "mix/vote" is a choice. Use catcma or nsga2. '
        "1 more genes do not suit it either.",
        'optimizer.name: "cma_lr" takes one objective, but the fitness has 2. Use nsga2, or keep one objective.',
    ]


def test_a_whole_number_is_called_one() -> None:
    (problem,) = problems({"name": "cma_es"}, [*REAL, IntGene("layer", 0, 3)])
    assert problem == (
        'optimizer.name: "cma_es" moves real numbers only, but gene "layer" is a whole number. Use catcma or nsga2.'
    )


def test_too_few_genes_are_refused() -> None:
    assert "needs 2 genes or more, but the search space has 1" in problems({"name": "cma_es"}, REAL[:1])[0]
    assert "the search space has 0. Add a hole to it." in problems({"name": "random"}, [])[0]


def test_a_very_wide_whole_number_is_refused_where_its_values_are_listed() -> None:
    (problem,) = problems({"name": "catcma"}, [IntGene("seed", 0, 2**31)])
    assert problem == (
        'optimizer.name: "catcma" takes whole numbers of at most 10000 values, but gene "seed" has 2147483649. '
        "Narrow it, or use nsga2 or de."
    )


@pytest.mark.parametrize("name", ["de", "nsga2", "pso", "random"])
def test_a_very_wide_whole_number_is_no_trouble_to_the_others(name: str) -> None:
    gene = IntGene("seed", 0, 2**31)
    optimizer = make_optimizer({"name": name, "population": 4}, [gene], 1, seed=0, seeds=(), budget=12)
    genomes = Loop(optimizer, lambda genome: Scored((float(genome[0]),))).run(budget=12, workers=1)
    assert len(genomes) == 12
    assert all(gene.contains(genome[0]) for genome in genomes)


def test_seeds_must_lie_in_the_space() -> None:
    with pytest.raises(ConfigError) as caught:
        make_optimizer({"name": "random"}, MIXED, 1, 0, seeds=[(0.5, "none", 1), (2.0, "sum", 1), (0.5,)], budget=10)
    assert [str(problem) for problem in caught.value.problems] == [
        'seeds[1]: gene "a" cannot take 2.0.',
        'seeds[1]: gene "mix/vote" cannot take sum.',
        "seeds[2]: 1 values for 3 genes. A seed has one value per gene.",
    ]


def test_settings_are_immutable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        CmaLrConfig().sigma0 = 0.5  # type: ignore[misc]


def test_the_registry_does_not_load_the_libraries() -> None:
    libraries = ["cma", "cmaes", "nevergrad", "optuna", "pymoo", "scipy", "sklearn", "torch"]
    code = f"import sys, evomerge.optimizers.registry; print([name for name in {libraries} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
