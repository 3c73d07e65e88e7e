"""The fitness of a mergekit-evolve file: its tasks, and what is optimised about them."""

from __future__ import annotations

from evomerge.documents import Tree
from evomerge.recipe.mergekit.models import short_names
from evomerge.spaces.evolve.document import EvolveDocument


def fitness_note(document: EvolveDocument, where: str) -> str:
    """Comments that say what differs."""
    lines = [
        f"From {where} of mergekit-evolve. What differs:",
        "- Items are split: search sees some, finalists are chosen on others, what is reported comes from the rest.",
    ]
    if _is_mean(document):
        lines.append("- The mean of the tasks, by their weights, is optimised; mergekit's weighted sum ranks alike.")
    else:
        weights = ", ".join(f"{task.name} {task.weight:g}" for task in document.tasks)
        lines.append(f"- mergekit's weighted sum ({weights}) is a front here, with an objective per task:")
        lines.append("  whatever the weights, the best sum lies on it.")
    if document.limit:
        lines.append("- `limit` takes the first items of a task; here as many are drawn from the search split.")
    if document.num_fewshot and document.fewshot_as_multiturn:
        lines.append("- `fewshot_as_multiturn`: examples are written into one turn here.")
    return "".join(f"# {line}\n" for line in lines)


def fitness_tree(document: EvolveDocument) -> dict[str, Tree]:
    """The fitness as plain data."""
    labels = short_names([f"{index}/{task.name}" for index, task in enumerate(document.tasks)], ())
    tasks, weights = dict[str, Tree](), dict[str, float]()
    for task, label in zip(document.tasks, labels.values(), strict=True):
        metric, _, answers = task.metric.partition(",")
        tasks[label.replace(" ", "-")] = {
            "task": task.name,
            "metric": metric,
            **({"filter": answers} if answers else {}),
            **({"num_fewshot": document.num_fewshot} if document.num_fewshot is not None else {}),
        }
        weights[label.replace(" ", "-")] = task.weight
    searched = [label for label, weight in weights.items() if weight]
    shares = {weights[label] for label in searched}
    mean = {"tasks": searched, "weights": [weights[label] for label in searched]} if len(shares) > 1 else searched
    objectives = {"mean": mean} if _is_mean(document) else {label: [label] for label in searched}
    return {
        "evomerge": "fitness/1",
        "tasks": tasks,
        "objectives": objectives,
        **({"items": {"search": document.limit}} if document.limit else {}),
        "apply_chat_template": document.apply_chat_template,
    }


def _is_mean(document: EvolveDocument) -> bool:
    """Whether all weights are of one side, so that a mean says what the sum does."""
    return all(task.weight >= 0 for task in document.tasks)
