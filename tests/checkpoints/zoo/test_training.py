"""The training loop's batches, weights and learning."""

import random
from dataclasses import replace

import torch

from evomerge.checkpoints.zoo import MICRO, Course, Progress
from evomerge.checkpoints.zoo.training import _batches, new_model, train


def new(seed: int) -> torch.nn.Module:
    return new_model(MICRO, torch.Generator().manual_seed(seed))


def test_weights_depend_on_the_generator_alone() -> None:
    torch.rand(3)
    first, again, other = (torch.nn.utils.parameters_to_vector(new(seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_weights_have_the_stated_scale() -> None:
    for name, parameter in new(0).named_parameters():
        expected = 0.02 if parameter.dim() == 2 else 0.0
        assert abs(parameter.std().item() - expected) < 0.002, name


def test_the_loss_weighs_answers_and_prompts_but_neither_padding_nor_bos() -> None:
    course = Course({"copy": 1.0, "math_en": 1.0}, num_steps=1, learning_rate=1.0, prompt_weight=0.25)
    batches = _batches(course, 8, random.Random(0))
    lengths = set()
    for _ in range(40):
        tokens_BT, weights_BT = next(batches)
        padding_BT = tokens_BT == 0
        assert torch.all(weights_BT[padding_BT] == 0)
        assert torch.all(weights_BT[:, 0] == 0)
        assert torch.all(tokens_BT[:, 0] == 1)
        assert set(weights_BT[:, 1:][~padding_BT[:, 1:]].tolist()) == {0.25, 1.0}
        lengths.add(tokens_BT.shape[1])
    assert len(lengths) > 3


def test_the_order_of_a_mixture_does_not_matter() -> None:
    mixture = {"rev": 1.0, "copy": 0.5, "calc_dg": 2.0}
    course = Course(mixture, num_steps=1, learning_rate=1.0)
    turned = replace(course, mixture=dict(reversed(mixture.items())))
    for (first, _), (second, _), _ in zip(
        _batches(course, 8, random.Random(3)), _batches(turned, 8, random.Random(3)), range(5), strict=False
    ):
        assert torch.equal(first, second)


def test_training_learns_and_reports_its_way() -> None:
    reports: list[Progress] = []
    train("pupil", new(0), Course({"calc_dg": 1.0}, 35, learning_rate=1e-2), 16, 0, reports.append)
    assert [(report.model, report.step, report.num_steps) for report in reports] == [
        ("pupil", step, 35) for step in (10, 20, 30, 35)
    ]
    assert reports[-1].loss < 3.5 < reports[0].loss
    assert 0 < reports[0].seconds < reports[-1].seconds


def test_an_embedding_factor_of_zero_freezes_the_embeddings() -> None:
    model = new(0)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    train("x", model, Course({"copy": 1.0}, 3, learning_rate=1e-3, embedding_factor=0.0), 4, 0, lambda progress: None)
    unchanged = {name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])}
    assert unchanged == {"model.embed_tokens.weight"}
