"""Headline numbers: the last stage with its interval and baseline, in the metric's unit; quick
looks where nothing else is.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from muse_core.evaluation import run_rows
from muse_core.report import headline as module
from muse_core.report.headline import headline

FINAL, SHARED = "MUSE, after stage 3", "shared routing, after stage 3"


def write(folder: Path, name: str, record: Any) -> None:
    (folder / "records").mkdir(exist_ok=True)
    (folder / f"records/{name}.json").write_text(json.dumps(record))


def row(name: str, **figures: Any) -> dict[str, Any]:
    return {"name": name, "measurements": figures}


def compared(metric: str, low: Any, high: Any) -> dict[str, Any]:
    return {"metric": metric, "a": FINAL, "b": SHARED, "difference": low, "low": low, "high": high}


def evaluation(**changes: Any) -> dict[str, Any]:
    final = row(
        FINAL,
        psnr={"value": 26.546, "low": 26.4, "high": 26.7},
        miou={"value": 0.668},
        zero_shot={"value": None},
    )
    early, shared = (
        row("MUSE, after stage 1", psnr={"value": 1.0}),
        row(SHARED, psnr={"value": 25.476, "low": 25, "high": 26}),
    )
    return {
        "split": "test",
        "n_test": 1000,
        "rows": [final, early, shared],
        "comparisons": [],
    } | changes


def test_the_rows_are_named_as_the_evaluation_names_them() -> None:
    assert module.FINAL.fullmatch(run_rows.MUSE.format(3)) and module.SHARED.fullmatch(
        run_rows.SHARED.format(3)
    )


def test_the_last_stage_stands_beside_shared_routing(tmp_path: Path) -> None:
    write(tmp_path, "evaluation", evaluation())
    psnr, miou = headline(tmp_path).numbers
    assert (psnr.label, psnr.value, psnr.unit, psnr.interval) == (
        "PSNR",
        "26.5",
        "dB",
        "26.4 to 26.7",
    )
    assert (psnr.shared, psnr.shared_interval) == ("25.5", "25.0 to 26.0")
    assert psnr.beside == "shared routing: 25.5\N{NO-BREAK SPACE}dB"
    assert (miou.value, miou.unit, miou.interval, miou.beside) == ("66.8", "%", "", "")


def test_the_sentence_says_on_what_it_was_measured(tmp_path: Path) -> None:
    write(tmp_path, "evaluation", evaluation())
    assert "after stage 3 on up to 1,000 test images" in headline(tmp_path).about
    assert module.BASELINE in headline(tmp_path).about
    write(tmp_path, "evaluation", evaluation(rows=[row(FINAL, psnr={"value": 26.5})]))
    assert module.BASELINE not in headline(tmp_path).about


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.9, 1.1, "better than"), (-1, -0.5, "worse than"), (-0.1, 0.1, "not told apart from")],
)
def test_a_comparison_says_its_verdict_in_words(
    tmp_path: Path, low: float, high: float, words: str
) -> None:
    write(
        tmp_path,
        "evaluation",
        evaluation(comparisons=[compared("psnr", low, high), compared("ssim", 1, 2)]),
    )
    assert headline(tmp_path).numbers[0].beside.startswith(f"{words} shared routing (25.5")


def test_without_an_evaluation_the_last_quick_look_is_shown(tmp_path: Path) -> None:
    write(tmp_path, "stage1", {"held_out": {"psnr": 20.0}})
    write(
        tmp_path,
        "stage2",
        {"held_out": {"psnr": 21.26, "zero_shot": 0.5, "chance": 0.1, "n": 1000}},
    )
    write(tmp_path, "stage3", {"steps": 1})
    found = headline(tmp_path)
    assert [(one.value, one.unit, one.chance) for one in found.numbers] == [
        ("21.3", "dB", ""),
        ("50.0", "%", "10.0\xa0%"),
    ]
    assert "after stage 2" in found.about and "1,000 held-out images" in found.about


@pytest.mark.parametrize(
    "damage",
    [
        {"rows": None},
        {"rows": 3},
        {"rows": [row(FINAL, psnr=3)]},
        {"rows": [row(FINAL, psnr={"value": float("nan")})]},
        {"rows": [{"name": 3}]},
        {"rows": [row(FINAL, psnr={"value": True, "low": "x"})], "comparisons": "x"},
    ],
)
def test_damage_leaves_the_headline_out(tmp_path: Path, damage: dict[str, Any]) -> None:
    write(tmp_path, "evaluation", evaluation(**damage))
    assert headline(tmp_path) is None


@pytest.mark.parametrize(
    "comparisons",
    [3, [3], [compared("psnr", None, 1)], [{"metric": ["psnr"], "a": FINAL, "b": SHARED}]],
)
def test_damaged_comparisons_leave_the_verdict_out(tmp_path: Path, comparisons: Any) -> None:
    write(tmp_path, "evaluation", evaluation(comparisons=comparisons))
    assert headline(tmp_path).numbers[0].verdict == ""


def test_an_empty_folder_has_no_headline(tmp_path: Path) -> None:
    assert headline(tmp_path) is None
