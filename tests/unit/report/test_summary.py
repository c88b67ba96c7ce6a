"""A run's summary: the last stage beside shared routing, covers, stages, and damaged records."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from PIL import Image

from muse_core.evaluation import run_rows
from muse_core.figures import Picture, bars, sample_grid
from muse_core.report.cover import COVER_WIDTH, cover_of
from muse_core.report.summary import summary
from muse_core.results.measurements import Comparison, Measurement

from .conftest import Writer
from .executed import FINAL, SHARED, executed_copy, picture, png, write_evaluation


@pytest.fixture
def run(write_notebook: Writer, workspace: Path) -> Path:
    executed_copy(write_notebook("00_a", "1"), "tiny", picture("A tile"))
    return workspace / "reports/tiny"


def test_the_rows_are_named_as_the_evaluation_names_them() -> None:
    assert (run_rows.MUSE.format(3), run_rows.SHARED.format(3)) == (FINAL, SHARED)


def test_the_last_stage_stands_beside_shared_routing(run: Path) -> None:
    write_evaluation(
        run,
        Comparison("psnr", FINAL, SHARED, 1.0, 0.5, 1.5),
        final={"psnr": Measurement(26.546, 9, low=26.4, high=26.7), "miou": Measurement(0.668)},
        shared={"psnr": Measurement(25.476, 9, low=25.0, high=26.0)},
        **{"MUSE, after stage 1": {"psnr": Measurement(1.0)}},
    )
    psnr, miou = summary(run).numbers
    assert (psnr.label, psnr.value, psnr.unit, psnr.interval) == (
        "PSNR",
        "26.5",
        "dB",
        "26.4 to 26.7",
    )
    assert (psnr.shared, psnr.shared_interval, psnr.verdict) == (
        "25.5",
        "25.0 to 26.0",
        "better than",
    )
    assert (miou.value, miou.unit, miou.interval, miou.shared) == ("66.8", "%", "", "")
    assert "1,000 test images" in summary(run).measured


def test_what_was_not_measured_is_left_out(run: Path) -> None:
    write_evaluation(run, final={"zero_shot": Measurement.missing("no names")})
    assert summary(run).numbers == [] and summary(run).measured == ""


def test_a_verdict_without_difference_is_said_in_words(run: Path) -> None:
    figures = {"psnr": Measurement(1.0)}
    write_evaluation(
        run, Comparison("psnr", FINAL, SHARED, 0.0, -1.0, 1.0), final=figures, shared=figures
    )
    assert summary(run).numbers[0].verdict == "not told apart from"


@pytest.mark.parametrize("record", ["[]", "{", '{"losses": [1], "seconds": "x"}', '{"rows": 3}'])
def test_a_damaged_record_is_an_absent_one(run: Path, record: str) -> None:
    (run / "records").mkdir()
    for name in ("stage1", "evaluation"):
        (run / f"records/{name}.json").write_text(record)
    found = summary(run)
    assert found.numbers == [] and found.stages == {} and found.notebooks[0].state == "done"


def test_it_says_what_was_trained_and_where(run: Path) -> None:
    stage = {"preset": "tiny", "data": "pets:/home/me/pets", "routing": "orthogonal", "steps": 9}
    (run / "records").mkdir()
    (run / "records/stage1.json").write_text(json.dumps(stage))
    write_evaluation(run)
    found = summary(run)
    assert found.stages["1 · Topology warm-up"].steps == 9
    assert found.facts == {
        "Preset": "tiny",
        "Trained on": "pets (pets)",
        "Routing": "orthogonal",
        "Measured on": "scenes",
        "Commit": "abc",
        "Device": "cpu",
        "Time": "2 minutes",
        "Date": "2026-01-01 10:00 UTC",
    }


def cover(*outputs: Any) -> tuple[Image.Image | None, str]:
    cell = nbformat.v4.new_code_cell("1", outputs=list(outputs))
    found = cover_of(nbformat.v4.new_notebook(cells=[cell]))
    data = base64.b64decode(found.uri.partition(",")[2])
    return (Image.open(io.BytesIO(data)) if data else None), found.alt


def test_the_first_picture_is_the_cover_unless_another_was_chosen() -> None:
    first, second = picture("first", cover=False), picture("second", cover=False)
    assert cover(first, second)[1] == "first"
    assert cover(first, second, picture("chosen", cover=True))[1] == "chosen"


def test_a_picture_that_was_not_published_is_no_cover() -> None:
    plain = picture("a live curve")
    del plain.metadata["muse"]
    assert cover(plain) == (None, "") == cover()


def test_a_cover_is_small_keeps_its_shape_and_is_not_enlarged() -> None:
    assert cover(picture("wide", png(2000, 1000)))[0].size == (COVER_WIDTH, COVER_WIDTH // 2)
    assert cover(picture("small", png(40, 20)))[0].size == (40, 20)


def test_transparency_becomes_paper() -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(buffer, format="PNG")
    image = cover(picture("clear", buffer.getvalue()))[0]
    assert min(image.convert("RGB").getpixel((4, 4))) > 250


@pytest.mark.parametrize("damaged", [b"\x89PNG\r\n\x1a\nnothing", b"no picture", png(400)[:60]])
def test_a_damaged_picture_is_passed_over(damaged: bytes) -> None:
    assert cover(picture("damaged", damaged), picture("sound"))[1] == "sound"
    assert cover(picture("damaged", damaged))[0] is None


def shown_cover(picture: Picture) -> nbformat.NotebookNode:
    data, notes = picture.shown(cover=True)._repr_mimebundle_()
    return nbformat.v4.new_output("display_data", data=data, metadata=notes)


def test_a_few_images_stand_for_a_picture_of_images() -> None:
    output = shown_cover(sample_grid(np.random.rand(9, 8, 8, 3), [], "t"))
    image, _ = cover(output)
    assert image is not None and image.size == (4 * 132 - 4, 128)
    assert not cover_of({"cells": [{"outputs": [output]}]}).chart


def test_a_chart_is_drawn_anew_to_be_small() -> None:
    output = shown_cover(bars({"a": 1.0, "b": 2.0}, "t"))
    image, _ = cover(output)
    assert image is not None and image.size == (480, 276)
    assert cover_of({"cells": [{"outputs": [output]}]}).chart
