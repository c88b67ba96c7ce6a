"""Notebook 08's conclusions follow its numbers, whichever way they fall."""

from dataclasses import replace

import pytest

from muse_core.config.parameters import GenerationParameters
from muse_core.errors import MuseError
from muse_core.generation.generation_run import GenerationRun
from muse_core.report.generation_session import _difference, conclusions, followed
from muse_core.results.measurements import GenerationRecord, Measurement, Row
from muse_core.results.records import provenance


def row(name: str, distance: float, half: float, whole: float) -> Row:
    return Row(
        name,
        "weights",
        {
            "fd_teacher": Measurement(distance, 100, "", distance - half, distance + half),
            "follows_all": Measurement(whole, 100, "", whole - 0.05, whole + 0.05),
            "follows_relation": Measurement.missing("no prompt"),
        },
    )


MUSE, NEAR, FAR = (
    row("MUSE", 0.5, 0.1, 0.6),
    row("shared routing", 0.55, 0.1, 0.6),
    row("plain autoencoder", 2.0, 0.1, 0.2),
)


def test_rows_are_told_apart_only_beyond_both_intervals() -> None:
    assert _difference("fd_teacher", MUSE, NEAR).verdict == "no difference"
    assert _difference("fd_teacher", MUSE, FAR).verdict == "better", "a smaller distance"
    assert _difference("fd_teacher", FAR, MUSE).verdict == "worse"
    without = replace(MUSE, measurements={"fd_teacher": Measurement(0.0, 100)})
    assert _difference("fd_teacher", without, FAR).verdict == "no difference", (
        "nothing is known about its spread"
    )


def test_what_was_not_measured_is_left_out() -> None:
    assert followed(MUSE) == {"all": (0.6, pytest.approx(0.55), pytest.approx(0.65))}


def test_conclusions_name_both_verdicts() -> None:
    comparisons = [_difference("fd_teacher", MUSE, NEAR), _difference("fd_teacher", MUSE, FAR)]
    along = {"MUSE": [[1600.0, 0.5]], "plain autoencoder": [[1600.0, 2.0]]}
    record = GenerationRecord(
        run="mine",
        preset="tiny",
        data="scenes",
        tokenizers="mine",
        denoiser="tiny",
        seed=0,
        steps=1600,
        batch_size=64,
        images=100,
        guidance=3.0,
        sampling_steps=16,
        n_test=100,
        n_convergence=50,
        rows=[MUSE, NEAR, FAR],
        comparisons=comparisons,
        convergence=along,
        reconstruction={},
        copies={},
        background_psnr={},
        seconds_an_image=0.1,
        notes=[],
        provenance=provenance(),
    )
    said = conclusions(record)
    assert "After 1,600 steps" in said[0] and "MUSE 0.50, plain autoencoder 2.00" in said[0]
    assert "no difference" in said[1] and "better" in said[2]


def test_parameters_are_checked_and_the_tokenizers_may_be_another_runs() -> None:
    given = dict(
        run="mine",
        preset="tiny",
        data="scenes",
        tokenizers="",
        compare=True,
        steps=0,
        batch_size=0,
        images=0,
        denoiser="",
        guidance=3.0,
        sampling_steps=16,
        drawn=0,
        seed=0,
        device="auto",
        resume=False,
        download=False,
    )
    assert GenerationParameters.check(**given).steps is None
    for name, value, sentence in [
        ("guidance", -1, "guidance must be a number of at least 0"),
        ("sampling_steps", 0, "sampling_steps must be an integer of at least 1"),
    ]:
        with pytest.raises(MuseError, match=sentence):
            GenerationParameters.check(**given | {name: value})
    run = GenerationRun("mine", "tiny", "shared", tokenizers="tiny")
    assert run.tokenizer_run().run == "tiny-shared" and run.folder.parts[-3:] == (
        "mine",
        "08_generation",
        "shared",
    )
