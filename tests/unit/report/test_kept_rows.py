"""A row that the repository keeps comes back; what decides its figures changes its digest, and what
does not, does not.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from muse_core.config.overrides import load_preset
from muse_core.config.presets import tiny
from muse_core.errors import MuseError
from muse_core.report.kept_rows import (
    FOLDERS,
    KeptRow,
    code_by_folder,
    configuration_digest,
    kept_file,
    read_kept,
    write_kept,
)
from muse_core.report.study import study_named
from muse_core.results.measurements import Measurement, Row
from muse_core.results.trained_code import code_digests

GIVEN = {"data": "scenes", "seed": 0, "run": "a"}


def kept(code: dict[str, str]) -> KeptRow:
    row = Row("s.full.0", "", {"psnr": Measurement(26.0, 1000, "", 25.0, 27.0)})
    return KeptRow(row, GIVEN, "digest", code, "abc", 60.0)


def test_a_kept_row_comes_back(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    file = kept_file("s", "full", 0)
    assert read_kept(file) is None
    assert read_kept(write_kept(file, kept({}))) == kept({})
    file.write_text("{")
    with pytest.raises(MuseError, match=r"full\.0\.json is damaged: take it from the repository"):
        read_kept(file)


def test_code_is_compared_folder_by_folder() -> None:
    now = code_digests(FOLDERS)
    assert kept(code_by_folder(now)).other_code() == []
    changed = {name: "0" if name.startswith("losses/") else each for name, each in now.items()}
    assert kept(code_by_folder(changed)).other_code() == ["losses"]
    assert kept(code_by_folder(code_digests())).other_code() == ["evaluation"]


def test_the_configuration_is_all_that_decides_the_figures(tmp_path: Path) -> None:
    digest = configuration_digest(tiny(), GIVEN)
    assert digest == configuration_digest(replace(tiny(), name="mine"), GIVEN | {"run": "b"})
    assert digest != configuration_digest(load_preset("tiny", "weights.topology=2"), GIVEN)
    assert digest != configuration_digest(tiny(), GIVEN | {"seed": 1})
    # The same parts elsewhere, then another teacher there.
    parts = Path(tiny().foundations.teacher).parent
    shutil.copytree(parts, tmp_path / "parts")
    moved = load_preset("tiny", f"foundations.backbone={tmp_path / 'parts' / 'backbone'}")
    assert digest == configuration_digest(moved, GIVEN)
    card = tmp_path / "parts" / "backbone" / "config.json"
    card.write_text(card.read_text() + " ")
    assert digest != configuration_digest(moved, GIVEN)


def test_the_rows_that_the_repository_keeps_are_still_rows_of_their_study() -> None:
    """A change of preset or study that makes them others must be meant, and removes them."""
    study = study_named("decide")
    rows = {file.stem for file in kept_file("decide", "full", 0).parent.glob("*.json")}
    planned = {f"{run.row}.{run.seed}": run for run in study.runs}
    assert rows and rows <= planned.keys()
    assert not [name for name in rows if study.kept(planned[name]) is None]


def test_a_younger_field_counts_where_it_says_something() -> None:
    other = replace(tiny(), gpu_memory=1.0)
    assert configuration_digest(tiny(), GIVEN) != configuration_digest(other, GIVEN)
