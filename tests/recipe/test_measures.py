"""Which statistics recipes read, and what is said when their data is not named."""

from typing import Any

import pytest

from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.recipe import Recipe
from evomerge.recipe.measures import measured_models

MODELS = {name: {"path": f"zoo/{name}"} for name in ("base", "math", "ja")}
DATA = {"data": "texts.jsonl"}


def recipe_of(*blends: dict[str, Any], **rest: Any) -> Recipe:
    named = {f"blend {index}": blend for index, blend in enumerate(blends)}
    return parse(Recipe, {"models": MODELS, "blends": named, **rest}, "r.yaml")


def test_each_model_is_measured_once() -> None:
    stages = [{"weigh": "fisher", "weights": [1, 1]}, {"post": "channel"}]
    blend = {"origin": "base", "experts": ["math", "math"], "pipe": stages}
    recipe = recipe_of(blend, calibration={"base": DATA, "math": DATA})
    assert list(measured_models(recipe.blends)) == [("math", "fisher"), ("base", "act_mean")]


def test_the_canonical_form_keeps_the_data_that_it_reads() -> None:
    calibration = dict.fromkeys(MODELS, DATA)
    read = recipe_of({"experts": ["math", "ja"], "rules": [{"use": "regmean"}]}, calibration=calibration).canonical
    assert set(read.calibration or ()) == {"math", "ja"}
    off = recipe_of(
        {"origin": "base", "experts": ["math", "ja"], "rules": [{"use": "aim", "floor": 1}]}, calibration=calibration
    )
    assert off.canonical.calibration is None


@pytest.mark.parametrize(
    ("blend", "more", "message"),
    [
        (
            {"experts": ["math", "ja"], "rules": [{"use": "fisher"}]},
            {"calibration": {"ja": DATA}},
            'r.yaml: blends.blend 0: "weigh: fisher" reads fisher of "math", whose calibration data is not named. '
            "Add calibration: {math: {data: texts.jsonl}}.",
        ),
        (
            {"experts": ["math"], "pipe": [{"post": "channel"}]},
            {},
            'r.yaml: blends.blend 0: "post: channel" reads act_mean of the origin, but the blend has none. Name one.',
        ),
        (
            {"experts": ["math"], "pipe": []},
            {"calibration": {"mth": DATA}},
            'r.yaml: calibration.mth: "mth" is not a model. Did you mean "math"?',
        ),
        (
            {"experts": ["math"], "pipe": [{"reduce": "metric", "of": "kfac"}]},
            {},
            'r.yaml: blends.blend 0.pipe[0]: "of: kfac" has no exact solution. Give "steps", such as 30.',
        ),
    ],
)
def test_what_is_missing_is_named(blend: dict[str, Any], more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        recipe_of(blend, **more)
    assert str(error.value) == message


def test_statistics_mean_nothing_inside_a_lens() -> None:
    lens, post = {"lens": "joint_svd"}, {"post": "channel"}
    for stage in ({"gate": "salient", "density": 0.5}, {"weigh": "fisher", "weights": [1]}, {"reduce": "metric"}):
        with pytest.raises(ConfigError, match="reads statistics, but inside a lens each tensor has its own"):
            recipe_of({"experts": ["math"], "pipe": [lens, stage]}, calibration={"math": DATA})
    recipe_of({"origin": "base", "experts": ["math"], "pipe": [lens, post]}, calibration={"base": DATA})


def test_adapters_are_not_measured() -> None:
    models = MODELS | {"lora": {"path": "zoo/lora", "adapts": "base"}}
    blend = {"origin": "base", "experts": ["lora"], "rules": [{"use": "regmean"}]}
    with pytest.raises(ConfigError, match='"lora", which is an adapter, and only whole models are measured'):
        parse(Recipe, {"models": models, "blends": {"mix": blend}, "calibration": {"lora": DATA}}, "r.yaml")


def test_blends_are_not_measured() -> None:
    first, second = {"experts": ["math"], "pipe": []}, {"experts": ["blend 0"], "rules": [{"use": "regmean"}]}
    with pytest.raises(ConfigError, match='reads gram of "blend 0", which is a blend, and only models are measured'):
        recipe_of(first, second)
