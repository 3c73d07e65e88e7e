"""A search in stages through the commands, on a micro zoo."""

from pathlib import Path

from evomerge.cli import main
from evomerge.runs import Asked, RunLog

STAGES = """[
{genes: ["*weigh.math"], driver: {name: random, population: 4}},
{genes: ["*weigh.ja"], driver: {name: nsga2, population: 4}}]""".replace("\n", " ")


def asked(run_dir: Path) -> list[tuple[object, ...]]:
    with RunLog.read(run_dir) as log:
        return [event.genome for event in log.events() if isinstance(event, Asked)]


def test_a_finished_search_in_stages_may_grow(desk: Path) -> None:
    argv = ["search", "search_space=tiny", "fitness=one", "candidates=8", "finalists=1", "run_dir=runs/a"]
    assert main([*argv, "optimizer=staged", f"optimizer.stages={STAGES}"]) == 0
    before = asked(desk / "runs" / "a")
    assert main(["resume", "runs/a", "--candidates", "10"]) == 0
    after = asked(desk / "runs" / "a")
    assert after[:8] == before
    assert len(after) == 10
