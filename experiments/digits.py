"""M2N2 on scikit-learn's digits with its ablations and rivals, in the set-up of arXiv 2508.16204.

python experiments/digits.py            about 80 minutes on one core; what is done is kept, so it may be interrupted
python experiments/digits.py --quick    a minute: few evaluations, three seeds, a network of 16 hidden units

Writes curves.csv, tables.md and curves.png into --out; what came of it is told in digits.md.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits

from evomerge import seeds
from evomerge.optimizers.m2n2.dense import DenseStrategy, Evolution, Vectors
from evomerge.optimizers.m2n2.dense_cma import DenseSepCma
from evomerge.optimizers.m2n2.diversity import coverage, entropy
from evomerge.optimizers.m2n2.map_elites import MapElites
from evomerge.optimizers.m2n2.settings import CODE, PAPER

COLORS = (*(f"C{number}" for number in range(10)), "black")
"""Of the variants, in the figure."""

PIXELS, DIGITS, TRAINING_ROWS = 64, 10, 1437
DEVIATION = 0.01
"""Of the first parameters and of mutation."""

SETTINGS = {
    "m2n2": CODE,
    "m2n2_paper": PAPER,
    "angle_of_sides": CODE.model_copy(update={"angle": "side"}),
    "crowd_without_child": CODE.model_copy(update={"crowd": "archive", "zeros": "epsilon"}),
    "no_attraction": CODE.model_copy(update={"partner": "fitness"}),
    "no_split": CODE.model_copy(update={"split": "none"}),
    "fixed_split": CODE.model_copy(update={"split": "fixed"}),
    "no_crossover": CODE.model_copy(update={"crossover": "none"}),
    "ga": CODE.model_copy(update={"partner": "fitness", "alpha": 0.0}),
    "map_elites": CODE,
    "sep_cma": CODE,
}
"""M2N2's variants by name, as its authors' code has them; MAP-Elites mutates and crosses over by them."""

EXTRAS = ("m2n2_paper", "angle_of_sides", "crowd_without_child", "fixed_split")
"""What the paper has no curve of."""


class Images(NamedTuple):
    """Pixels from 0 to 16 with a last column of ones, float32 [images, 65], and digits [images]."""

    pixels_IP: npt.NDArray[np.float32]
    digits_I: npt.NDArray[np.int64]


class Trial(NamedTuple):
    """One run; `start` is `scratch`, `pairs` (every seed trains its own two models) or `given_pair` (all the same)."""

    hidden: int
    start: str
    variant: str
    seed: int
    evaluations: int


@dataclass(frozen=True)
class Point:
    """One row of curves.csv: the member of best training accuracy after some evaluations."""

    hidden: int
    start: str
    variant: str
    seed: int
    evaluations: int
    train: float
    test: float
    coverage: float
    entropy: float
    cpu_s: float


def load_images() -> tuple[Images, Images]:
    """The first 1,437 images for training and the last 360 for testing, in their own order."""
    pixels, digits = load_digits(return_X_y=True)
    with_ones = np.hstack([pixels, np.ones((len(pixels), 1))]).astype(np.float32)
    return (
        Images(with_ones[:TRAINING_ROWS], digits[:TRAINING_ROWS]),
        Images(with_ones[TRAINING_ROWS:], digits[TRAINING_ROWS:]),
    )


def score(batch_BD: Vectors, images: Images) -> npt.NDArray[np.bool_]:
    """Which images each network gets right, [networks, images].

    A network's parameters are its first weights [pixels, hidden], their biases, its second weights and their biases:
    75 per hidden unit and 10, so 19,210 for 256. The first biases are the weights of the column of ones.
    """
    hidden = (batch_BD.shape[1] - DIGITS) // (PIXELS + 1 + DIGITS)
    first = (PIXELS + 1) * hidden
    right_BI = np.empty((len(batch_BD), len(images.digits_I)), np.bool_)
    for vector_D, right_I in zip(batch_BD, right_BI, strict=True):
        hidden_IH = images.pixels_IP @ vector_D[:first].reshape(PIXELS + 1, hidden)
        np.maximum(hidden_IH, 0, out=hidden_IH)
        logits_IK = hidden_IH @ vector_D[first:-DIGITS].reshape(hidden, DIGITS) + vector_D[-DIGITS:]
        np.equal(logits_IK.argmax(axis=1), images.digits_I, out=right_I)
    return right_BI


def random_models(count: int, hidden: int, seed: int) -> Vectors:
    """Networks of normally distributed parameters, float32 [count, parameters]."""
    rng = seeds.generator(seed, "digits", "models", str(hidden))
    shape = (count, (PIXELS + 1 + DIGITS) * hidden + DIGITS)
    return DEVIATION * rng.standard_normal(shape, dtype=np.float32)


def trained_pair(hidden: int, seed: int, images: Images) -> Vectors:
    """Two networks after ten full-batch steps of Adam at 0.003, one on digits 0 to 4 and one on 5 to 9."""
    small_I = images.digits_I < 5
    pair = zip(random_models(2, hidden, seed), (small_I, ~small_I), strict=True)
    return np.stack(
        [train(start_D, Images(images.pixels_IP[rows], images.digits_I[rows]), hidden) for start_D, rows in pair]
    )


def train(start_D: Vectors, images: Images, hidden: int, steps: int = 10) -> Vectors:
    """Full-batch Adam on the cross-entropy."""
    vector_D = torch.tensor(start_D, requires_grad=True)
    pixels_IP, digits_I = (torch.tensor(part) for part in images)
    adam = torch.optim.Adam([vector_D], lr=3e-3)
    first = (PIXELS + 1) * hidden
    for _ in range(steps):
        adam.zero_grad()
        hidden_IH = (pixels_IP @ vector_D[:first].view(PIXELS + 1, hidden)).relu()
        logits_IK = hidden_IH @ vector_D[first:-DIGITS].view(hidden, DIGITS) + vector_D[-DIGITS:]
        torch.nn.functional.cross_entropy(logits_IK, digits_I).backward()  # type: ignore[no-untyped-call]
        adam.step()
    return vector_D.detach().numpy()


def first_models(trial: Trial, images: Images, given_KD: Vectors | None) -> Vectors:
    """What a run starts from: two models, and as many as the archive holds for the paper's variant from scratch."""
    if trial.start == "scratch":
        count = SETTINGS[trial.variant].members if trial.variant == "m2n2_paper" else 2
        return random_models(count, trial.hidden, trial.seed)
    if trial.start == "given_pair" and given_KD is not None:
        return given_KD
    return trained_pair(trial.hidden, trial.seed, images)


def strategy_of(trial: Trial, first_KD: Vectors, images: Images) -> tuple[DenseStrategy, int]:
    """The strategy at its start, and how many models it asks first that do not count as evaluations."""
    rng = seeds.generator(trial.seed, "digits", trial.variant)
    mutation = DEVIATION if trial.start == "scratch" else 0.0
    settings = SETTINGS[trial.variant].model_copy(update={"mutation": mutation})
    if trial.variant == "sep_cma":
        mean_D = first_KD[0] if trial.start == "scratch" else first_KD.mean(axis=0)
        return DenseSepCma(mean_D, DEVIATION, population=20, seed=seeds.integer(trial.seed, "digits", "sep_cma")), 0
    if trial.variant == "map_elites":
        return MapElites(settings, first_KD, images.digits_I % 2, rng), len(first_KD)
    return Evolution(settings, first_KD, rng), len(first_KD)


def run(
    trial: Trial, training: Images, testing: Images, given_KD: Vectors | None = None, points: int = 100
) -> Iterator[Point]:
    """Evolve, and look at the member of best training accuracy now and then."""
    strategy, uncounted = strategy_of(trial, first_models(trial, training, given_KD), training)
    began_s = time.process_time()
    evaluations, looks = -uncounted, 1
    while evaluations < trial.evaluations:
        batch_BD = strategy.ask()
        strategy.tell(score(batch_BD, training))
        evaluations += len(batch_BD)
        if evaluations >= looks * trial.evaluations // points:
            looks += 1
            scores_PI = strategy.archive.scores if isinstance(strategy, Evolution) else np.full((1, 1), np.nan)
            accuracies = (float(score(strategy.best[None], images).mean()) for images in (training, testing))
            spread = coverage(scores_PI), entropy(scores_PI)
            yield Point(*trial[:4], evaluations, *accuracies, *spread, time.process_time() - began_s)


def plan(quick: bool) -> Iterator[Trial]:
    """All runs, all variants of a seed before the next seed."""

    def block(hidden: int, start: str, variants: Iterable[str], count: int, evaluations: int) -> Iterator[Trial]:
        return (Trial(hidden, start, name, seed, evaluations) for seed in range(count) for name in variants)

    mixing = [name for name in SETTINGS if name != "no_crossover"]
    if quick:
        yield from block(16, "pairs", mixing, 3, 300)
        yield from block(16, "scratch", SETTINGS, 3, 1000)
        return
    yield from block(256, "given_pair", [name for name in mixing if name != "sep_cma"], 10, 10_000)
    yield from block(256, "pairs", mixing, 10, 10_000)
    yield from block(16, "scratch", SETTINGS, 20, 20_000)
    yield from block(256, "scratch", ["m2n2"], 10, 50_000)
    yield from block(256, "scratch", [name for name in SETTINGS if name not in EXTRAS], 10, 50_000)


def done_in(path: Path) -> list[Point]:
    """The points of a curves.csv, none if there is no such file."""
    if not path.exists():
        return []
    kinds: dict[str, Callable[[str], int | float | str]] = {"int": int, "float": float, "str": str}
    with path.open(newline="") as file:
        return [
            Point(**{field.name: kinds[str(field.type)](row[field.name]) for field in fields(Point)})
            for row in csv.DictReader(file)
        ]


def append(path: Path, points: Sequence[Point]) -> None:
    """Add a run's points to a curves.csv at once, so that a run is there whole or not at all."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([[field.name for field in fields(Point)]] if new else [])
        writer.writerows(astuple(point) for point in points)


Group = dict[str, dict[int, list[Point]]]
"""Runs of one network and start, by variant and seed."""


def grouped(points: Sequence[Point]) -> dict[tuple[int, str], Group]:
    """Runs by network and start, then by variant and seed."""
    groups: dict[tuple[int, str], Group] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for point in points:
        groups[point.hidden, point.start][point.variant][point.seed].append(point)
    return dict(sorted(groups.items()))


def error(values: Sequence[float]) -> float:
    """Standard error of a mean; not a number for less than two values."""
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def shown(values: Sequence[float]) -> str:
    """Mean and standard error in per cent."""
    return f"{100 * np.mean(values):.1f} ± {100 * error(values):.1f}"


def table(group: Group) -> Iterator[str]:
    """Accuracies at the end in Markdown, and how far M2N2 is ahead on the seeds that both have."""
    yield "| variant | seeds | test | quartiles | train | M2N2 ahead by | in errors | coverage | entropy | CPU s |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for name in (name for name in SETTINGS if name in group):
        ends = {seed: points[-1] for seed, points in group[name].items()}
        test, train = [end.test for end in ends.values()], [end.train for end in ends.values()]
        low, high = 100 * np.percentile(test, [25, 75])
        coverage_, entropy_, cpu_s = np.mean([(end.coverage, end.entropy, end.cpu_s) for end in ends.values()], axis=0)
        both = sorted(ends.keys() & group["m2n2"].keys()) if name != "m2n2" else []
        ahead = [group["m2n2"][seed][-1].test - ends[seed].test for seed in both]
        compared = f"{shown(ahead)} | {np.mean(ahead) / error(ahead):.1f}" if error(ahead) > 0 else "|"
        spread = f"{coverage_:.3f} | {entropy_:.3f}" if math.isfinite(entropy_) else "|"
        yield (
            f"| {name} | {len(ends)} | {shown(test)} | {low:.1f} to {high:.1f} | {shown(train)} "
            f"| {compared} | {spread} | {cpu_s:.1f} |"
        )


def draw(groups: dict[tuple[int, str], Group], path: Path) -> None:
    """Median test accuracy over evaluations with a band between the quartiles, a panel per network and start."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = math.ceil(len(groups) / 2)
    figure, axes = plt.subplots(rows, 2, figsize=(15, 4.6 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat[len(groups) :]:
        axis.set_axis_off()
    for axis, ((hidden, start), group) in zip(axes.flat, groups.items(), strict=False):
        for name, color in zip(SETTINGS, COLORS, strict=True):
            runs = list(group.get(name, {}).values())
            if not runs:
                continue
            test_RX = 100 * np.array([[point.test for point in points] for points in runs])
            low_X, middle_X, high_X = np.percentile(test_RX, [25, 50, 75], axis=0)
            evaluations_X = [point.evaluations for point in runs[0]]
            axis.plot(evaluations_X, middle_X, color=color, label=f"{name} ({len(runs)})")
            axis.fill_between(evaluations_X, low_X, high_X, color=color, alpha=0.12, linewidth=0)
        axis.set(title=f"{start}, {hidden} hidden units", xlabel="evaluations", ylabel="test accuracy, %")
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize="small", title="variant (seeds)")
    figure.savefig(path, dpi=90)


def main() -> None:
    """Run what is not done yet, then write the tables and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute's worth of it")
    parser.add_argument("--start", choices=["scratch", "pairs", "given_pair"], help="only the runs that start so")
    parser.add_argument("--hidden", type=int, choices=[16, 256], help="only the networks of this size")
    parser.add_argument("--pair", type=Path, help="two models, float32 [2, 19210] in .npy, for the runs of given_pair")
    parser.add_argument("--report", action="store_true", help="only tables and figure of what is done")
    parser.add_argument("--out", type=Path, default=Path("runs/digits"), help="folder to write to (%(default)s)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    curves = options.out / "curves.csv"
    training, testing = load_images()
    given_KD = np.load(options.pair, allow_pickle=False) if options.pair else None
    done = {(point.hidden, point.start, point.variant, point.seed) for point in done_in(curves)}
    for trial in () if options.report else plan(options.quick):
        wanted = options.start in (None, trial.start) and options.hidden in (None, trial.hidden)
        possible = trial.start != "given_pair" or given_KD is not None
        if wanted and possible and trial[:4] not in done:
            append(curves, list(run(trial, training, testing, given_KD)))
            done.add(trial[:4])
    groups = grouped(done_in(curves))
    lines = [
        line
        for (hidden, start), group in groups.items()
        for line in (f"### {start}, {hidden} hidden units", "", *table(group), "")
    ]
    (options.out / "tables.md").write_text("\n".join(lines))
    draw(groups, options.out / "curves.png")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
