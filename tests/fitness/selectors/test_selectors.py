"""What holds for every selector."""

import numpy as np
import pytest

from evomerge.errors import ConfigError
from evomerge.fitness.answers import Answers, Pool
from evomerge.fitness.irt import Bank
from evomerge.fitness.selectors import collect, configs
from evomerge.fitness.selectors.configs import SelectorConfig
from evomerge.fitness.selectors.registry import Draw, make_selector
from evomerge.testing.responses import Simulated

ALL: list[SelectorConfig] = [
    configs.RandomConfig(),
    configs.StratifiedConfig(),
    configs.StratifiedConfig(by="parents"),
    configs.AnchorsConfig(),
    configs.AnchorsConfig(by="responses"),
    configs.FisherConfig(),
    configs.FisherConfig(block=7, top=3),
    configs.COptimalConfig(),
    configs.COptimalConfig(top=4),
]


@pytest.fixture
def pool(simulated: Simulated, bank: Bank) -> Pool:
    return Pool(160, bank, simulated.parents_PN)


@pytest.mark.parametrize("config", ALL, ids=str)
def test_every_item_is_asked_once(config: SelectorConfig, pool: Pool, simulated: Simulated) -> None:
    answers = collect(make_selector(config, pool, 20, Draw(0)), simulated.candidates_CN[0].__getitem__, 1000)
    assert answers.items_I.tolist() == list(range(160))


@pytest.mark.parametrize("config", ALL, ids=str)
def test_the_seed_and_the_answers_alone_decide(config: SelectorConfig, pool: Pool, simulated: Simulated) -> None:
    chosen = [
        collect(make_selector(config, pool, 20, Draw(5)), simulated.candidates_CN[1].__getitem__, 20).items_I.tolist()
        for _ in range(2)
    ]
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 20


@pytest.mark.parametrize("config", ALL, ids=str)
def test_more_items_are_more_of_the_same(config: SelectorConfig, pool: Pool, simulated: Simulated) -> None:
    scores = simulated.candidates_CN[2]
    few, many = (collect(make_selector(config, pool, 20, Draw(0)), scores.__getitem__, number) for number in (20, 40))
    assert set(few.items_I) < set(many.items_I)


@pytest.mark.parametrize("config", [configs.FisherConfig(), configs.COptimalConfig()], ids=str)
def test_exposure_control_spreads_the_items(config: SelectorConfig, pool: Pool, simulated: Simulated) -> None:
    def touched(top: int) -> int:
        spread = config.model_copy(update={"top": top})
        rows = enumerate(simulated.candidates_CN)
        asked = [
            collect(make_selector(spread, pool, 20, Draw(seed)), row.__getitem__, 20).items_I for seed, row in rows
        ]
        return len(np.unique(np.concatenate(asked)))

    assert touched(60) > 1.5 * touched(1)


def test_what_a_selector_lacks_is_told() -> None:
    for config in (configs.StratifiedConfig(), configs.AnchorsConfig(), configs.FisherConfig()):
        with pytest.raises(ConfigError, match="needs an item bank"):
            make_selector(config, Pool(5), 3, Draw(0))
    for other in (configs.COptimalConfig(), configs.StratifiedConfig(by="parents")):
        with pytest.raises(ConfigError, match="needs the parents' own answers"):
            make_selector(other, Pool(5), 3, Draw(0))


def test_no_more_items_than_there_are() -> None:
    selector = make_selector(configs.RandomConfig(), Pool(4), 10, Draw(0))
    assert sorted(selector.next(Answers.none(), 10)) == [0, 1, 2, 3]
