"""One run of a study from nothing to its row: trained with the recorder, measured, kept, and not
trained twice.
"""

from pathlib import Path
from typing import Any

import pytest

from muse_core.errors import MuseError
from muse_core.evaluation.gradients.geometry_recorder import geometry_file, read_geometry
from muse_core.evaluation.study_rows import read_row
from muse_core.notebook import setup
from tests.notebook_cells import execute

from .micro import PRESET, STAGES

PARAMETERS = dict(
    run="row",
    preset=PRESET,
    overrides="routing=shared probe_images=40 held_out_images=30",
    data="scenes",
    seed=0,
    geometry_every=3,
    device="cpu",
    fresh=False,
)


def one_run(*cells: str, **changes: Any) -> dict[str, Any]:
    """The names of the notebook after these cells."""
    names = {"In": []} | PARAMETERS | changes
    return execute("studies/one_run.ipynb", ("setup", *cells), names)


@pytest.fixture(scope="module")
def trained(micro_root: Path):
    """The run, trained and measured once."""
    from .conftest import enter

    with pytest.MonkeyPatch.context() as monkeypatch:
        enter(micro_root, monkeypatch)
        return one_run("curriculum", "train", "losses", "measure", "check", "learn")


def test_every_stage_is_trained_and_its_gradients_are_recorded(micro: Path, trained) -> None:
    assert list(trained["results"]) == list(STAGES)
    records = [result.record for result in trained["results"].values()]
    assert [(each.steps, each.routing) for each in records] == [(6, "shared")] * 3
    assert all(each.callbacks["gradient geometry"] > 0 for each in records)
    geometry = read_geometry([geometry_file("row", stage) for stage in STAGES], [0, 6, 12])
    assert geometry.steps.tolist() == [0, 3, 6, 9, 12, 15]


def test_its_row_is_kept_as_it_was_measured(micro: Path, trained) -> None:
    kept, evaluated = read_row("row"), trained["evaluated"]
    assert kept.row == evaluated.row and kept.row.measurements["psnr"].n == 30
    assert kept.per_image.keys() == evaluated.per_image.keys()


def test_what_is_trained_is_not_trained_again(
    micro: Path, trained, capsys: pytest.CaptureFixture[str]
) -> None:
    again = one_run("train")["results"]
    assert capsys.readouterr().out.count("is trained already") == 3
    assert [each.record for each in again.values()] == [
        each.record for each in trained["results"].values()
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"overrides": "curriculum.order=backwards"}, "Unknown order 'backwards'"),
        ({"overrides": "curriculum.without=pixels"}, "Unknown without"),
        ({"overrides": "curriculum.surgery=gradvac"}, "Unknown surgery"),
        ({"overrides": "curriculum.anchoring=none"}, "Unknown anchoring"),
        ({"overrides": "curriculum.share=0"}, "share must be a number above 0 and at most 1"),
        ({"geometry_every": -1}, "geometry_every must be a number of steps"),
    ],
)
def test_a_wrong_parameter_is_one_sentence(micro: Path, change: dict, says: str) -> None:
    with pytest.raises(MuseError, match=says):
        setup("one_run", PARAMETERS | change)


@pytest.mark.long
def test_without_the_recorder_nothing_is_recorded(micro: Path) -> None:
    overrides = f"{PARAMETERS['overrides']} curriculum.order=joint"
    found = one_run("train", run="plain", geometry_every=0, overrides=overrides)
    assert list(found["results"]) == ["03_synergistic_tuning"]
    assert not geometry_file("plain", "03_synergistic_tuning").exists()
