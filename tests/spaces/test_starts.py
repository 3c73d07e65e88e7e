"""Individuals that a search starts from: from presets and recipes to genomes."""

import pytest

from evomerge.documents import Tree, parse, shown
from evomerge.errors import ConfigError
from evomerge.recipe import Recipe
from tests.spaces.test_space import MODELS, TIES, WEIGHTS, bound


class TestSeeds:
    """From presets to genomes."""

    @pytest.mark.parametrize(
        "start",
        [
            {"use": "task_arithmetic"},
            {"use": "task_arithmetic", "weights": [0.2, 0.4], "scale": 0.5},
            {"use": "ties"},
            {"use": "ties", "weights": [0.2, 0.4], "density": 0.7, "scale": 1.5},
        ],
    )
    @pytest.mark.parametrize("groups", [None, {"layers": 3, "roles": ["mlp"]}])
    def test_a_seed_is_the_preset(self, start: dict[str, Tree], groups: Tree) -> None:
        space = bound({"pipe": TIES}, seeds=[start], groups=groups)
        assert space.decode(space.seeds[0]).digest == preset(start).digest

    @pytest.mark.parametrize("name", ["ties", "task_arithmetic"])
    def test_a_name_alone_is_the_preset_as_published(self, name: str) -> None:
        space = bound({"pipe": TIES}, seeds=[name])
        assert space.decode(space.seeds[0]).digest == preset({"use": name}).digest

    @pytest.mark.parametrize(
        "pipe",
        [
            [WEIGHTS],
            [WEIGHTS, {"reduce": "mean"}],
            [{"origin": "zero"}, WEIGHTS, {"reduce": "mean"}],
            TIES,
        ],
    )
    @pytest.mark.parametrize("spelling", ["uniform", {"use": "uniform"}])
    def test_uniform_is_the_plain_average_in_any_spelling(self, pipe: list[Tree], spelling: Tree) -> None:
        space = bound({"pipe": pipe}, seeds=[spelling])
        assert space.decode(space.seeds[0]).digest == preset({"use": "linear"}).digest

    def test_stochastic_and_spherical_presets(self) -> None:
        dare = [{"gate": "bernoulli", "density": {"float": [0.1, 1]}}, {"restore": "inverse"}, WEIGHTS]
        space = bound({"pipe": dare}, seeds=["dare_linear"])
        assert space.decode(space.seeds[0]).digest == preset({"use": "dare_linear"}).digest
        slerp = [{"origin": "zero"}, {"reduce": "sphere", "t": {"float": [0, 1]}}]
        space = bound({"pipe": slerp}, seeds=[{"use": "slerp", "t": 0.3}])
        assert space.decode(space.seeds[0]).digest == preset({"use": "slerp", "t": 0.3}).digest

    def test_one_density_for_all_fills_one_gene_per_expert(self) -> None:
        density = [{"float": [0.1, 1]}, {"float": [0.1, 1]}]
        pipe = [{"gate": "top", "density": density}, {"vote": "sign"}, WEIGHTS, {"reduce": "mean"}]
        space = bound({"pipe": pipe}, seeds=[{"use": "ties", "density": 0.4}, {"use": "ties", "density": [0.2, 0.4]}])
        assert [genome[:2] for genome in space.seeds] == [(0.4, 0.4), (0.2, 0.4)]

    def test_a_gate_that_may_be_none_is_switched_off(self) -> None:
        gate = {"gate": {"choice": ["top", "none"]}, "density": {"float": [0.1, 0.9], "neutral": 0.5}}
        space = bound({"pipe": [gate, WEIGHTS]}, seeds=["task_arithmetic"])
        assert space.seeds == (("none", 0.5, 0.5, 0.5),)

    @pytest.mark.parametrize(
        "stage",
        [
            {"gate": "low_rank", "density": {"float": [0.1, 1]}},
            {"gate": "spectral_top", "density": {"float": [0.1, 1]}},
            {"post": "flatten", "strength": {"float": [0, 1]}},
        ],
    )
    def test_a_stage_is_switched_off_at_the_end_of_its_gene_that_does_nothing(self, stage: dict[str, Tree]) -> None:
        pipe = [stage, WEIGHTS] if "gate" in stage else [WEIGHTS, stage]
        space = bound({"pipe": pipe}, seeds=["task_arithmetic"])
        assert space.decode(space.seeds[0]).digest == preset({"use": "task_arithmetic"}).digest

    def test_what_a_seed_needs_beyond_a_stage_is_missed(self) -> None:
        gate = {"gate": "top", "density": {"float": [0.1, 1]}}
        pipe = [gate, {"vote": "sign", "tally": "plain", "zero": "majority"}, WEIGHTS, {"reduce": "mean"}]
        with pytest.raises(ConfigError, match=r"its gate stage cannot be \{density: 0\.2, gate: top, scope: model\}"):
            bound({"pipe": pipe}, seeds=["ties@paper"])

    def test_what_does_nothing_in_a_seed_needs_no_stage(self) -> None:
        space = bound({"pipe": [{"vote": "sign"}, WEIGHTS, {"reduce": "mean"}]}, seeds=[{"use": "ties", "density": 1}])
        assert space.decode(space.seeds[0]).digest == preset({"use": "ties", "density": 1}).digest

    def test_a_part_that_stands_fast_may_be_what_the_seed_wants(self) -> None:
        pipe = [
            {"gate": "top", "density": 0.2},
            {"vote": "sign", "tally": "weighted"},
            {"weigh": [1, {"float": [0, 2]}]},
        ]
        space = bound({"pipe": [*pipe, {"reduce": "mean"}]}, seeds=["ties"])
        assert space.seeds == ((1.0,),)

    def test_equal_seeds_are_one(self) -> None:
        space = bound({"pipe": [WEIGHTS]}, seeds=["uniform", {"use": "task_arithmetic"}, {"use": "uniform"}])
        assert space.seeds == ((0.5, 0.5),)

    @pytest.mark.parametrize(
        ("pipe", "start", "reason"),
        [
            ([WEIGHTS], "ties", "it has no stage for {density: 0.2, gate: top}"),
            ([WEIGHTS], "linear", "it has no stage for {origin: zero}"),
            (TIES[1:], "ties", "it has no stage for {density: 0.2, gate: top}"),
            (
                [{"gate": "top", "density": {"float": [0.5, 1.0]}}, *TIES[1:]],
                "ties",
                "its gate stage cannot be {density: 0.2, gate: top}",
            ),
            (
                [{"gate": "bernoulli", "density": {"float": [0.1, 1.0]}}, *TIES[1:]],
                "ties",
                "its gate stage cannot be {density: 0.2, gate: top}",
            ),
            (
                [{"gate": "top", "density": {"float": [0.1, 0.9]}}, WEIGHTS],
                "task_arithmetic",
                "its gate stage cannot be switched off",
            ),
            ([{"vote": "sign"}, WEIGHTS], "task_arithmetic", "its vote stage cannot be switched off"),
            (
                [{"weigh": [{"float": [0, 0.3]}, 0.5]}],
                "task_arithmetic",
                "its weigh stage cannot be {weigh: [0.5, 0.5]}",
            ),
            (
                [{"post": "scale", "by": 2}, {"post": "scale", "by": {"float": [0.1, 1.5], "neutral": 1}}],
                {"use": "task_arithmetic", "scale": 0.5},
                "it has no stage for {weigh: [0.5, 0.5]}",
            ),
            ([WEIGHTS, {"post": "scale", "by": 2}], "task_arithmetic", "its post stage cannot be switched off"),
            (
                [{"vote": "none", "tally": {"choice": ["weighted", "plain"]}}, WEIGHTS],
                "task_arithmetic",
                "gene mix/vote.tally takes no part in it and has no neutral value",
            ),
        ],
    )
    def test_a_seed_outside_the_space_says_why(self, pipe: list[Tree], start: Tree, reason: str) -> None:
        with pytest.raises(ConfigError) as caught:
            bound({"pipe": pipe}, seeds=[start])
        assert str(caught.value) == (
            f"s.yaml: seeds[0]: {shown(start)} does not lie in the space: {reason}. Drop it or widen the space."
        )

    def test_a_space_of_presets_has_no_seeds(self) -> None:
        with pytest.raises(ConfigError, match="does not lie in the space: its rules are presets, not pipes"):
            bound({"rules": [{"use": "slerp", "t": {"float": [0, 1]}}]}, seeds=["slerp"])

    def test_all_bad_seeds_are_told_at_once(self) -> None:
        starts = ["teis", {"use": "ties", "density": 2}, "ties", "uniform"]
        with pytest.raises(ConfigError) as caught:
            bound({"pipe": [WEIGHTS]}, seeds=starts)
        assert [str(problem) for problem in caught.value.problems] == [
            's.yaml: seeds[0]: "teis" is no preset. Did you mean "ties"?',
            "s.yaml: seeds[1]: density: 2 is above 1. A density lies in (0, 1].",
            "s.yaml: seeds[2]: ties does not lie in the space: it has no stage for {density: 0.2, gate: top}. "
            "Drop it or widen the space.",
        ]


def preset(rule: dict[str, Tree]) -> Recipe:
    models = {name: {"path": model.path, "digest": model.digest} for name, model in MODELS.items()}
    blend = {"origin": "base", "experts": ["math", "ja"], "rules": [rule]}
    return parse(Recipe, {"models": models, "blends": {"mix": blend}}, "preset")
