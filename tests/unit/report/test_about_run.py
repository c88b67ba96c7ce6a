"""What a run is, in sentences that follow its facts; a data set's place never shows."""

import json
from pathlib import Path
from typing import Any

import pytest

from muse_core.data.sources import OPENERS
from muse_core.report.about_run import SOURCES, about, data_words
from muse_core.report.stamps import Stamp

STAMP = Stamp("", "done", "tiny", "abc", "tiny", "cpu", "2026-01-01", 120.0)


def write(folder: Path, name: str, **record: Any) -> None:
    (folder / "records").mkdir(exist_ok=True)
    (folder / f"records/{name}.json").write_text(json.dumps(record))


def test_every_data_source_has_its_words() -> None:
    assert set(SOURCES) == set(OPENERS)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("scenes", "the drawn scenes"),
        ("pets:/home/me/oxford_pets", "Oxford-IIIT Pet photographs (oxford_pets)"),
        ("folder: ~/photos/", "a folder of images (photos)"),
        ("else", "else"),
        (None, ""),
    ],
)
def test_data_is_named_without_its_place(spec: str | None, words: str) -> None:
    assert data_words(spec) == words


@pytest.mark.parametrize(
    ("routing", "words"), [("orthogonal", "only queries and keys"), ("shared", "the baseline")]
)
def test_training_is_said_with_its_routing(tmp_path: Path, routing: str, words: str) -> None:
    for stage in (1, 2, 3):
        write(tmp_path, f"stage{stage}", preset="tiny", data="scenes", routing=routing)
    trained, ran = about(tmp_path, [STAMP, STAMP], ["01_a", "02_b", "03_c"])
    assert (
        trained.startswith(
            "A tokenizer of preset tiny, trained on the drawn scenes in three stages with"
        )
        and words in trained
    )
    assert ran == "Notebooks 01, 02 and 03 ran for 4 minutes in all on the CPU."


def test_a_run_that_stopped_early_says_where(tmp_path: Path) -> None:
    write(tmp_path, "stage1", preset="tiny", data="scenes")
    assert (
        about(tmp_path, [], [])[0]
        == "A tokenizer of preset tiny, trained on the drawn scenes up to stage 1 of three."
    )


def test_other_data_in_the_evaluation_is_said(tmp_path: Path) -> None:
    write(tmp_path, "stage1", data="scenes")
    write(tmp_path, "evaluation", data="scenes")
    assert len(about(tmp_path, [], [])) == 1
    write(tmp_path, "evaluation", data="masks:data/camvid")
    assert (
        about(tmp_path, [], [])[1] == "It was measured on other data: images with masks (camvid)."
    )


def test_without_records_only_the_notebooks_are_named(tmp_path: Path) -> None:
    assert about(tmp_path, [], ["00_a"]) == ["Notebook 00."]
    assert about(tmp_path, [], []) == []
