"""A row of Table 1 from nothing to its figures, in this process: trained, measured, generated for;
and the page over several rows.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from muse_core.errors import MuseError
from muse_core.evaluation.study_rows import read_row
from muse_core.notebook import setup
from tests.notebook_cells import execute

from .micro import PRESET

FEW = "probe_images=40 held_out_images=30 generated_images=12 sampling_steps=2 segmentation_steps=5"
GENERATOR = "08.stage.images=24 08.stage.batch_size=8 08.stage.checkpoint_every=2"
PARAMETERS = dict(
    preset=PRESET,
    overrides=f"{FEW} {GENERATOR}",
    data="scenes",
    split="test",
    seed=0,
    learning_rate=0.0,
    generator_seed=0,
    denoiser_steps=2,
    device="cpu",
    fresh=False,
)
CELLS = ("setup", "train", "losses", "measure", "generate", "strips", "check", "learn")
MEASURED = {
    "muse": {"psnr", "zero_shot", "linear_probe", "linear_probe_z", "miou", "attention_auc"},
    "unitok": {"psnr", "zero_shot", "linear_probe", "miou", "perplexity", "codes_used"},
    "va-vae": {"psnr", "linear_probe", "miou"},
    "backbone": {"linear_probe", "miou"},
    "autoencoder": {"psnr", "linear_probe", "miou"},
}
"""System -> some of the figures that it has to have."""
MISSING = {
    "muse": {"perplexity"},
    "unitok": {"attention_auc"},
    "va-vae": {"zero_shot", "perplexity"},
    "backbone": {"psnr", "bits_an_image", "gfd_judge"},
    "autoencoder": {"zero_shot"},
}
"""System -> figures that it cannot have; the row says why."""


def one_system(system: str, *cells: str, **changes: Any) -> dict[str, Any]:
    """The names of the notebook after these cells."""
    run = changes.pop("run", f"row.{Path(system).name.replace(':', '.')}")
    names = {"In": []} | PARAMETERS | {"run": run, "system": system} | changes
    return execute("studies/one_system.ipynb", cells or CELLS, names)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    from muse_core.evaluation import intervals

    monkeypatch.setattr(intervals, "RESAMPLES", 50)


IN_MAKE_TEST = ("muse", "unitok")


@pytest.mark.parametrize(
    "system",
    [
        pytest.param(name, marks=[] if name in IN_MAKE_TEST else pytest.mark.long)
        for name in MEASURED
    ],
)
def test_a_row_has_every_figure_that_it_can_have(micro: Path, system: str) -> None:
    found = one_system(system)["evaluated"].row.measurements
    assert {name for name in MEASURED[system] if found[name].value is None} == set()
    assert {found[name].value for name in MISSING[system] if name in found} <= {None}
    assert all(each.protocol for each in found.values())
    assert read_row(f"row.{system}").row.measurements.keys() == found.keys()
    drawn = micro / "reports" / f"row.{system}" / "kept" / "drawn.png"
    assert drawn.is_file() == ("gfd_judge" in found) == (system != "backbone")
    images = found["trained_images"].value
    assert images == (0 if system in ("backbone", "autoencoder") else 72)


def test_what_is_trained_is_not_trained_again_and_another_seed_has_no_generator(
    micro: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_system("unitok", "setup", "train", run="twice", seed=1)
    again = one_system("unitok", run="twice", seed=1)
    assert "system_1 of run twice is trained already" in re.sub("'", "", capsys.readouterr().out)
    assert again["drawn"] is None and "gfd_judge" not in again["evaluated"].row.measurements


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"system": "unitock"}, "system must be one of va-vae, .* got 'unitock'"),
        ({"system": "absent.py:Mine"}, "with a file that is there: got 'absent.py:Mine'"),
        ({"system": "json:dumps"}, "is no VisualTokenizer"),
        ({"system": "muse", "learning_rate": 1e-3}, "learning_rate is that of a system's stages"),
        ({"learning_rate": -1.0}, "learning_rate must be a rate"),
        ({"denoiser_steps": -1}, "denoiser_steps must be a number of steps"),
        ({"split": "train"}, "split must be"),
    ],
)
def test_a_wrong_parameter_is_one_sentence(micro: Path, change: dict, says: str) -> None:
    with pytest.raises(MuseError, match=says):
        names = PARAMETERS | {"run": "wrong", "system": "unitok"} | change
        setup("one_system", names)
        given = {name: value for name, value in change.items() if name != "system"}
        one_system(names["system"], "setup", "train", run="wrong", **given)


PAGE = Path(__file__).resolve().parents[2] / "docs" / "your_tokenizer.md"


def test_the_tokenizer_of_the_page_is_a_row(micro: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(code.strip().splitlines()) <= 30
    file = tmp_path / "my_tokenizer.py"
    file.write_text(code)
    evaluated = one_system(f"{file}:Rounded")["evaluated"]
    assert evaluated.row.value("psnr") > 5 and evaluated.row.value("gfd_judge") is not None
    assert evaluated.row.measurements["zero_shot"].protocol == (
        "this network has no embedding in the text space"
    )
    strip = micro / "reports" / "row.my_tokenizer.py.Rounded" / "kept" / "reconstructions.png"
    assert Image.open(strip).size == (8 * 32, 32)


def test_the_links_of_the_page_lead_to_files() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE.read_text()):
        assert (PAGE.parent / link).exists(), link
