"""One run of a study from nothing to its row: trained with the recorder, measured, kept, and not
trained twice.
"""

from pathlib import Path

import pytest

from muse_core.errors import MuseError
from muse_core.evaluation.evaluate import from_stored
from muse_core.report.study_run import StudyRun, begin_study_run, row_file
from muse_core.results.tensor_files import read_stored

PARAMETERS = dict(
    run="row",
    preset="micro",
    data="scenes",
    seed=0,
    share=1.0,
    routing="shared",
    order="paper",
    without="",
    anchoring="contrast",
    surgery="none",
    geometry_every=3,
    train_images=40,
    test_images=30,
    device="cpu",
)


@pytest.fixture(scope="module")
def trained(micro_root: Path):
    """The run, trained and measured once."""
    from .conftest import enter

    with pytest.MonkeyPatch.context() as monkeypatch:
        enter(micro_root, monkeypatch)
        session = begin_study_run(**PARAMETERS)
        session.train()
        return session, session.measure()


def test_every_stage_is_trained_and_its_gradients_are_recorded(micro: Path, trained) -> None:
    session, _ = trained
    assert [record["steps"] for record in session.records.values()] == [6, 6, 6]
    assert {stage: [each.step for each in rows] for stage, rows in session.geometry().items()} == {
        stage: [0, 3] for stage in session.records
    }
    assert 0 < session.overhead() < 5 and all(len(rows) == 6 for rows in session.losses().values())


def test_its_row_is_kept_as_it_was_measured(micro: Path, trained) -> None:
    _, evaluated = trained
    kept = from_stored("row", read_stored(row_file("row")))
    assert kept.row == evaluated.row and kept.row.measurements["psnr"].n == 30
    assert kept.per_image.keys() == evaluated.per_image.keys()


def test_what_is_finished_is_not_trained_again(
    micro: Path, trained, capsys: pytest.CaptureFixture[str]
) -> None:
    again = begin_study_run(**PARAMETERS)
    capsys.readouterr()
    assert again.train() == trained[0].records
    assert capsys.readouterr().out.count("is finished already") == 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"routing": "release"},
            "was trained with routing='shared', and these parameters say 'release'",
        ),
        ({"without": "topology"}, "was trained with"),
        ({"share": 0.5}, "was trained with steps=6, and these parameters say 3"),
    ],
)
def test_another_change_under_the_same_name_is_refused(
    micro: Path, trained, change: dict, says: str
) -> None:
    session = begin_study_run(**PARAMETERS | change)
    with pytest.raises(MuseError, match=says):
        session.train()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"routing": "shred"}, "Unknown routing 'shred'"),
        ({"order": "backwards"}, "Unknown order 'backwards'"),
        ({"without": "pixels"}, "Unknown without"),
        ({"surgery": "gradvac"}, "Unknown surgery"),
        ({"anchoring": "none"}, "Unknown anchoring"),
        ({"share": 0}, "share must be a number above 0, at most 1"),
        ({"geometry_every": -1}, "geometry_every must be a number of steps"),
    ],
)
def test_a_wrong_parameter_is_one_sentence(micro: Path, change: dict, says: str) -> None:
    with pytest.raises(MuseError, match=says):
        begin_study_run(**PARAMETERS | change)


def test_without_the_recorder_nothing_is_recorded(micro: Path) -> None:
    session: StudyRun = begin_study_run(
        **PARAMETERS | {"run": "plain", "geometry_every": 0, "order": "joint"}
    )
    assert list(session.train()) == ["03_synergistic_tuning"]
    assert session.overhead() is None and session.geometry() == {"03_synergistic_tuning": []}
