"""Whether scoring a task would run code that somebody wrote for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import yaml


def code_in(file: Path, known_metrics: Collection[str]) -> Iterator[str]:
    """Places where a task file, or one that it includes, asks for code that is not the harness's own.

    The files are read as YAML nodes only: nothing in them is constructed or run.

    Args:
        file: A task's YAML file.
        known_metrics: Metrics of the harness; it fetches the code of any other.

    Yields:
        `FILE:LINE: what`.
    """
    for part in _with_includes(file, set()):
        root = yaml.compose(part.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        for node in _nodes(root):
            line = f"{part}:{node.start_mark.line + 1}"
            if node.tag == "!function":
                yield f"{line}: !function {node.value}"
            if isinstance(node, yaml.MappingNode) and (metric := _foreign_metric(node, known_metrics)):
                yield f"{line}: metric {metric}"


def _with_includes(file: Path, seen: set[Path]) -> Iterator[Path]:
    """The file and those it includes, each once; missing ones are left to the harness to report."""
    file = file.resolve()
    if file in seen or not file.is_file():
        return
    seen.add(file)
    yield file
    root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    included = _entries(root).get("include")
    for node in included.value if isinstance(included, yaml.SequenceNode) else [included] if included else []:
        yield from _with_includes(file.parent / str(node.value), seen)


def _foreign_metric(node: yaml.MappingNode, known: Collection[str]) -> str | None:
    entries = _entries(node)
    metric = entries.get("metric")
    if not isinstance(metric, yaml.ScalarNode):
        return None
    fetched = isinstance(flag := entries.get("hf_evaluate"), yaml.ScalarNode) and flag.value.lower() == "true"
    return metric.value if fetched or (metric.tag != "!function" and metric.value not in known) else None


def _nodes(root: yaml.Node | None) -> Iterator[yaml.Node]:
    if root is None:
        return
    yield root
    if isinstance(root, yaml.MappingNode):
        for name, value in root.value:
            yield from _nodes(name)
            yield from _nodes(value)
    elif isinstance(root, yaml.SequenceNode):
        for value in root.value:
            yield from _nodes(value)


def _entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    return {name.value: value for name, value in node.value} if isinstance(node, yaml.MappingNode) else {}
