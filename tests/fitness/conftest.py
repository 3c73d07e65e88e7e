"""A tiny model with a character tokenizer, and a folder of lm-eval tasks that it answers right now and then."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from evomerge.documents import parse
from evomerge.fitness.irt import Bank, fit_bank
from evomerge.fitness.spec import FitnessSpec
from evomerge.testing.responses import Scenario, Simulated, simulate

NUM_DOCS = 48
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789 .:?=+"
CHAT = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '.' }}{% endfor %}"
MEAN = {"aggregation": "mean", "higher_is_better": True}

BASICS: dict[str, dict[str, Any]] = {
    "toy_choice": {
        "output_type": "multiple_choice",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "gold",
        "metric_list": [
            {"metric": "acc", **MEAN},
            {"metric": "acc_norm", **MEAN},
            {"metric": "acc_mutual_info", **MEAN},
            {"metric": "brier_score", "aggregation": "brier_score", "higher_is_better": False},
        ],
    },
    "toy_blank": {  # the choices are the contexts
        "output_type": "multiple_choice",
        "doc_to_text": "gold",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{question}}",
        "metric_list": [{"metric": "acc", **MEAN}],
    },
    "toy_next": {
        "output_type": "loglikelihood",
        "doc_to_target": "{{answer}}",
        "metric_list": [
            {"metric": "acc", **MEAN},
            {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
        ],
    },
    "toy_write": {
        "output_type": "generate_until",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["?"], "do_sample": False, "max_gen_toks": 4},
        "metric_list": [{"metric": "exact_match", **MEAN}],
        "filter_list": [
            {"name": "whole", "filter": [{"function": "take_first"}]},
            {
                "name": "first",
                "filter": [{"function": "regex", "regex_pattern": "^([^:=]+)"}, {"function": "take_first"}],
            },
        ],
    },
}


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", *LETTERS])}
    characters = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    characters.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    characters.decoder = decoders.Fuse()
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=characters, chat_template=CHAT, **special)


def random_model(seed: int) -> LlamaForCausalLM:
    """A random model; the global generator is lent to it for the initialisation."""
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=4 + len(LETTERS), max_position_embeddings=128, initializer_range=0.3, **sizes)
    config.pad_token_id, config.bos_token_id, config.eos_token_id = 0, 1, 2
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session")
def make_model() -> Callable[[int], LlamaForCausalLM]:
    return random_model


@pytest.fixture
def model() -> LlamaForCausalLM:
    return random_model(0)


def greedy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompt: str) -> str:
    tokens = tokenizer(prompt, return_tensors="pt")
    written = model.generate(**tokens, max_new_tokens=4, do_sample=False, pad_token_id=0)
    return str(tokenizer.decode(written[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True))


@pytest.fixture(scope="session")
def docs(tokenizer: PreTrainedTokenizerFast) -> list[dict[str, Any]]:
    """Sums, of which every other has for its answer what the model says."""
    model, rows = random_model(0), []
    for i in range(NUM_DOCS):
        question = f"{i * 7 % 31}+{i}="
        answer = str(i * 7 % 31 + i) if i % 2 else greedy(model, tokenizer, question).split("?")[0] or "?"
        choices = ["1", "23", str(i), str(i * 7 % 31 + i)]
        rows.append({"key": f"sum {i % 40}", "question": question, "answer": answer, "choices": choices, "gold": i % 4})
    return rows


@pytest.fixture(scope="session")
def add_task(docs: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """Write a task file over the sums, or over other rows, into a folder."""

    def add(folder: Path, name: str, rows: list[dict[str, Any]] | None = None, **config: Any) -> None:
        data = folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in (docs if rows is None else rows)), encoding="utf-8")
        given = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {
                "data_files": {"test": str(data)},
                "cache_dir": str(tmp_path_factory.getbasetemp() / "datasets"),
            },
            "test_split": "test",
            "doc_to_text": "{{question}}",
            "target_delimiter": "",
            "metadata": {"version": 1.0},
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(given | config), encoding="utf-8")

    return add


@pytest.fixture(scope="session")
def folder(add_task: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the basic tasks."""
    folder = tmp_path_factory.mktemp("tasks")
    for name, config in BASICS.items():
        add_task(folder, name, **config)
    return folder


@pytest.fixture(scope="session")
def make_spec(folder: Path) -> Callable[..., FitnessSpec]:
    """A fitness document over the basic tasks, or over those of another folder, from its tasks."""

    def make(tasks: dict[str, dict[str, Any]], **given: Any) -> FitnessSpec:
        objectives = {"all": list(tasks)}
        tree = {"evomerge": "fitness/1", "include": [str(folder)], "tasks": tasks, "objectives": objectives}
        return parse(FitnessSpec, tree | given, "fit.yaml")

    return make


@pytest.fixture(scope="session")
def simulated() -> Simulated:
    """Responses of a few small merges."""
    return simulate(Scenario(num_items=160, num_models=24, num_candidates=12), seed=3)


def fitted(simulated: Simulated, **given: Any) -> Bank:
    """A bank of the simulated calibration models."""
    responses = {f"model {index}": row for index, row in enumerate(simulated.models_MN)}
    digests = [f"{index * 7919 % 9973:016x}" for index in range(simulated.models_MN.shape[1])]
    return fit_bank(responses, digests, task="sums", task_version="1.0", metric="acc", **given)


@pytest.fixture(scope="session")
def bank(simulated: Simulated) -> Bank:
    """Of one dimension."""
    return fitted(simulated)


@pytest.fixture(scope="session")
def wide_bank(simulated: Simulated) -> Bank:
    """Of three dimensions."""
    return fitted(simulated, method="mirt", num_dimensions=3)
