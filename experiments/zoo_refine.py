"""Texts and a recipe to refine: `python experiments/zoo_refine.py ZOO FOLDER`, findings in zoo_refine.md.

The texts are the first 48 search items of each expert's task, once as prompts and once with their answers; no item of
the test split is among them. The recipe is the plain average of two experts, with a weight of its own for each layer.
"""

import json
import sys
from pathlib import Path

from evomerge.cli.scoring import read_fitness
from evomerge.documents import parse
from evomerge.fitness import Fitness
from evomerge.recipe import Recipe
from evomerge.recipe.files import dump_recipe

TASKS = {"math": "math_en", "ja": "form_ja"}
NUM_TEXTS, NUM_LAYERS = 48, 6


def write_texts(zoo: Path, folder: Path) -> None:
    """`NAME_prompts.jsonl` and `NAME_whole.jsonl` for each expert."""
    where, spec = read_fitness("zoo_mean", str(zoo))
    search = Fitness.open(spec, where).items("search")
    for name, label in TASKS.items():
        lines = (zoo / "tasks" / "data" / f"{spec.tasks[label].task}.jsonl").read_text().splitlines()
        items = [json.loads(lines[place]) for place in search[label][:NUM_TEXTS]]
        prompts = [{"text": item["prompt"]} for item in items]
        whole = [{"prompt": item["prompt"], "answer": item["answer"]} for item in items]
        for kind, texts in (("prompts", prompts), ("whole", whole)):
            (folder / f"{name}_{kind}.jsonl").write_text("\n".join(map(json.dumps, texts)))


def average(zoo: Path) -> Recipe:
    """The plain average, layer by layer."""
    pipe = [{"weigh": [0.5, 0.5]}, {"reduce": "sum"}]
    rules = [{"where": {"layers": [layer, layer]}, "pipe": pipe} for layer in range(NUM_LAYERS)]
    mix = {"origin": "base", "experts": list(TASKS), "rules": [*rules, {"pipe": pipe}]}
    models = {name: str(zoo / name) for name in ("base", *TASKS)}
    return parse(Recipe, {"evomerge": "recipe/1", "models": models, "blends": {"mix": mix}}, "average")


if __name__ == "__main__":
    zoo, folder = Path(sys.argv[1]), Path(sys.argv[2])
    write_texts(zoo, folder)
    (folder / "average.yaml").write_text(dump_recipe(average(zoo)))
