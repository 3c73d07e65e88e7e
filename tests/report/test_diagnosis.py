"""A diagnosis as figures, tables and a page: what they say, from the text that is in them."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import save_file

from evomerge.checkpoints import Checkpoint, Position
from evomerge.checkpoints.diagnosis import Diagnosis, diagnose, record
from evomerge.errors import EvomergeError
from evomerge.report.diagnosis import breakdown, drawings, experts, pairs, write_figures, write_page
from evomerge.report.diagnosis.modelmap import ModelMap
from evomerge.report.diagnosis.tables import LEVELS

SHAPES = {
    "model.embed_tokens.weight": (9, 8),
    **{f"model.layers.{layer}.self_attn.q_proj.weight": (8, 8) for layer in range(4)},
    **{f"model.layers.{layer}.mlp.up_proj.weight": (12, 8) for layer in range(4)},
    **{f"model.layers.{layer}.input_layernorm.weight": (8,) for layer in range(4)},
    "lm_head.weight": (9, 8),
}
Made = Callable[..., Diagnosis]


def weights(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Diagnoses experts given as how far each moved; later layers move twice as far."""

    def make(**moved: float) -> Diagnosis:
        base = weights(0)
        models = {"base": base}
        for seed, (name, by) in enumerate(moved.items(), start=1):
            noise = weights(seed)
            far = {key: 2.0 if ".2." in key or ".3." in key else 1.0 for key in SHAPES}
            models[name] = {key: base[key] + by * far[key] * noise[key] for key in SHAPES}
        for name, tensors in models.items():
            (tmp_path / name).mkdir()
            (tmp_path / name / "config.json").write_text(json.dumps({"model_type": "llama", "num_hidden_layers": 4}))
            save_file(tensors, tmp_path / name / "model.safetensors")
        return diagnose({name: Checkpoint(tmp_path / name) for name in models})

    return make


def words(svg: str) -> list[str]:
    """The texts in a drawing."""
    return [element.text or "" for element in ET.fromstring(svg).iter() if element.tag.endswith("}text")]


def text(sheet: Any) -> str:
    """A table as a file would get it."""
    console = Console(width=150)
    with console.capture() as captured:
        console.print(sheet.rich)
    return captured.get()


def test_the_figures_show_every_part_with_its_number(made: Made) -> None:
    found = made(math=0.05, ja=0.1)
    norms, kinship, groups = drawings(found)
    shown = words(norms.svg)
    assert {"math", "ja", "attention", "mlp", "norm", "embed", "head", "0", "3"} <= set(shown)
    for part, moments in found.survey.parts.items():
        assert f"{moments.change(0).relative_norm:.1%}" in shown, part
    shown = words(kinship.svg)
    for part, moments in found.survey.parts.items():
        if part.role != "norm":
            assert f"{moments.kinship(0, 1).cosine:z.2f}" in shown, part
            assert f"{moments.kinship(0, 1).conflict:.1%}" in shown, part
    assert {"math", "ja", "math – ja", "0–1", "2–3"} <= set(words(groups.svg))
    assert groups.title.startswith("2 bands of layers explain")


def test_the_matrix_has_every_pair_twice(made: Made) -> None:
    found = made(math=0.05, ja=0.1, code=0.2)
    matrix = next(drawing for drawing in drawings(found) if drawing.name == "matrix")
    shown = words(matrix.svg)
    expected = [format(found.survey.whole.kinship(*pair).conflict, ".1%") for pair in found.survey.pairs]
    assert {value: shown.count(value) for value in expected} == {value: 2 * expected.count(value) for value in expected}


def test_figures_become_files(made: Made, tmp_path: Path) -> None:
    found = made(math=0.05, ja=0.1)
    paths = list(write_figures(tmp_path / "new" / "figures", found))
    assert [path.name for path in paths] == ["norms.png", "kinship.png", "groups.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    (tmp_path / "file").touch()
    with pytest.raises(EvomergeError, match="file cannot be made"):
        list(write_figures(tmp_path / "file", found))


@pytest.mark.parametrize(
    "moved",
    [{"math": 0.1}, {"math": 0.0}, {"math": 0.0, "ja": 0.1}, {f"expert {n}": 0.05 + n / 50 for n in range(5)}],
    ids=["one", "none", "idle", "many"],
)
def test_any_number_of_experts_can_be_shown(made: Made, tmp_path: Path, moved: dict[str, float]) -> None:
    found = made(**moved)
    names = [drawing.name for drawing in drawings(found)]
    extra = {1: [], 2: ["kinship"], 5: ["matrix", "kinship"]}[len(moved)]
    assert names == ["norms", *extra, *(["groups"] if any(moved.values()) else [])]
    for level in LEVELS:
        assert "nan" not in text(breakdown(found.survey, level))
    assert (pairs(found.survey) is None) == (len(moved) == 1)
    write_page(tmp_path / "page.html", found)


def test_tables_show_the_numbers(made: Made) -> None:
    survey = made(math=0.05, ja=0.1).survey
    change, kin = survey.whole.change(1), survey.whole.kinship(0, 1)
    assert f"{change.norm:.4g}" in text(experts(survey))
    assert f"{change.cosine_with_base:.4f}" in text(experts(survey))
    sheet = pairs(survey)
    assert sheet is not None
    assert f"{kin.pearson:z.3f}" in text(sheet)
    assert f"{kin.weighted_conflict:.1%}" in text(sheet)


def test_rows_follow_the_model(made: Made) -> None:
    survey = made(math=0.05).survey
    assert [row[0] for row in breakdown(survey, "layer").rows] == ["0", "1", "2", "3", "outside"]
    assert [row[0] for row in breakdown(survey, "part").rows][:4] == ["embedding", "0 attention", "0 mlp", "0 norm"]
    assert {row[0] for row in breakdown(survey, "tensor").rows} == set(SHAPES)
    assert {row[0] for row in breakdown(survey, "role").rows} == {"attention", "mlp", "norm", "embedding", "head"}


def test_the_map_has_a_place_for_every_part(made: Made) -> None:
    parts = made(math=0.05).survey.parts
    layout = ModelMap.of(parts)
    boxes = [layout.box(part) for part in parts]
    assert None not in boxes
    assert len(set(boxes)) == len(parts)
    assert ModelMap.of(parts, without=["norm"]).box(Position(0, "norm")) is None
    assert layout.box(Position(9, "mlp")) is None
    assert layout.box(Position(None, "router")) is None


def test_the_page_is_whole_and_says_what_was_found(made: Made, tmp_path: Path, read_page: Callable[[str], Any]) -> None:
    hostile = "<script>alert('x')</script>".replace("/", "⁄")
    found = made(**{hostile: 0.05, "odd": 30.0})
    page = read_page(write_page(tmp_path / "page.html", found).read_text("utf-8"))
    assert not page.open
    assert "script" not in page.tags
    assert hostile in page.text("h1")
    for finding in found.findings:
        assert finding.sentence in page.text("#findings")
    assert found.grouping is not None
    assert page.text("#groups") == found.grouping.yaml
    assert yaml.safe_load(page.text("#groups"))["groups"]["bands"] == [list(band) for band in found.grouping.bands]
    assert "above 100% of the base's" in page.text("#thresholds")
    identifiers = [value for name, value in page.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))


def test_a_page_without_findings_says_so(made: Made, tmp_path: Path, read_page: Callable[[str], Any]) -> None:
    page = read_page(write_page(tmp_path / "page.html", made(math=0.05)).read_text("utf-8"))
    assert "Nothing stands against merging these models" in page.text("#findings")


def test_the_record_holds_every_level(made: Made) -> None:
    found = made(math=0.05, ja=0.1)
    tree = json.loads(json.dumps(record(found), allow_nan=False))
    assert tree["experts"] == ["math", "ja"]
    assert tree["whole"]["experts"]["ja"] == found.survey.whole.change(1).model_dump()
    assert tree["whole"]["pairs"] == [{"experts": ["math", "ja"], **found.survey.whole.kinship(0, 1).model_dump()}]
    assert {row["name"] for row in tree["tensors"]} == set(SHAPES)
    for level in ("layers", "roles", "parts", "tensors"):
        assert sum(row["num_entries"] for row in tree[level]) == tree["whole"]["num_entries"]
    assert {(row["layer"], row["role"]) for row in tree["parts"]} == {
        (part.layer, part.role) for part in found.survey.parts
    }
