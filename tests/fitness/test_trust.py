from pathlib import Path

import pytest

from evomerge.fitness.trust import code_in

METRICS = {"acc", "exact_match"}


def places(folder: Path, text: str) -> list[str]:
    (folder / "task.yaml").write_text(text, encoding="utf-8")
    return [place.replace(f"{folder}/", "") for place in code_in(folder / "task.yaml", METRICS)]


def test_a_plain_task_runs_nothing(tmp_path: Path) -> None:
    assert not places(
        tmp_path, "task: t\nmetric_list: [{metric: acc, aggregation: mean}]\ndoc_to_text: '!function f'\n"
    )
    assert not places(tmp_path, "")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("task: t\nprocess_docs: !function utils.f\n", "task.yaml:2: !function utils.f"),
        ("task: t\nclass: !function own.Task\n", "task.yaml:2: !function own.Task"),
        ("metric_list:\n- {metric: !function own.f}\n", "task.yaml:2: !function own.f"),
        ("metric_list:\n- metric: acc\n- metric: theirs/new\n", "task.yaml:3: metric theirs/new"),
        ("metric_list: [{metric: acc, hf_evaluate: true}]\n", "task.yaml:1: metric acc"),
        ("fewshot_config: {samples: !function own.f}\n", "task.yaml:1: !function own.f"),
    ],
)
def test_code_is_found_where_it_stands(tmp_path: Path, text: str, found: str) -> None:
    assert places(tmp_path, text) == [found]


def test_includes_are_followed_once_each(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "base.yaml").write_text("include: [more/deep.yaml, task.yaml, gone.yaml]\n", encoding="utf-8")
    (tmp_path / "more/deep.yaml").write_text("a: 1\nb: !function deep.f\n", encoding="utf-8")
    assert places(tmp_path, "include: base.yaml\n") == ["more/deep.yaml:2: !function deep.f"]


def test_looking_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("raise SystemExit\n", encoding="utf-8")
    assert places(tmp_path, "process_docs: !function own.f\nx: !!python/object/apply:os.abort []\n") == [
        "task.yaml:1: !function own.f"
    ]
