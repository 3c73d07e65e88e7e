"""What holds for every test: no network, one thread per process, no time limits inside property tests."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
SMALL = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "MPLBACKEND": "Agg"}
RAY = {
    "RAY_AUTH_MODE": "disabled",  # else it writes a token into the home directory
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "120",  # a busy machine is not a failure
}
os.environ.update(OFFLINE | SMALL | RAY)  # before torch, datasets and the rest read them

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# CI judges one change, always by the same examples; everyone's own runs go on looking for new ones
settings.register_profile("evomerge", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("evomerge")

if TYPE_CHECKING:
    from evomerge.settings import Settings


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a CUDA device where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A micro zoo: real checkpoints and tasks, poor answers."""
    from evomerge.checkpoints.zoo import MICRO, build_zoo

    folder = tmp_path_factory.mktemp("zoo")
    build_zoo(folder, MICRO, lambda progress: None)
    return folder


@pytest.fixture
def desk(tmp_path: Path, zoo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a search space and two fitnesses over the micro zoo."""
    monkeypatch.chdir(laid(tmp_path, zoo))
    return tmp_path


def laid(desk: Path, zoo: Path) -> Path:
    """The folder, with the files of `desk` in it.

    Weights reach far beyond 1, so that the answers of these poor models change from one recipe to the next.
    """
    (desk / "search_spaces").mkdir()
    (desk / "fitness").mkdir()
    (desk / "search_spaces" / "tiny.yaml").write_text(SPACE.replace("ZOO", str(zoo)))
    (desk / "fitness" / "two.yaml").write_text(FITNESS.replace("ZOO", str(zoo)))
    one = FITNESS.replace("{math: [math], japanese: [ja]}", "{mean: [math, ja]}")
    (desk / "fitness" / "one.yaml").write_text(one.replace("ZOO", str(zoo)))
    return desk


SPACE = """# A tiny space for tests.
evomerge: space/1
models: {base: ZOO/base, math: ZOO/math, ja: ZOO/ja}
groups: {layers: 2}
blends:
  mix:
    origin: base
    experts: [math, ja]
    pipe:
      - {weigh: [{float: [-30, 30]}, {float: [-30, 30]}]}
      - {reduce: sum}
seeds: [uniform]
"""

FITNESS = """# Two tasks for tests; the third is scored for finalists only.
evomerge: fitness/1
include: [ZOO/tasks]
tasks:
  math: {task: zoo_math_en_mc, metric: acc}
  ja: {task: zoo_form_ja_mc, metric: acc}
  unseen: {task: zoo_math_ja_mc, metric: acc}
objectives: {math: [math], japanese: [ja]}
splits: {search: 0.4, selection: 0.3, test: 0.3, by: [key]}
items: {search: 20, selection: 10, test: 10}
"""


@pytest.fixture
def make_settings(desk: Path) -> Callable[..., "Settings"]:
    """Settings over the desk's files; keywords replace the defaults."""
    from evomerge.documents import parse, read_yaml
    from evomerge.settings import Settings

    def make(fitness: str = "two", **more: object) -> Settings:
        files = {"search_space": "search_spaces/tiny.yaml", "fitness": f"fitness/{fitness}.yaml"}
        tree = {group: read_yaml(desk / file) for group, file in files.items()}
        tree |= {"optimizer": {"name": "random"}, "executor": {"name": "inline"}, "candidates": 6, "finalists": 2}
        return parse(Settings, tree | {"files": files} | more, "settings")

    return make


@pytest.fixture(scope="session")
def save_adapter() -> Callable[..., Path]:
    """Saves a LoRA adapter as peft does: `save_adapter(folder, {"model.layers.0.mlp.up_proj": (B, A)}, r=4, …)`."""
    import torch
    from safetensors.torch import save_file

    def save(
        folder: Path,
        modules: "dict[str, tuple[torch.Tensor, torch.Tensor]]",
        more: "dict[str, torch.Tensor] | None" = None,
        **config: object,
    ) -> Path:
        folder.mkdir(parents=True)
        tensors = dict(more or {})
        for module, (b, a) in modules.items():
            tensors[f"base_model.model.{module}.lora_A.weight"] = a.contiguous()
            tensors[f"base_model.model.{module}.lora_B.weight"] = b.contiguous()
        save_file(tensors, folder / "adapter_model.safetensors")
        rank = next((a.shape[0] for _, a in modules.values()), 1)
        tree = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "task_type": "CAUSAL_LM"} | config
        (folder / "adapter_config.json").write_text(json.dumps(tree), encoding="utf-8")
        return folder

    return save
