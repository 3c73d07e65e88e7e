"""Every registered optimiser keeps the laws, on every kind of space that it says it can search."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import pytest

from evomerge.optimizers.base import Optimizer
from evomerge.optimizers.registry import OPTIMIZERS, make_optimizer
from evomerge.spaces.genes import ChoiceGene, Gene, Genome, IntGene
from evomerge.testing.optimizers import MIXED_GENES, REAL_GENES, OptimizerContract

needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason="optuna is an extra")


class Registered(OptimizerContract):
    config: Mapping[str, Any]

    def make(
        self, genes: Sequence[Gene], num_objectives: int, seed: int, seeds: Sequence[Genome] = (), budget: int = 200
    ) -> Optimizer:
        return make_optimizer(self.config, genes, num_objectives, seed, seeds, budget)


class TestCmaLr(Registered):
    config = {"name": "cma_lr"}


class TestCmaEs(Registered):
    config = {"name": "cma_es"}


class TestCatCmaReal(Registered):
    config = {"name": "catcma"}


class TestCatCmaMixed(Registered):
    config = {"name": "catcma"}
    genes = MIXED_GENES


class TestCatCmaWhole(Registered):
    config = {"name": "catcma"}
    genes = tuple(IntGene(f"layer{i}", 0, 20) for i in range(5))


class TestCatCmaChoices(Registered):
    config = {"name": "catcma"}
    genes = tuple(ChoiceGene(f"source{i}", ("base", "math", "ja", "code")) for i in range(6))


class TestNsga2Real(Registered):
    config = {"name": "nsga2", "population": 10}


class TestNsga2MixedTwoObjectives(Registered):
    config = {"name": "nsga2", "population": 10}
    genes = MIXED_GENES
    num_objectives = 2


class TestDeReal(Registered):
    config = {"name": "de", "population": 10}


class TestDeMixed(Registered):
    config = {"name": "de", "population": 10}
    genes = MIXED_GENES


class TestSepCma(Registered):
    config = {"name": "sep_cma"}


class TestNsga3Real(Registered):
    config = {"name": "nsga3", "population": 10}
    num_objectives = 2


class TestNsga3Mixed(Registered):
    config = {"name": "nsga3", "population": 10}
    genes = MIXED_GENES
    num_objectives = 3


class TestSmsEmoaReal(Registered):
    config = {"name": "sms_emoa", "population": 10}
    num_objectives = 2


class TestSmsEmoaMixed(Registered):
    config = {"name": "sms_emoa", "population": 10}
    genes = MIXED_GENES
    num_objectives = 3


class TestCTaeaReal(Registered):
    config = {"name": "c_taea", "population": 10}
    breaks_constraints = True  # its second archive ignores them
    num_objectives = 2


class TestCTaeaMixed(Registered):
    config = {"name": "c_taea", "population": 10}
    breaks_constraints = True
    genes = MIXED_GENES
    num_objectives = 3


class TestWeightedCmaReal(Registered):
    config = {"name": "weighted_cma", "head_start": 1}
    num_objectives = 2


class TestWeightedCmaMixed(Registered):
    config = {"name": "weighted_cma", "scalarising": "sum", "head_start": 2}
    genes = MIXED_GENES
    num_objectives = 2


class TestNsga2UnderNoise(Registered):
    config = {"name": "nsga2", "population": 10, "confidence": 0.7}
    num_objectives = 2


@pytest.mark.slow
class TestMapReal(Registered):
    config = {"name": "map", "population": 10, "inner_population": 40, "generations": 12}


@pytest.mark.slow
class TestMapTwoObjectives(Registered):
    config = {"name": "map", "inner_population": 40, "generations": 12}
    num_objectives = 2


@pytest.mark.slow
class TestMapThreeObjectives(Registered):
    config = {"name": "map", "link": "softplus", "inner_population": 20, "generations": 10}
    num_objectives = 3


@pytest.mark.slow
class TestMapByDirections(Registered):
    config = {"name": "map", "placement": "directions", "inner_population": 20, "generations": 6}
    num_objectives = 2


@pytest.mark.slow
class TestMapNestedTwoObjectives(Registered):
    config = {"name": "map_nested", "startup": 30}  # two leaves span little of five genes: they must be good
    num_objectives = 2


@pytest.mark.slow
class TestMapNestedFiveObjectives(Registered):
    config = {"name": "map_nested", "link": "softplus"}
    num_objectives = 5


@pytest.mark.slow
class TestMmMoReal(Registered):
    config = {"name": "mm_mo"}


@pytest.mark.slow
class TestMmMoMixedTwoObjectives(Registered):
    config = {"name": "mm_mo", "population": 10, "sparsity": True}
    genes = MIXED_GENES
    num_objectives = 2


@pytest.mark.slow
class TestScreenedReal(Registered):
    config = {"name": "screened", "driver": {"name": "cma_lr"}}


@pytest.mark.slow
class TestScreenedMixedTwoObjectives(Registered):
    config = {"name": "screened", "driver": {"name": "nsga2", "population": 15}, "startup": 15}
    genes = MIXED_GENES
    num_objectives = 2


class TestGreedyReal(Registered):
    config = {"name": "greedy", "points": 5, "order": "random"}


class TestGreedyMixed(Registered):
    config = {"name": "greedy", "points": 5, "order": "random"}
    genes = MIXED_GENES


class TestStagedReal(Registered):
    config = {
        "name": "staged",
        "stages": [
            {"genes": ["a", "b"], "driver": {"name": "cma_es"}, "share": 0.3, "l1": 0.001},
            {"genes": ["[c-e]"], "driver": {"name": "cma_lr"}},
            {"driver": {"name": "sep_cma"}},
        ],
        "carry": "favourite",
    }


class TestStagedMixed(Registered):
    config = {
        "name": "staged",
        "stages": [
            {"genes": ["vote", "layer"], "driver": {"name": "greedy"}, "share": 0.2},
            {"driver": {"name": "catcma"}},
        ],
    }
    genes = MIXED_GENES


class TestStagedMixedTwoObjectives(Registered):
    config = {
        "name": "staged",
        "stages": [
            {"genes": ["weight", "s*"], "driver": {"name": "nsga2", "population": 8}},
            {"driver": {"name": "weighted_cma", "head_start": 1}},
        ],
    }
    genes = MIXED_GENES
    num_objectives = 2


class TestPsoReal(Registered):
    config = {"name": "pso", "population": 10}


class TestPsoMixed(Registered):
    config = {"name": "pso", "population": 10}
    genes = MIXED_GENES


class TestTbpsaReal(Registered):
    config = {"name": "tbpsa", "population": 10}


class TestTbpsaMixed(Registered):
    config = {"name": "tbpsa", "population": 10}
    genes = MIXED_GENES


class TestNgPortfolioReal(Registered):
    config = {"name": "ng_portfolio", "population": 10}


class TestNgPortfolioMixed(Registered):
    config = {"name": "ng_portfolio", "population": 10}
    genes = MIXED_GENES


@needs_optuna
class TestTpeReal(Registered):
    config = {"name": "tpe"}


@needs_optuna
class TestTpeMixedTwoObjectives(Registered):
    config = {"name": "tpe"}
    genes = MIXED_GENES
    num_objectives = 2


@needs_optuna
@pytest.mark.slow
class TestGpReal(Registered):
    config = {"name": "gp"}
    budget = 20


@needs_optuna
@pytest.mark.slow
class TestGpMixedTwoObjectives(Registered):
    config = {"name": "gp"}
    genes = MIXED_GENES
    num_objectives = 2
    budget = 20


class TestGridReal(Registered):
    config = {"name": "grid", "points": 5}
    learns = False


class TestGridMixedTwoObjectives(Registered):
    config = {"name": "grid"}
    genes = MIXED_GENES
    num_objectives = 2
    learns = False


class TestRandomReal(Registered):
    config = {"name": "random"}
    learns = False


class TestRandomMixedTwoObjectives(Registered):
    config = {"name": "random"}
    genes = MIXED_GENES
    num_objectives = 2
    learns = False


@pytest.mark.parametrize("name", [name for name, entry in OPTIMIZERS.items() if entry.genes != "members"])
def test_every_optimiser_is_under_the_contract(name: str) -> None:
    under = [(suite.config["name"], suite.genes, suite.num_objectives) for suite in Registered.__subclasses__()]
    entry = OPTIMIZERS[name]
    assert any(suite[:2] == (name, REAL_GENES) for suite in under)
    assert entry.genes == "real" or any(suite[:2] == (name, MIXED_GENES) for suite in under)
    assert entry.objectives == "one" or any(suite[0] == name and suite[2] > 1 for suite in under)
