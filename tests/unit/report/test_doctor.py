"""``muse doctor`` says what is here and what will work, whatever is missing."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.specifiers import SpecifierSet

from muse_core.config.presets import muse_1b, tiny
from muse_core.report import doctor
from muse_core.report.doctor import BESIDE, Weights, lacking_packages, preset_verdict, pretrained
from muse_core.results.records import write_json

OPTIONAL = sorted({package for packages in BESIDE.values() for package in packages})
REFUSING = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name.split(".")[0] in {refused}
        return None if absent else PathFinder.find_spec(name, path, target)

sys.meta_path = [Without if each is PathFinder else each for each in sys.meta_path]
from muse_core.cli import main
code = main(["doctor"])
{then}
sys.exit(code)
"""


def without(*refused: str, then: str = "") -> tuple[int, str]:
    """The exit code and the screen where these packages cannot be imported."""
    code = REFUSING.format(refused=set(refused), then=then)
    root = Path(__file__).resolve().parents[3]
    options = dict(capture_output=True, text=True, cwd=root, timeout=300)
    found = subprocess.run([sys.executable, "-c", code], **options)
    assert "Traceback" not in found.stderr, found.stderr
    return found.returncode, found.stdout


@pytest.mark.slow
@pytest.mark.long
def test_optional_packages_may_be_missing_and_training_does_without_them() -> None:
    code, screen = without(*OPTIONAL, then="import muse_core.training.stage_run")
    assert code == 0 and "jupyterlab not installed" in screen
    assert "yes  preset tiny" in screen and "present  backbone" in screen
    lines = screen.splitlines()
    for name in BESIDE:
        assert any(line.strip().startswith(f"no   {name}") for line in lines), name
    assert "datasets is not installed" in screen and "pip install" in screen


def test_without_torch_nothing_would_run_and_it_says_so() -> None:
    code, screen = without("torch")
    assert code == 1 and "torch is not installed: `make env`" in screen
    assert "yes  preset" not in screen and "device     unknown" in screen


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hub that answers, whose models of facebook are gated; none of them is on this machine."""
    import huggingface_hub

    from muse_core.foundations import parts

    def model_info(self: object, name: str, **_: object) -> SimpleNamespace:
        return SimpleNamespace(gated="manual" if name.startswith("facebook/") else False)

    def absent(*_: object, **options: object) -> str:
        assert options["local_files_only"]
        raise parts.LocalEntryNotFoundError("not here")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(parts, "snapshot_download", absent)


def test_weights_are_present_missing_gated_or_damaged(hub, workspace: Path) -> None:
    folder = workspace / "data/foundations/mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    mine = replace(tiny().foundations, backbone=str(folder), teacher=str(folder / "gone"))
    found = pretrained([replace(tiny(), name="mine", foundations=mine), muse_1b()])
    states = {(each.presets[0], each.part): each.state for each in found}
    assert states["mine", "text tower"] == "present"
    assert states["mine", "backbone"] == states["mine", "topology teacher"] == "damaged"
    assert states["muse-1b", "backbone"] == "missing"
    assert states["muse-1b", "topology teacher"] == "gated"
    backbone = found[0]
    assert "holds no weights" in backbone.why
    assert backbone.row()[2] == "data/foundations/mine (mine)"


def present(preset) -> list[Weights]:
    return [Weights("backbone", "backbone", "a/b", (preset.name,), "present")]


def test_a_preset_works_where_its_weights_and_its_gpu_are(monkeypatch) -> None:
    big = muse_1b()
    said = lambda gpu, weights: (
        monkeypatch.setattr(doctor, "gpu_gigabytes", lambda: gpu),
        preset_verdict(big, weights),
    )[1]
    assert said(85.0, present(big)).works
    smaller = said(24.0, present(big))
    assert smaller.works and "a smaller batch_size for 24" in smaller.why
    none = said(0.0, present(big))
    assert not none.works and "a GPU with 80 GB, and here is none" in none.why
    missing = said(85.0, [replace(present(big)[0], state="missing")])
    assert not missing.works and "licence" not in missing.why
    assert "`hf download ID`" in missing.why and "-p backbone FOLDER" in missing.why
    gated = said(85.0, [replace(present(big)[0], state="gated")])
    assert "accept the licence" in gated.why and "`hf auth login`" in gated.why


def test_an_older_version_than_the_workspace_needs_is_said(monkeypatch) -> None:
    assert lacking_packages(("numpy",)) == ""
    monkeypatch.setattr(doctor, "requirements", lambda: {"numpy": SpecifierSet(">=900")})
    assert "`pip install 'numpy>=900'`" in lacking_packages(("numpy", "torch"))


def test_runs_are_listed_with_their_finished_stages(workspace: Path) -> None:
    assert doctor.runs() == ""
    for place in ("01_a", "02_b", "02_b.previous"):
        write_json(workspace / f"data/runs/wide/{place}/tokenizer/config.json", {})
    assert doctor.runs() == "wide (2 of 3 stages)"
