"""Gauges: what computes the same with other numbers is told from what computes something else."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from evomerge.checkpoints import Checkpoint
from evomerge.checkpoints.diagnosis.gauges import Block, blocks, regauged
from evomerge.checkpoints.diagnosis.heads import undo_value_gauge
from evomerge.checkpoints.diagnosis.survey import survey
from evomerge.checkpoints.diagnosis.units import undo_unit_order

Save = Callable[..., dict[str, Checkpoint]]
VALUE, OUTPUT = "model.layers.1.self_attn.v_proj.weight", "model.layers.1.self_attn.o_proj.weight"
MLP = [f"model.layers.1.mlp.{end}_proj.weight" for end in ("gate", "up", "down")]


def products(model: dict[str, torch.Tensor]) -> torch.Tensor:
    """O_h V_h of each of the 4 query heads, two of which share a value head of size 8: what attention computes."""
    value, output = model[VALUE].view(2, 8, -1), model[OUTPUT].view(-1, 4, 8)
    return torch.stack([output[:, query] @ value[query // 2] for query in range(4)])


def mlp(model: dict[str, torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
    gate, up, down = (model[name] for name in MLP)
    return (torch.nn.functional.silu(inputs @ gate.T) * (inputs @ up.T)) @ down.T


def test_the_scrambles_leave_the_function_alone(toy: Any) -> None:
    base, inputs = toy.model(0), torch.randn(5, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(products(toy.scrambled(base, 1)), products(base), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mlp(toy.shuffled(base, 1), inputs), mlp(base, inputs), rtol=1e-4, atol=1e-2)


def test_undoing_gives_the_base_back(toy: Any) -> None:
    base = toy.model(0)
    wild, mixed = toy.scrambled(base, 1), toy.shuffled(base, 1)
    value, output = undo_value_gauge((base[VALUE], base[OUTPUT]), (wild[VALUE], wild[OUTPUT]), num_heads=2)
    torch.testing.assert_close(value.float(), base[VALUE], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(output.float(), base[OUTPUT], rtol=1e-3, atol=1e-4)
    ours, theirs = ([model[MLP[0]], model[MLP[1]], model[MLP[2]].T] for model in (base, mixed))
    assert all(map(torch.equal, undo_unit_order(ours, theirs), ours))


def test_heads_in_another_order_are_brought_back_too(toy: Any) -> None:
    base = toy.model(0)
    value = base[VALUE].view(2, 8, 32).flip(0).reshape(16, 32)
    output = base[OUTPUT].view(32, 2, 16).flip(1).reshape(32, 32)
    undone = undo_value_gauge((base[VALUE], base[OUTPUT]), (value, output), num_heads=2)
    torch.testing.assert_close(undone[0].float(), base[VALUE])
    torch.testing.assert_close(undone[1].float(), base[OUTPUT])


def test_gauges_are_found_through_fine_tuning(save: Save, toy: Any) -> None:
    base = toy.model(0)
    wild = toy.scrambled(toy.scrambled(toy.tuned(base, 1), 0), 2)
    mixed = toy.shuffled(toy.tuned(base, 2), 1)
    models = save(base=base, wild=wild, mixed=mixed, clean=toy.tuned(base, 3), random=toy.model(4))
    found = {(gauge.expert, gauge.layer, gauge.symmetry): gauge for gauge in regauged(survey(models), models)}
    assert set(found) == {("wild", 0, "value basis"), ("wild", 2, "value basis"), ("mixed", 1, "unit order")}
    shuffle = found["mixed", 1, "unit order"]
    assert shuffle.before > 1
    assert shuffle.after == pytest.approx(0.05, rel=0.1), "what fine-tuning changed is left"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["h.0.attn.c_attn.weight", "h.0.attn.c_proj.weight", "h.0.mlp.c_fc.weight", "h.0.mlp.c_proj.weight"],
            [Block("unit order", ("h.0.mlp.c_fc.weight", "h.0.mlp.c_proj.weight"))],
        ),
        (
            [*(f"l.0.experts.3.w{n}.weight" for n in "123"), "l.0.experts.4.w1.weight"],
            [Block("unit order", tuple(f"l.0.experts.3.{end}.weight" for end in ("w1", "w3", "w2")))],
        ),
        (
            [f"layer.0.{end}.weight" for end in ("attention.self.value", "attention.output.dense")],
            [Block("value basis", ("layer.0.attention.self.value.weight", "layer.0.attention.output.dense.weight"))],
        ),
        (
            [f"layer.0.{end}.weight" for end in ("attention.output.dense", "intermediate.dense", "output.dense")],
            [Block("unit order", ("layer.0.intermediate.dense.weight", "layer.0.output.dense.weight"))],
        ),
        (
            [f"mlp.{end}_proj.weight" for end in ("down", "gate", "up")],
            [Block("unit order", tuple(f"mlp.{end}_proj.weight" for end in ("gate", "up", "down")))],
        ),
        (["mlp.up_proj.weight", "mlp.norm.weight"], []),
    ],
)  # fmt: skip
def test_blocks_are_known_by_their_names(names: list[str], expected: list[Block]) -> None:
    assert list(blocks(names)) == expected


@pytest.mark.parametrize("form", ["fused", "transposed"])
def test_units_are_found_in_other_layouts(save: Save, form: str) -> None:
    generator = torch.Generator().manual_seed(0)
    inward, outward = torch.randn(2, 48, 32, generator=generator), torch.randn(32, 48, generator=generator)
    order = torch.randperm(48, generator=generator)

    def layout(inward: torch.Tensor, outward: torch.Tensor) -> dict[str, torch.Tensor]:
        if form == "fused":
            return {"mlp.gate_up_proj.weight": inward.reshape(96, 32), "mlp.down_proj.weight": outward}
        return {"mlp.c_fc.weight": inward[0].T, "mlp.c_proj.weight": outward.T}

    models = save(base=layout(inward, outward), mixed=layout(inward[:, order], outward[:, order]))
    (gauge,) = regauged(survey(models), models)
    assert (gauge.symmetry, gauge.layer, gauge.after) == ("unit order", None, 0)
