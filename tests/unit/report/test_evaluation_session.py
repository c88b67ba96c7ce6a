"""Around notebook 05: what is missing is said before anything takes time, and conclusions follow
the numbers.
"""

from pathlib import Path
from typing import Any

import pytest

from muse_core.errors import MuseError
from muse_core.report import evaluation_session as evaluation
from muse_core.results.measurements import Comparison, Measurement, Row

GIVEN: dict[str, Any] = dict(
    run="none",
    preset="smoke",
    data="scenes",
    baseline="",
    train_images=0,
    test_images=0,
    seed=0,
    device="cpu",
    download=False,
)


def test_a_run_without_a_tokenizer_is_refused_at_once_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    monkeypatch.setattr(
        evaluation, "load_teachers", lambda *_: pytest.fail("networks were loaded first")
    )
    with pytest.raises(MuseError, match="muse run 01 02 03 --run none -p preset smoke"):
        evaluation.begin_evaluation(**GIVEN)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("train_images", -1, "train_images must be a positive integer"),
        ("data", " ", "data must be a text that is not empty"),
        ("baseline", "../x", "'../x' is not a folder name"),
        ("run", "a/b", "'a/b' is not a folder name"),
        ("seed", -1, "seed must be zero or a positive integer"),
        ("extra", 1, "no parameter 'extra'"),
    ],
)
def test_a_wrong_parameter_is_one_sentence(name: str, value: object, words: str) -> None:
    with pytest.raises(MuseError, match=words):
        evaluation.begin_evaluation(**{**GIVEN, name: value})


def test_conclusions_say_better_worse_and_not_told_apart() -> None:
    row = Row("MUSE", "weights", {"psnr": Measurement(26.54, 100, "", 26.0, 27.0)})
    compared = [
        Comparison("psnr", "MUSE", "shared", 1.0, 0.5, 1.5),
        Comparison("miou", "MUSE", "shared", -0.02, -0.03, -0.01),
        Comparison("zero_shot", "MUSE", "shared", 0.0, -0.1, 0.1),
    ]
    first, second = evaluation.conclusions(row, compared)
    assert "26.5 dB" in first
    assert "better in PSNR; worse in mIoU; not told apart in zero-shot" in second
