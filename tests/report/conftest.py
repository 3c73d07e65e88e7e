"""A plausible run that was never computed: real events in a real log, scores drawn from a made-up law of merging."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.documents import tree_of
from evomerge.fitness import Fitness, FitnessSpec, ItemSplits, Objectives
from evomerge.recipe import Recipe
from evomerge.recipe.references import references
from evomerge.report.html import write_report
from evomerge.runs import Asked, Assessed, Evaluated, Event, Failed, Finished, RunLog, Started, Told
from evomerge.runs.results import Results, layers
from evomerge.settings import Settings

EXPERTS = ("math", "ja", "code")
TASKS = ("math_en", "form_ja", "write_code", "math_ja")
NEEDS = {
    "math_en": {"math": 1.0},
    "form_ja": {"ja": 1.0},
    "write_code": {"code": 1.0},
    "math_ja": {"math": 0.7, "ja": 0.7},
}
OBJECTIVES = {
    1: {"mean": ["math_en", "form_ja", "math_ja"]},
    2: {"maths": ["math_en"], "japanese": ["form_ja"]},
    3: {"maths": ["math_en"], "japanese": ["form_ja"], "code": ["write_code"]},
}
GROUPS = (("attention", (0, 1)), ("mlp", (0, 1)), ("attention", (2, 3)), ("mlp", (2, 3)))


@dataclass
class Story:
    """What happens in a run; the defaults make a small finished one."""

    objectives: int | dict[str, list[str]] = 2
    candidates: int = 14
    budget: int = 14
    finalists: int = 4
    failures: tuple[int, ...] = ()
    failure: str = "task math_en: the scores (acc) are not finite."
    twins: tuple[int, ...] = ()
    in_flight: int = 0
    only_favourite: bool = False
    splits: tuple[str, ...] = ("search", "selection", "test")
    lower_is_better: tuple[str, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    metric: str = "acc"
    task_prefix: str = "zoo_"
    num_items: int = 60
    finished: bool = True
    assessed: bool = True
    skill: float = 1.0
    include: tuple[str, ...] = ("/zoo/tasks",)
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def named(self, name: str) -> str:
        return self.names.get(name, name)


@dataclass
class Run:
    """A run's folder and what a report needs beside it."""

    folder: Path
    log: RunLog
    fitness: Fitness
    settings: Settings

    @property
    def identity(self) -> dict[str, Any]:
        return {"models": {name: f"sha256:{name[:1] * 64}" for name in self.settings.search_space["models"]}}

    @cached_property
    def results(self) -> Results:
        return Results(self.log, self.fitness)

    def report(self) -> Path:
        return write_report(self.folder, self.results, self.settings, self.identity)


class Page(HTMLParser):
    """A page as a browser would take it apart."""

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.open: list[tuple[str, str | None]] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: dict[str, list[str]] = defaultdict(list)
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append((tag, dict(attrs).get("id")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self.open.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        for tag, identifier in self.open:
            self.texts[f"#{identifier}"].append(data)
            self.texts[tag].append(data)

    def text(self, place: str) -> str:
        """All text inside the elements of a tag, or inside the one with a `#id`, with single spaces."""
        return " ".join(" ".join(self.texts[place]).split())


@pytest.fixture
def make_run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Makes runs; keywords are a story's."""
    runs: list[Run] = []

    def make(**story: Any) -> Run:
        runs.append(tell(Story(**story), tmp_path / f"run {len(runs)}"))
        return runs[-1]

    yield make
    for run in runs:
        run.log.close()


STORIES: dict[str, dict[str, Any]] = {
    "two": {"candidates": 30, "budget": 30, "failures": (3, 11), "twins": (5,)},
    "one": {"objectives": 1, "candidates": 20, "budget": 20, "finalists": 3},
    "three": {"objectives": 3, "candidates": 20, "budget": 20, "finalists": 3, "include": ("/a", "/b")},
}


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], tuple[Run, Page]]]:
    """Runs with one, two and three objectives and their pages, each made once."""
    made: dict[str, tuple[Run, Page]] = {}

    def tell_once(name: str) -> tuple[Run, Page]:
        if name not in made:
            run = tell(Story(**STORIES[name]), tmp_path_factory.mktemp("runs") / name)
            made[name] = (run, Page(run.report().read_text("utf-8")))
        return made[name]

    yield tell_once
    for run, _ in made.values():
        run.log.close()


@pytest.fixture
def read_page() -> type[Page]:
    """Reads a page back."""
    return Page


def tell(story: Story, folder: Path) -> Run:
    """Write the log of a story."""
    teller = _Teller(story, folder)
    teller.search()
    if story.assessed:
        teller.assess()
    if story.finished:
        teller.events.append(Finished("the budget is spent"))
    teller.log.append(*teller.events)
    return Run(folder, teller.log, teller.fitness, teller.settings)


class _Teller:
    def __init__(self, story: Story, folder: Path) -> None:
        self.story = story
        self.rng = np.random.default_rng(story.seed)
        self.fitness = _fitness(story)
        self.settings = _settings(story, self.fitness)
        self.difficulty = {task: self.rng.normal(0, 1.2, 3 * story.num_items) for task in TASKS}
        self.log = RunLog.create(folder)
        self.events: list[Event] = [Started({"seed": story.seed})]
        self.weights: list[np.ndarray] = []
        self.losses: list[tuple[float, ...]] = []

    def search(self) -> None:
        for number in range(self.story.candidates):
            weights = self._propose(number)
            self.weights.append(weights)
            genome = tuple(float(weight) for weight in weights.ravel())
            twin = 0 if number in self.story.twins else None
            recipe = self.recipe(self.weights[0] if twin == 0 else weights)
            self.events.append(Asked(number, genome, recipe.digest))
            if number in self.story.failures:
                worst = tuple(map(max, zip(*self.losses, strict=True))) or (1.0,) * self.fitness.num_objectives
                self.losses.append(worst)
                self.events += [Failed(number, self.story.failure), Told(number, worst)]
                continue
            items = self.fitness.search_items
            responses = self.responses(recipe, items)
            worth = self.fitness.worth(self.fitness.estimates(responses), {})
            self.losses.append(worth.losses)
            told = Told(number, worth.losses, violations=worth.violations)
            self.events += [Evaluated(number, items, responses, 0.4, 1.1, 1, twin), told]
        for number in range(self.story.candidates, self.story.candidates + self.story.in_flight):
            self.events.append(Asked(number, (0.5,), "0" * 64))

    def assess(self) -> None:
        order = [number for number in layers(self.losses) if number not in self.story.failures]
        entries = {f"candidate {number}": ("finalist", self.recipe(self.weights[number])) for number in order}
        entries = dict(list(entries.items())[: self.story.finalists])
        if entries:
            middle = np.mean([self.weights[number] for number in order[:6]], axis=0).round(4)
            entries["favourite"] = ("finalist", self.recipe(middle))
        if self.story.only_favourite:
            entries = {"favourite": entries["favourite"]}
        some = references(self.recipe(self.weights[0]))
        entries |= {name: ("reference", recipe) for name, recipe in some.items()}
        for name, (kind, recipe) in entries.items():
            for split in self.story.splits:
                items = self.fitness.items(split)
                responses = self.responses(recipe, items)
                self.events.append(Assessed(name, kind, split, recipe.digest, tree_of(recipe), items, responses))

    def responses(self, recipe: Recipe, items: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """Right or wrong on every item: skill grows with the experts that a task needs, and falls with interference."""
        given = self._levels(recipe)
        excess = max(0.0, sum(level**2 for level in given.values()) - 0.75)
        scores = {}
        for task, positions in items.items():
            skill = -3.0 - 3.0 * excess
            for expert, need in NEEDS[task.removeprefix(">")].items() if task in NEEDS else ():
                level = min(given.get(expert, 0.0), 1.15)
                skill += self.story.skill * 4.2 * need * (1 - (1 - level) ** 2) * 0.98
            hardness = self.difficulty[task][list(positions)]
            draws = np.random.default_rng(int(recipe.digest[:8], 16)).logistic(0, 0.5, 3 * self.story.num_items)
            right = skill > hardness + draws[list(positions)]
            low = task in self.story.lower_is_better
            scores[task] = (2.5 - 1.8 * right if low else right).astype(np.float32)
        return scores

    def recipe(self, weights: np.ndarray) -> Recipe:
        names = [self.story.named(name) for name in EXPERTS]
        rules: list[dict[str, Any]] = [
            {"where": {"layers": list(layer), "roles": [role]}, "pipe": _pipe(row)}
            for (role, layer), row in zip(GROUPS, weights, strict=False)
        ]
        rules.append({"pipe": _pipe(weights[-1])})
        return Recipe.model_validate(
            {
                "models": {name: {"path": f"zoo/{name}"} for name in [self.story.named("base"), *names]},
                "blends": {"mix": {"origin": self.story.named("base"), "experts": names, "rules": rules}},
            }
        )

    def _levels(self, recipe: Recipe) -> dict[str, float]:
        """How loudly each expert speaks on average."""
        blend = recipe.blends[recipe.result]
        back = {self.story.named(name): name for name in EXPERTS}
        levels = dict.fromkeys(EXPERTS, 0.0)
        for rule in blend.all_rules:
            weigh = next(stage.weigh for stage in rule.pipe if hasattr(stage, "weigh"))
            total = sum(weigh) if blend.origin is None else 1.0
            for expert, weight in zip(blend.experts, weigh, strict=True):
                if expert in back:
                    levels[back[expert]] += weight / total / len(blend.all_rules)
        return levels

    def _propose(self, number: int) -> np.ndarray:
        """Like a small evolution: children of two good parents, or a fresh start."""
        if number < max(8, self.story.candidates // 8):
            return self.rng.uniform(0, 1.3, (len(GROUPS) + 1, len(EXPERTS))).round(4)
        good = list(layers(self.losses))[: max(4, number // 6)]
        one, other = self.rng.choice(good, 2)
        share = self.rng.uniform(-0.2, 1.2, self.weights[0].shape)
        child = share * self.weights[one] + (1 - share) * self.weights[other]
        return np.clip(child + self.rng.normal(0, 0.08, child.shape), 0, 1.5).round(4)


def _pipe(weights: np.ndarray) -> list[dict[str, Any]]:
    return [
        {"gate": "top", "density": round(float(0.2 + 0.5 * weights.mean()), 3)},
        {"vote": "sign"},
        {"weigh": [float(weight) for weight in weights]},
        {"reduce": "sum"},
    ]


def _fitness(story: Story) -> Fitness:
    objectives = OBJECTIVES[story.objectives] if isinstance(story.objectives, int) else story.objectives
    labels = [task for task in TASKS if story.objectives == 3 or task != "write_code"]
    spec = FitnessSpec.model_validate(
        {
            "evomerge": "fitness/1",
            "include": story.include,
            "tasks": {label: {"task": f"{story.task_prefix}{label}", "metric": story.metric} for label in labels},
            "objectives": objectives,
            **story.options,
        }
    )
    ends = (0, story.num_items, 2 * story.num_items, 3 * story.num_items)
    parts = [{label: tuple(range(*ends[index : index + 2])) for label in labels} for index in range(3)]
    directions = {label: label not in story.lower_is_better for label in labels}
    digests = {label: {item: f"{story.task_prefix}{label} {item}" for item in range(ends[-1])} for label in labels}
    splits = ItemSplits(*parts, digests=digests)
    return Fitness(spec, splits, Objectives.of(spec, directions, "fitness/made_up.yaml"))


def _settings(story: Story, fitness: Fitness) -> Settings:
    return Settings.model_validate(
        {
            "search_space": {"models": {story.named(name): f"zoo/{story.named(name)}" for name in ("base", *EXPERTS)}},
            "fitness": tree_of(fitness.spec),
            "optimizer": {"name": "nsga2", "population": 20},
            "executor": {"name": "inline"},
            "candidates": story.budget,
            "finalists": max(1, story.finalists),
            "seed": story.seed,
            "files": {"search_space": "search_spaces/zoo.yaml", "fitness": "fitness/zoo_two.yaml"},
        }
    )
