"""The wheel in a fresh environment, from an empty folder: what a stranger types first."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = str(ROOT / "constraints.txt")

pytestmark = pytest.mark.long


def run(*words: str, folder: Path, fails: bool = False, **environment: str) -> str:
    """Output of a command that knows nothing of this checkout."""
    own = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MUSE_ROOT")
    }
    done = subprocess.run(
        words, cwd=folder, env=own | environment, capture_output=True, text=True, timeout=900
    )
    assert bool(done.returncode) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "uv", "build", "-q", "--out-dir", str(place), str(ROOT), folder=place)
    return place


def environment_with(built: Path, extras: str, folder: Path) -> Path:
    """The folder of commands of a new environment that has the wheel with these extras."""
    (wheel,) = built.glob("*.whl")
    uv = (sys.executable, "-m", "uv")
    run(*uv, "venv", "-q", str(folder / "venv"), folder=folder)
    python = str(folder / "venv/bin/python")
    asked = f"{wheel}{extras}"
    run(*uv, "pip", "install", "-q", "--python", python, "-c", CONSTRAINTS, asked, folder=folder)
    return folder / "venv/bin"


def test_the_sources_carry_what_a_wheel_is_made_of_and_no_more(built: Path) -> None:
    (sources,) = built.glob("*.tar.gz")
    with tarfile.open(sources) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"notebooks/01_topology_warmup.ipynb", "studies/decide.yaml", "setup.py"} <= names
    assert not [name for name in names if name.startswith(("tests", "reports", "data/runs"))]


def test_from_an_empty_folder_to_a_trained_stage(built: Path, tmp_path: Path) -> None:
    commands = environment_with(built, "[notebooks,train]", tmp_path)
    muse, empty = str(commands / "muse"), tmp_path / "empty"
    empty.mkdir()
    assert "01_topology_warmup" in run(muse, "list", folder=empty)
    for words in (["run", "01"], ["index"]):
        assert "`muse new FOLDER` makes one" in run(muse, *words, folder=empty, fails=True)
    run(muse, "new", "mine", folder=empty)
    inside = empty / "mine" / "notebooks"
    run(muse, "run", "01", "-p", "steps", "2", "-p", "batch_size", "4", folder=inside)
    assert (empty / "mine/reports/smoke/01_topology_warmup.html").exists()
    load = (
        "from muse_core.models.tokenizer import MuseTokenizer;"
        "print(MuseTokenizer.from_pretrained('data/runs/smoke/01_topology_warmup/tokenizer').config.width)"
    )
    assert run(str(commands / "python"), "-c", load, folder=empty / "mine").strip() == "96"
    assert {file.name for file in empty.iterdir()} == {"mine"}, "nothing is written elsewhere"


def test_the_core_alone_says_what_a_notebook_needs(built: Path, tmp_path: Path) -> None:
    commands = environment_with(built, "", tmp_path)
    muse = str(commands / "muse")
    run(muse, "new", "mine", folder=tmp_path)
    said = run(muse, "run", "01", folder=tmp_path / "mine", fails=True)
    assert "is not installed: pip install 'muse-workspace[notebooks,train]'" in said


def test_the_first_cell_of_a_notebook_installs_what_is_missing(built: Path, tmp_path: Path) -> None:
    """As on Colab, where other packages are there already, and this one is not."""
    commands = environment_with(built, "[notebooks,train]", tmp_path)
    python, (wheel,) = str(commands / "python"), built.glob("*.whl")
    pip = (sys.executable, "-m", "uv", "pip")
    run(*pip, "uninstall", "-q", "--python", python, "muse-workspace", folder=tmp_path)
    run(*pip, "install", "-q", "--python", python, "pip", folder=tmp_path)
    load = "from muse_core.notebook import setup"
    assert "No module named" in run(python, "-c", load, folder=tmp_path, fails=True)
    cells = json.loads((ROOT / "notebooks" / "02_semantic_injection.ipynb").read_text())["cells"]
    (cell,) = (each for each in cells if "install" in each["metadata"].get("tags", []))
    (tmp_path / "cell.ipy").write_text("".join(cell["source"]))
    told = {"MUSE_SOURCE": f"muse-workspace @ {wheel.as_uri()}", "PIP_CONSTRAINT": CONSTRAINTS}
    run(str(commands / "ipython"), "cell.ipy", folder=tmp_path, **told)
    run(python, "-c", load, folder=tmp_path)
