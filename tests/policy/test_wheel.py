"""A wheel, installed elsewhere, brings its rooms along and still sees the user's own."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow

SHOW = """
from evomerge import shipped
print(shipped.shipped_root())
for room in shipped.ROOMS:
    print(*(f"{name}={path}" for name, path in shipped.names(room).items()), sep="\\n")
"""

COMPOSE = """
import sys
from hydra import compose, initialize_config_dir
from evomerge import shipped
from evomerge.config import rooms
rooms.register()
with initialize_config_dir(str(shipped.shipped_root() / "conf"), version_base="1.3"):
    print(compose("search", overrides=sys.argv[1:]).search_space.models)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this tree, by way of a source archive."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(TOP)]
    subprocess.run(build, check=True, timeout=240)
    (built,) = folder.glob("evomerge-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory into which the wheel is installed."""
    target = tmp_path_factory.mktemp("site")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, str(wheel)], check=True, timeout=240)
    return target


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A user's directory with a search space of their own."""
    (tmp_path / "search_spaces").mkdir()
    (tmp_path / "search_spaces" / "mine.yaml").write_text("models: {base: my/base}\n")
    return tmp_path


def run(installed: Path, cwd: Path, program: str, *arguments: str) -> str:
    """What a program prints with the installed evomerge, and no checkout, on its path."""
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_package_and_nothing_beside_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"evomerge"}
    assert "evomerge/py.typed" in names
    rooms = ("conf", "search_spaces", "fitness", "experiments")
    ours = {str(path.relative_to(TOP)) for room in rooms for path in (TOP / room).rglob("*") if path.is_file()}
    assert {name.removeprefix("evomerge/_shipped/") for name in names if "/_shipped/" in name} == ours


def test_names_come_from_the_wheel_and_from_the_working_directory(installed: Path, elsewhere: Path) -> None:
    root, *listed = run(installed, elsewhere, SHOW).split()
    assert Path(root) == installed / "evomerge" / "_shipped"
    files = [path for room in ("search_spaces", "fitness", "experiments") for path in (TOP / room).glob("*.yaml")]
    shipped = {f"{path.stem}={root}/{path.relative_to(TOP)}" for path in files}
    assert set(listed) == shipped | {f"mine={elsewhere}/search_spaces/mine.yaml"}


def test_hydra_composes_what_is_theirs_with_what_is_ours(installed: Path, elsewhere: Path) -> None:
    fitness = min(path.stem for path in (TOP / "fitness").glob("*.yaml"))
    assert run(installed, elsewhere, COMPOSE, "search_space=mine", f"fitness={fitness}") == "{'base': 'my/base'}\n"
