"""What is installed without extras suffices to load, encode, decode and evaluate; what is missing is
said in one sentence.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"open-clip-torch": "open_clip", "scikit-image": "skimage"}
"""Distributions whose module is called otherwise."""
CORE = (
    "muse_core.models.tokenizer",
    "muse_core.models.assembly",
    "muse_core.evaluation.evaluate",
    "muse_core.evaluation.run_rows",
    "muse_core.training.trainer",
    "muse_core.data.sources",
)
REFUSING = """
import sys
from importlib.machinery import PathFinder
found = PathFinder.find_spec
def find_spec(cls, name, path=None, target=None):
    return None if name.split(".")[0] in ABSENT else found(name, path, target)
PathFinder.find_spec = classmethod(find_spec)
"""


def absent() -> set[str]:
    """Modules of the extras."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    names = [Requirement(text).name for name in ("train", "notebooks") for text in extras[name]]
    return {MODULES.get(name, name) for name in names} | {"IPython", "nbformat"}


def run_without(modules: set[str], code: str) -> subprocess.CompletedProcess[str]:
    program = f"ABSENT = {modules!r}{REFUSING}{code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


@pytest.mark.long
def test_the_core_needs_no_extra() -> None:
    done = run_without(absent(), "\n".join(f"import {name}" for name in CORE))
    assert not done.returncode, done.stderr[-2000:]


def test_a_command_that_needs_an_extra_says_so() -> None:
    code = "from muse_core.cli import main\nsys.exit(main(['run', '00']))"
    done = run_without({"papermill", "nbclient", "nbconvert"}, code)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "which is not installed: pip install 'muse-workspace[notebooks,train]'" in done.stderr
