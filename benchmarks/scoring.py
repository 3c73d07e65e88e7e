"""Scores one model on the same items by our harness and by lm-eval, for every kind of task.

Four ways, one after the other in every round, in the other order in the next round:

  command    the `lm_eval` command in a process of its own
  simple     `lm_eval.simple_evaluate` in this process, with the model and a task manager kept
  evaluate   `lm_eval.evaluator.evaluate` in this process, with the task objects kept too
  ours       `Harness.score` of a worker that has scored before, which is what each candidate of a search costs

Times are CPU seconds, medians over the rounds; the command runs in the first only. Every round checks that ours are the
scores of the others, item by item; of tasks of writing, their texts.

    OMP_NUM_THREADS=1 python benchmarks/scoring.py
"""

from __future__ import annotations

import argparse
import cProfile
import json
import logging
import os
import pstats
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import measure
import models
import numpy as np
import yaml
from lm_eval import evaluator
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers import models as tokenizer_models
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from evomerge.documents import parse
from evomerge.fitness import FitnessSpec, Harness, load_tasks

WORDS = [f"w{number}" for number in range(3900)]
FIRST = {"fewshot_config": {"sampler": "first_n"}}
CHOICE = {
    "output_type": "multiple_choice",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "gold",
    "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
}
WRITE = {
    "output_type": "generate_until",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["w9", "w38"], "max_gen_toks": 32, "do_sample": False},
    "metric_list": [{"metric": "exact_match"}],
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {  # metric, and the task's file beside its data
    "four choices, 5 shots, the same": ("acc_norm", CHOICE | FIRST | {"num_fewshot": 5}),
    "four choices, 5 shots, own": ("acc_norm", CHOICE | {"num_fewshot": 5}),
    "four choices, no shots": ("acc_norm", CHOICE),
    "loglikelihood, 5 shots, the same": (
        "perplexity",
        {"output_type": "loglikelihood", "doc_to_target": "{{answer}}", "metric_list": [{"metric": "perplexity"}]}
        | FIRST
        | {"num_fewshot": 5},
    ),
    "loglikelihood_rolling": (
        "bits_per_byte",
        {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}"}
        | {"metric_list": [{"metric": "bits_per_byte"}]},
    ),
    "generate_until, no shots": ("exact_match", WRITE),
    "generate_until, 5 shots, the same": ("exact_match", WRITE | FIRST | {"num_fewshot": 5}),
}


def documents(number: int, rng: random.Random) -> list[dict[str, Any]]:
    """Questions of about sixty words, with four choices of a few words, and a running text."""

    def words(least: int, most: int) -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(least, most)))

    return [
        {
            "question": words(40, 80),
            "choices": [words(3, 8) for _ in range(4)],
            "gold": rng.randrange(4),
            "answer": words(3, 8),
            "text": words(50, 300),
        }
        for _ in range(number)
    ]


def write_tasks(folder: Path, num_items: int) -> dict[str, str]:
    """Task files over one set of documents; the names of the tasks by their kind."""
    rng = random.Random(0)
    for name, number in (("test", num_items), ("shots", 20)):
        rows = documents(number, rng)
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    names = {kind: f"task_{index}" for index, kind in enumerate(KINDS)}
    for kind, (_, config) in KINDS.items():
        data = {"test": str(folder / "test.jsonl"), "train": str(folder / "shots.jsonl")}
        given = {
            "task": names[kind],
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": data, "cache_dir": str(folder / "cache")},
            "test_split": "test",
            "fewshot_split": "train",
            "doc_to_text": "{{question}} is",
        }
        (folder / f"{names[kind]}.yaml").write_text(yaml.safe_dump(given | config), encoding="utf-8")
    return names


def write_tokenizer(home: Path) -> None:
    """A word is a token."""
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "is", *WORDS])}
    tokenizer = Tokenizer(tokenizer_models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(home)


class Ways:
    """The four ways to score one task on some of its items."""

    def __init__(self, home: Path, folder: Path, task: str, metric: str, num_items: int, batch_size: int) -> None:
        self.items = list(range(num_items))
        self._home, self._folder, self._task, self._metric, self._batch_size = home, folder, task, metric, batch_size
        tree = {
            "evomerge": "fitness/1",
            "include": [str(folder)],
            "tasks": {"t": {"task": task, "metric": metric}},
            "objectives": {"all": ["t"]},
            "batch_size": batch_size,
        }
        spec = parse(FitnessSpec, tree, "benchmark")
        model = AutoModelForCausalLM.from_pretrained(home).eval()
        tokenizer = PreTrainedTokenizerFast.from_pretrained(home)
        self.harness = Harness(load_tasks(spec, "benchmark"), spec, model, tokenizer)
        self._is_written = metric == "exact_match"
        self.scale = self.harness._tasks["t"].scale
        self._lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
        self._manager = TaskManager(include_path=str(folder), include_defaults=False)
        self._loaded = self._manager.load([task])
        (loaded,) = self._loaded["tasks"].values()
        loaded.set_config(key="num_fewshot", value=loaded.config.num_fewshot or 0)

    def ours(self) -> list[Any]:
        scores: list[float] = self.harness.score({"t": self.items})["t"].tolist()
        asked = (self.harness._asked["t"][item][0].instance for item in self.items)
        return [one.resps[0] for one in asked] if self._is_written else scores

    def evaluate(self) -> list[Any]:
        (task,) = self._loaded["tasks"].values()
        task.set_fewshot_seed(seed=1234)
        return self._logged(evaluator.evaluate(self._lm, self._loaded, samples=self._samples, bootstrap_iters=0))

    def simple(self) -> list[Any]:
        given = {"task_manager": self._manager, "samples": self._samples, "bootstrap_iters": 0}
        return self._logged(evaluator.simple_evaluate(self._lm, tasks=[self._task], **given))

    def command(self) -> list[Any]:
        with tempfile.TemporaryDirectory() as out:
            command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--tasks", self._task]
            command += ["--model_args", f"pretrained={self._home}", "--include_path", str(self._folder)]
            command += [
                "--batch_size",
                str(self._batch_size),
                "--samples",
                json.dumps(self._samples),
                "--device",
                "cpu",
            ]
            measure.run([*command, "--log_samples", "--output_path", out], Path(out) / "log")
            (file,) = Path(out).rglob("samples_*.jsonl")
            rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return self._values(sorted(rows, key=lambda row: row["doc_id"]))

    @property
    def _samples(self) -> dict[str, list[int]]:
        return {self._task: self.items}

    def _logged(self, results: Any) -> list[Any]:
        return self._values(results["samples"][self._task])

    def _values(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        """Of a task of writing, the texts: a random model's are all wrong."""
        if self._is_written:
            return [row["resps"][0][0] for row in rows]
        values = [row[self._metric] for row in rows]
        return [self.scale * (value[0] / value[1] if isinstance(value, (list, tuple)) else value) for value in values]


def cpu_s(ways: Ways, way: str) -> tuple[float, list[Any]]:
    """CPU seconds of one way, those of the processes that it starts included, and its scores or texts."""
    start = sum(os.times()[:4])
    scores: list[Any] = getattr(ways, way)()
    return sum(os.times()[:4]) - start, scores


def compare(ways: Ways, num_rounds: int, names: Sequence[str]) -> tuple[dict[str, float], float]:
    """Median CPU seconds by way, and the largest relative difference of scores; the command runs in one round only."""
    ways.ours()
    times: dict[str, list[float]] = {name: [] for name in names}
    furthest = 0.0
    for number in range(num_rounds):
        found = {}
        for name in (name for name in (names if number % 2 else reversed(names)) if number == 0 or name != "command"):
            seconds, found[name] = cpu_s(ways, name)
            times[name].append(seconds)
        ours = found.pop("ours")
        furthest = max(furthest, *(difference(ours, other) for other in found.values()))
    assert furthest < 1e-5, f"scores differ by {furthest}"
    return {name: statistics.median(seconds) for name, seconds in times.items()}, furthest


def difference(ours: list[Any], theirs: list[Any]) -> float:
    """The largest relative difference of scores; of texts, the share that differs."""
    if isinstance(ours[0], str):
        return float(np.mean([one != other for one, other in zip(ours, theirs, strict=True)]))
    return float(np.max(np.abs(np.subtract(ours, theirs)) / np.maximum(np.abs(theirs), 1e-9)))


def profile(run: Callable[[], object], top: int = 9) -> str:
    """Where the time of one call goes: functions by their own time."""
    profiler = cProfile.Profile()
    profiler.runcall(run)
    stats: Any = pstats.Stats(profiler)
    total = stats.total_tt
    rows = sorted(((own, calls, where) for where, (_, calls, own, _, _) in stats.stats.items()), reverse=True)[:top]
    lines = [[f"`{Path(file).name}:{name}`", calls, 100 * own / total] for own, calls, (file, _, name) in rows]
    return measure.table(["function", "calls", "% of the time"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/evomerge-benchmarks"))
    parser.add_argument("--size", default="4m", choices=models.SHAPES)
    parser.add_argument("--precision", default="fp32", choices=models.DTYPES)
    parser.add_argument("--items", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), metavar="KIND", help="beginnings of their names")
    parser.add_argument("--no-command", action="store_true", help="leave out the slow processes of the command")
    given = parser.parse_args()
    for name in ("lm_eval", "datasets", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    disable_progress_bar()
    names = ["ours", "evaluate", "simple"] + ([] if given.no_command else ["command"])
    home = models.make(given.folder, given.size, given.precision, num_experts=0)[0]
    write_tokenizer(home)
    print(measure.heading("Scoring", ("torch", "transformers", "lm_eval")))
    head = ["task", "items", *(f"{name}, s" for name in names), *(f"{name} / ours" for name in names[1:])]
    rows, profiles = [], ""
    with tempfile.TemporaryDirectory() as folder:
        tasks = write_tasks(Path(folder), max(given.items))
        for kind, (metric, _) in KINDS.items():
            if not kind.startswith(tuple(given.kinds)):
                continue
            for num_items in given.items:
                ways = Ways(home, Path(folder), tasks[kind], metric, num_items, given.batch_size)
                times, furthest = compare(ways, given.rounds, names)
                rows.append(
                    [kind, num_items, *times.values(), *(times[name] / times["ours"] for name in names[1:]), furthest]
                )
                print(rows[-1], file=sys.stderr)
            profiles += f"\n## {kind}, {num_items} items\n\n{profile(ways.ours)}"
    print(measure.table([*head, "largest relative difference"], rows))
    print(profiles)


if __name__ == "__main__":
    main()
