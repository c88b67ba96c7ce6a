"""A run's row of figures comes back as it was kept, and a damaged one is a sentence."""

from pathlib import Path

import pytest
import torch

from muse_core.errors import MuseError
from muse_core.evaluation.evaluate import Evaluated
from muse_core.evaluation.study_rows import read_row, row_file, write_row
from muse_core.results.measurements import Measurement, Row


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))


def test_a_row_comes_back_with_its_images() -> None:
    row = Row("r", "", {"psnr": Measurement(2.0, 3)})
    kept = Evaluated(row, {"per_image/psnr": torch.arange(3.0)})
    write_row("r", kept)
    found = read_row("r")
    assert found.row == kept.row and torch.equal(found.per_image["psnr"], kept.per_image["psnr"])


def test_a_damaged_row_is_a_sentence() -> None:
    row_file("r").parent.mkdir(parents=True)
    row_file("r").write_bytes(b"cut")
    with pytest.raises(MuseError, match="its row is missing or damaged: delete reports/r and run"):
        read_row("r")
