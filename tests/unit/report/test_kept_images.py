"""Small pictures of a run: written pixel for pixel, read again, kept with its row."""

from pathlib import Path

import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.report.kept_images import keep_strip, kept_folder, read_strip


def test_a_strip_is_read_as_it_was_written(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16)) / 255
    file = keep_strip("mine", "reconstructions", images)
    assert file == kept_folder("mine") / "reconstructions.png"
    assert np.allclose(read_strip(file), images, atol=1e-6)
    assert np.allclose(
        read_strip(keep_strip("mine", "wild", images * 9 - 4)),
        (images * 9 - 4).clip(0, 1),
        atol=1 / 255,
    )


def test_a_damaged_one_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(MuseError, match="is damaged"):
        read_strip(tmp_path / "a.png")
