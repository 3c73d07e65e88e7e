"""Statistics against what transformers and autograd give directly."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from evomerge.checkpoints import Checkpoint, digest_of
from evomerge.errors import ConfigError
from evomerge.merging.statistics import Measurement, Stored, data_digest, find
from evomerge.merging.statistics.gradients import grouped
from evomerge.merging.statistics.measure import calibrate
from evomerge.recipe.calibration import STATISTICS, Calibration, StatisticKind
from tests.merging.statistics.conftest import TEXTS

QKV = [f"model.layers.1.self_attn.{name}_proj.weight" for name in "qkv"]
DOWN = "model.layers.0.mlp.down_proj.weight"


def measured(folder: Path, data: Calibration, *kinds: StatisticKind) -> list[Stored]:
    """Statistics, measured now or before."""
    checkpoint = Checkpoint(folder)
    calibrate(checkpoint, data, kinds)
    known = data.model_copy(update={"digest": data_digest(data)})
    found = [find(Measurement(digest_of(checkpoint), known.identity(kind))) for kind in kinds]
    return [stored for stored in found if stored is not None]


def values(stored: Stored, name: str) -> torch.Tensor:
    reading = stored.reading(name)
    assert reading is not None
    return reading.values


def model_and_texts(folder: Path, texts: Sequence[str] = TEXTS) -> tuple[torch.nn.Module, list[torch.Tensor]]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, [tokenizer(text, return_tensors="pt")["input_ids"] for text in texts]


def inputs_of(folder: Path, name: str, texts: Sequence[str]) -> torch.Tensor:
    """All that a linear map reads, one row per token, float64."""
    model, token_lists = model_and_texts(folder, texts)
    rows: list[torch.Tensor] = []
    module = model.get_submodule(name.removesuffix(".weight"))
    module.register_forward_pre_hook(lambda _, given: rows.append(given[0][0]))
    with torch.no_grad():
        for tokens in token_lists:
            model(tokens)
    return torch.cat(rows).double()


def gradients_of(
    model: torch.nn.Module, texts: list[torch.Tensor], names: Sequence[str]
) -> Iterator[list[torch.Tensor]]:
    """Per text, the gradients of the mean loss that transformers computes."""
    parameters = dict(model.named_parameters())
    for tokens in texts:
        loss = model(tokens, labels=tokens).loss
        yield list(torch.autograd.grad(loss, [parameters[name] for name in names]))


@pytest.mark.parametrize("name", [QKV[0], QKV[2], DOWN])
def test_what_linear_maps_read(zoo: Path, data: Calibration, name: str) -> None:
    gram, mean, square = measured(zoo / "math", data, "gram", "act_mean", "act_sq")
    rows_NI = inputs_of(zoo / "math", name, TEXTS)
    torch.testing.assert_close(values(gram, name).double(), rows_NI.T @ rows_NI / len(rows_NI), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(values(mean, name).double(), rows_NI.abs().mean(dim=0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(values(square, name).double(), rows_NI.square().mean(dim=0), rtol=1e-5, atol=1e-5)


def test_maps_that_read_the_same_share_one_matrix(zoo: Path, data: Calibration) -> None:
    (gram,) = measured(zoo / "math", data, "gram")
    assert [gram.record["owners"].get(name) for name in QKV] == [None, QKV[0], QKV[0]]
    assert values(gram, QKV[1]) is values(gram, QKV[0])
    assert len(gram.record["means"]) == 2 * 4  # per layer: attention, its output, gate and up, down
    assert gram.reading("lm_head.weight") is None
    assert gram.reading("model.embed_tokens.weight") is None


def test_gradients_are_those_of_single_texts(zoo: Path, data: Calibration) -> None:
    names = [QKV[1], DOWN, "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    fisher, median, sensitivity = measured(zoo / "math", data, "fisher", "grad_median", "grad_sens")
    model, texts = model_and_texts(zoo / "math")
    each = [torch.stack(gradients) for gradients in zip(*gradients_of(model, texts, names), strict=True)]
    for name, gradients in zip(names, each, strict=True):
        torch.testing.assert_close(values(fisher, name), gradients.square().mean(dim=0), rtol=1e-4, atol=1e-9)
        torch.testing.assert_close(values(median, name), gradients.abs().median(dim=0).values, rtol=1e-4, atol=1e-7)
    assert sensitivity.reading("model.norm.weight") is None


def test_layers_share_a_sensitivity_of_norm_one(zoo: Path, data: Calibration) -> None:
    (sensitivity,) = measured(zoo / "math", data, "grad_sens")
    model, texts = model_and_texts(zoo / "math")
    parameters = dict(model.named_parameters())
    sums = [0.0, 0.0]
    for layer in (0, 1):
        names = [name for name in parameters if f"layers.{layer}." in name]
        for gradients in gradients_of(model, texts, names):
            sums[layer] += sum(
                float((parameters[n] * g).abs().sum().detach()) for n, g in zip(names, gradients, strict=True)
            )
    for layer, name in ((0, DOWN), (1, QKV[0])):
        assert float(values(sensitivity, name)) == pytest.approx(sums[layer] / math.hypot(*sums), rel=1e-4)


def test_the_gradients_at_outputs_are_those_of_summed_losses(zoo: Path, data: Calibration) -> None:
    (outputs,) = measured(zoo / "math", data, "grad_gram")
    model, texts = model_and_texts(zoo / "math")
    rows: list[torch.Tensor] = []

    def listen(module: object, given: object, output: torch.Tensor) -> None:
        output.register_hook(lambda gradient: rows.append(gradient[0].double()))

    model.get_submodule(DOWN.removesuffix(".weight")).register_forward_hook(listen)
    for tokens in texts:
        (model(tokens, labels=tokens).loss * (tokens.shape[1] - 1)).backward()
    rows_NO = torch.cat(rows)
    torch.testing.assert_close(values(outputs, DOWN).double(), rows_NO.T @ rows_NO / len(rows_NO), rtol=1e-4, atol=1e-6)


def test_sampled_labels_depend_on_the_seed_alone(zoo: Path, data: Calibration, cache: Path) -> None:
    def information(**change: object) -> torch.Tensor:
        calibration = data.model_copy(update={"labels": "sampled", **change})
        return values(measured(zoo / "math", calibration, "fisher")[0], DOWN).clone()

    first, other = information(), information(seed=1)
    for folder in cache.iterdir():
        folder.rename(folder.with_name("gone " + folder.name))
    assert torch.equal(information(), first)
    assert not torch.allclose(other, first)
    assert not torch.allclose(values(measured(zoo / "math", data, "fisher")[0], DOWN), first)


def test_weights_stored_as_inputs_by_outputs(tmp_path: Path, zoo: Path, data: Calibration) -> None:
    config = GPT2Config(vocab_size=32, n_positions=16, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=1)
    folder = saved(GPT2LMHeadModel(config), tmp_path / "gpt2", zoo)
    gram, fisher = measured(folder, data, "gram", "fisher")
    checkpoint = Checkpoint(folder)
    name = next(name for name in checkpoint.names if name.endswith("mlp.c_proj.weight"))
    assert checkpoint.shape(name) == (32, 8)
    assert values(gram, name).shape == (32, 32)
    assert values(fisher, name).shape == (32, 8)


def test_experts_that_transformers_fuses_have_their_own_information(
    tmp_path: Path, zoo: Path, data: Calibration
) -> None:
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = MixtralConfig(vocab_size=32, num_key_value_heads=1, num_local_experts=3, **sizes)
    folder = saved(MixtralForCausalLM(config), tmp_path / "mixtral", zoo)
    (fisher,) = measured(folder, data, "fisher")
    model, texts = model_and_texts(folder)
    fused = next(name for name, p in model.named_parameters() if p.dim() == 3 and name.endswith("down_proj"))
    squares = torch.stack([gradient[0].square() for gradient in gradients_of(model, texts, [fused])]).mean(dim=0)
    for expert, expected in enumerate(squares):
        name = next(n for n in Checkpoint(folder).names if f"experts.{expert}.w2" in n)
        torch.testing.assert_close(values(fisher, name), expected, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize(
    "model",
    [
        BertForMaskedLM(BertConfig(vocab_size=32, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)),
        T5ForConditionalGeneration(T5Config(vocab_size=32, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)),
    ],
    ids=["encoder", "encoder and decoder"],
)
def test_other_models_are_refused(tmp_path: Path, zoo: Path, data: Calibration, model: PreTrainedModel) -> None:
    checkpoint = Checkpoint(saved(model, tmp_path / "other", zoo))
    with pytest.raises(ConfigError, match=f"{type(model).__name__} is no causal language model"):
        calibrate(checkpoint, data, ["act_mean"])


def saved(model: PreTrainedModel, folder: Path, zoo: Path) -> Path:
    """A model on disk, with the tokenizer of the zoo."""
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(zoo / "math").save_pretrained(folder)
    return folder


def test_the_first_texts_and_tokens_count(zoo: Path, data: Calibration) -> None:
    short = data.model_copy(update={"samples": 3, "tokens": 4})
    (square,) = measured(zoo / "math", short, "act_sq")
    cut = [" ".join(text.split()[:4]) for text in TEXTS[:3]]
    rows_NI = inputs_of(zoo / "math", DOWN, cut)
    torch.testing.assert_close(values(square, DOWN).double(), rows_NI.square().mean(dim=0), rtol=1e-5, atol=1e-6)


def test_lines_of_json_are_texts_alike(tmp_path: Path, zoo: Path, data: Calibration) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(f'{{"text": "{text}", "source": "x"}}\n' for text in TEXTS))
    lines = data.model_copy(update={"data": str(file)})
    one, other = (measured(zoo / "math", each, "act_mean")[0] for each in (data, lines))
    assert torch.equal(values(one, DOWN), values(other, DOWN))


def test_bad_data_is_named(tmp_path: Path, zoo: Path) -> None:
    checkpoint, file = Checkpoint(zoo / "math"), tmp_path / "texts.jsonl"

    def complaint() -> str:
        with pytest.raises(ConfigError) as error:
            calibrate(checkpoint, Calibration(data=str(file)), ["act_mean"])
        return str(error.value)

    assert "cannot be read: No such file" in complaint()
    file.write_text('{"text": "w3 w4"}\n{"txt": "w3"}\n')
    assert complaint() == f'{file}: line 2: is no text. Write a line such as {{"text": "…"}}.'
    file.write_text('{"text": "w3"}\n\n')
    assert complaint() == f"{file}: holds no text of two tokens or more."
    wrong = Calibration(data=str(file), digest="sha256:other")
    with pytest.raises(ConfigError, match="It is other data"):
        calibrate(checkpoint, wrong, ["act_mean"])


def test_progress_counts_texts(zoo: Path, data: Calibration) -> None:
    seen: list[tuple[str, int, int]] = []
    calibrate(Checkpoint(zoo / "math"), data, list(STATISTICS), lambda *said: seen.append(said))
    assert seen == [(what, done, 5) for what in ("inputs", "gradients", "medians") for done in range(1, 6)]


def test_tensors_are_grouped_by_size() -> None:
    assert grouped({"a": 3, "b": 4, "c": 9, "d": 1, "e": 2}, 7) == [["a", "b"], ["c"], ["d", "e"]]
    assert grouped({"a": 9, "b": 1}, 7) == [["a"], ["b"]]
