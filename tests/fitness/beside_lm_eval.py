"""The harness beside lm-eval's own evaluation of the same task, for comparison."""

from collections.abc import Callable
from typing import Any

from lm_eval import evaluator
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from evomerge.fitness import FitnessSpec
from evomerge.fitness.harness import Harness
from evomerge.fitness.loading import load_tasks

MakeSpec = Callable[..., FitnessSpec]
AddTask = Callable[..., None]
Tokenizer = PreTrainedTokenizerFast

TASKS: dict[str, dict[str, Any]] = {
    "choice": {"task": "toy_choice", "metric": "acc"},
    "norm": {"task": "toy_choice", "metric": "acc_norm"},
    "mutual": {"task": "toy_choice", "metric": "acc_mutual_info"},
    "blank": {"task": "toy_blank", "metric": "acc"},
    "next": {"task": "toy_next", "metric": "acc"},
    "nats": {"task": "toy_next", "metric": "perplexity"},
    "write": {"task": "toy_write", "metric": "exact_match", "filter": "whole"},
    "begin": {"task": "toy_write", "metric": "exact_match", "filter": "first"},
}
ITEMS = [1, 2, 3, 8, 13, 20, 21, 34, 40, 41, 47]


def harness(spec: FitnessSpec, model: LlamaForCausalLM, tokenizer: Tokenizer) -> Harness:
    return Harness(load_tasks(spec, "fit.yaml"), spec, model, tokenizer)


def by_lm_eval(
    spec: FitnessSpec, label: str, model: LlamaForCausalLM, tokenizer: Tokenizer, items: list[int] | None, **given: Any
) -> dict[str, Any]:
    """What lm-eval's own evaluation of one task gives, on some items or on all."""
    entry = spec.tasks[label]
    lm = HFLM(
        pretrained=model,
        tokenizer=tokenizer,
        batch_size=spec.batch_size,
        max_length=spec.max_length,
        enable_thinking=spec.enable_thinking,
        think_end_token=spec.think_end_token,
    )
    loaded = TaskManager(include_path=list(spec.include), include_defaults=False).load([entry.task])
    loaded["tasks"][entry.task].set_config(key="num_fewshot", value=entry.num_fewshot or 0)
    loaded["tasks"][entry.task].set_fewshot_seed(seed=1234)
    if entry.generation:
        loaded["tasks"][entry.task].set_config(key="generation_kwargs", value=dict(entry.generation), update=True)
    samples = {entry.task: items} if items else None
    results: dict[str, Any] = evaluator.evaluate(lm, loaded, samples=samples, bootstrap_iters=0, **given)
    return results


def logged(results: dict[str, Any], spec: FitnessSpec, label: str) -> list[float]:
    entry = spec.tasks[label]
    rows = results["samples"][entry.task]
    return [row[entry.metric] for row in rows if row["filter"] == (entry.filter or "none")]
