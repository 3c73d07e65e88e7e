"""Settings: everything that decides a run, as composed by Hydra and kept in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import pydantic

from evomerge.documents import Tree, Value, dump_yaml, fault, parse, read_yaml, suggestion, tree_of

FILE_NAME = "run.yaml"


class InlineSettings(Value):
    """Candidates are scored in this process.

    Attributes:
        threads: CPU threads. Part of a run's identity: the order of sums depends on it.
        device: Torch device; `auto` takes a GPU where there is one.
        fused: Whether merges run as compiled loops: some seconds per kind of merge first, then several times faster.
        cache_gb: Memory of each worker for what need not be computed anew for each candidate: random draws, ranks of
            magnitudes, singular vectors.
    """

    name: Literal["inline"]
    threads: int = pydantic.Field(default=1, ge=1)
    device: str = "auto"
    fused: bool = False
    cache_gb: float = pydantic.Field(default=2.0, ge=0)


class RaySettings(Value):
    """Candidates are scored by Ray actors.

    Attributes:
        workers: How many actors.
        threads: CPU threads of each.
        gpus: GPUs of each; 0 keeps them on the CPU.
        address: Of a running cluster; absent: one is started on this machine.
        timeout_s: A candidate that takes longer is recorded as failed.
        fused: Whether merges run as compiled loops: some seconds per kind of merge first, then several times faster.
        cache_gb: Memory of each worker for what need not be computed anew for each candidate: random draws, ranks of
            magnitudes, singular vectors.
    """

    name: Literal["ray"]
    workers: int = pydantic.Field(default=2, ge=1)
    threads: int = pydantic.Field(default=1, ge=1)
    gpus: float = pydantic.Field(default=0.0, ge=0)
    address: str | None = None
    timeout_s: float = pydantic.Field(default=3600.0, gt=0)
    fused: bool = False
    cache_gb: float = pydantic.Field(default=2.0, ge=0)


_EXECUTORS: dict[str, type[InlineSettings] | type[RaySettings]] = {"inline": InlineSettings, "ray": RaySettings}


def _parse_executor(tree: Any) -> InlineSettings | RaySettings:
    if isinstance(tree, InlineSettings | RaySettings):
        return tree
    tree = tree if isinstance(tree, Mapping) else {"name": tree}  # a plain word is a name
    if (name := str(tree.get("name"))) not in _EXECUTORS:
        raise fault(f'there is no executor "{name}". {suggestion(name, _EXECUTORS)}')
    others = tree.keys() & RaySettings.model_fields.keys() - InlineSettings.model_fields.keys()
    if name == "inline" and others:
        raise fault(f"{' and '.join(sorted(others))}: only Ray takes it. Say executor=ray.")
    return _EXECUTORS[name].model_validate(tree)


ExecutorSettings: TypeAlias = Annotated[
    InlineSettings | RaySettings, pydantic.PlainValidator(_parse_executor), pydantic.PlainSerializer(tree_of)
]


Start: TypeAlias = dict[str, float | int | str | bool] | tuple[float | int | str | bool, ...]
"""An individual to start from: its values by name of gene, or a member, whose genome has no names."""


class Settings(Value):
    """One run.

    Attributes:
        search_space: Plain data of the search-space document.
        fitness: Plain data of the fitness document.
        optimizer: `name` and settings of the optimiser.
        executor: Where candidates are scored.
        candidates: How many the search asks for.
        items: Answers that it may ask for, all tasks together; absent: any number. The models' own and those of the
            finals do not count. Where candidates are raced, a generation that was begun is finished.
        tokens: That it may put through models; absent: any number.
        seconds: That workers may spend on it; absent: any number.
        generation: Most candidates that are raced together; a larger generation of the optimiser's is cut.
        finalists: How many of them are scored on unseen items.
        seed: Of everything random.
        start_from: Folder of a finished run, whose finalists are added to the seeds; or a recipe of the space. Where
            members are bred, every recipe that is a weighted sum of their models is one of the space.
        starts: Those finalists or that recipe, filled in when the run begins, so that it needs the other no more.
        files: Names of the documents above, for messages.
    """

    search_space: dict[str, Tree]
    fitness: dict[str, Tree]
    optimizer: dict[str, Tree]
    executor: ExecutorSettings
    candidates: int = pydantic.Field(default=200, ge=1)
    items: int | None = pydantic.Field(default=None, ge=1)
    tokens: int | None = pydantic.Field(default=None, ge=1)
    seconds: float | None = pydantic.Field(default=None, gt=0)
    generation: int = pydantic.Field(default=100, ge=1)
    finalists: int = pydantic.Field(default=8, ge=1)
    seed: int = pydantic.Field(default=0, ge=0)
    start_from: str | None = None
    starts: tuple[Start, ...] = ()
    files: dict[str, str] = pydantic.Field(default_factory=dict)

    def file(self, document: str) -> str:
        """Name of a document for messages."""
        return self.files.get(document, document)


def load_settings(run_dir: Path) -> Settings:
    """The settings of an existing run.

    Raises:
        ConfigError: If the folder holds none.
    """
    path = run_dir / FILE_NAME
    return parse(Settings, read_yaml(path), str(path))


def save_settings(settings: Settings, run_dir: Path) -> None:
    """Keep settings in a run's folder; a crash leaves the former or the new ones."""
    draft = run_dir / f".{FILE_NAME}"
    draft.write_text(dump_yaml(tree_of(settings)), encoding="utf-8")
    draft.replace(run_dir / FILE_NAME)
