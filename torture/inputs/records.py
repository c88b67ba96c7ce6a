"""Records that came to harm, and figures and tables asked for what is not there."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from muse_core import paths
from muse_core.evaluation.evaluate import from_stored
from muse_core.evaluation.gradients.geometry_records import read_geometry
from muse_core.figures.curves import loss_curves
from muse_core.figures.explorer import AttentionSource, explorer_data, looked_at
from muse_core.figures.image_grids import image_grid, mask_overlay
from muse_core.figures.publish import show
from muse_core.figures.result_tables import intervals, results_table
from muse_core.report.gallery import put
from muse_core.report.study_results import StudyResults
from muse_core.report.study_run import finished
from muse_core.results.measurements import Measurement, Row
from muse_core.results.records import read_json, read_jsonl
from torture.bad_input import BadInput, Desk
from torture.workspace import planted_stage

AGAIN, MEND = "run its notebook again", "delete it"
ONE_ROW = json.dumps({"step": 1, "loss/total": 0.5})


def _file(
    name: str, content: bytes | str | None, read: Callable[[Any], Any]
) -> dict[str, Callable[[Desk], Any]]:
    def arrange(desk: Desk) -> None:
        if content is not None:
            (desk.folder / name).write_bytes(
                content.encode() if isinstance(content, str) else content
            )

    return {"arrange": arrange, "act": lambda desk: read(desk.folder / name)}


JSON_FILES = tuple(
    BadInput(
        f"record: {words}",
        f"looks at a record with {words}",
        "mine.json",
        fix,
        **_file("mine.json", content, read_json),
    )
    for words, content, fix in (
        ("nothing there", None, "run the notebook that writes it first"),
        ("no content", "", AGAIN),
        ("half of it", '{"steps": 4', AGAIN),
        ("a list", "[1, 2]", AGAIN),
        ("one number", "7", AGAIN),
        ("null", "null", AGAIN),
        ("bytes", b"\xff\xfe\x00\x01", AGAIN),
        ("brackets without end", "[" * 100_000, AGAIN),
        ("two objects", "{}{}", AGAIN),
    )
)
JSONL_FILES = tuple(
    BadInput(
        f"metrics: {words}",
        f"draws curves from metrics with {words}",
        names,
        MEND,
        **_file("mine.jsonl", content, lambda file: list(read_jsonl(file))),
    )
    for words, content, names in (
        ("a damaged line in the middle", f'{ONE_ROW}\n{{"step": 2, "lo\n{ONE_ROW}\n', "Line 2"),
        ("a number in the middle", f"{ONE_ROW}\n7\n{ONE_ROW}\n", "Line 2"),
        ("a list at its start", f"[1]\n{ONE_ROW}\n", "Line 1"),
        (
            "bytes in the middle",
            ONE_ROW.encode() + b"\n\xff\xfe\x00\n" + ONE_ROW.encode() + b"\n",
            "Line 2",
        ),
    )
)
GEOMETRY = tuple(
    BadInput(
        f"geometry: {words}",
        f"reads gradients with {words}",
        "mine.jsonl",
        MEND,
        **_file("mine.jsonl", content, read_geometry),
    )
    for words, content in (
        ("rows of losses", f"{ONE_ROW}\n"),
        ("energies as a list", '{"step": 1, "energy": [1], "pairs": {}}\n'),
        ("pairs of one number", '{"step": 1, "energy": {}, "pairs": {"a|b": {"W_Q/0": [1]}}}\n'),
    )
)
STORED_ROWS = tuple(
    BadInput(
        f"stored row: {words}",
        f"compares runs whose stored row has {words}",
        "mine",
        "measure it again",
        lambda desk, note=note: from_stored("mine", ({}, note)),
    )
    for words, note in (
        ("no measurements", {"subject": "a"}),
        ("measurements of one number", {"subject": "a", "measurements": {"psnr": 7}}),
        (
            "fields nobody knows",
            {"subject": "a", "measurements": {"psnr": {"value": 7.0, "colour": "blue"}}},
        ),
    )
)


def _with_record(name: str, content: str) -> dict[str, Callable[[Desk], Any]]:
    """A run that a study takes for finished, with its record damaged."""

    def arrange(desk: Desk) -> None:
        stage = planted_stage(name)
        stage.tokenizer_folder.mkdir(parents=True)
        (stage.tokenizer_folder / "config.json").write_text("{}")
        stage.record_file.parent.mkdir(parents=True)
        stage.record_file.write_text(content)

    return {"arrange": arrange, "act": lambda desk: finished(planted_stage(name))}


FINISHED = (
    BadInput(
        "study run: a record cut short",
        "goes on with a study whose record is damaged",
        "stage1.json",
        AGAIN,
        **_with_record("cut-record", '{"stage"'),
    ),
    BadInput(
        "study run: a record of other parameters",
        "goes on with another seed",
        "seed",
        "use another run name",
        **_with_record(
            "other-record",
            json.dumps(
                {
                    "stage": "01_topology_warmup",
                    "preset": "smoke",
                    "data": "scenes",
                    "routing": "orthogonal",
                    "seed": 5,
                }
            ),
        ),
    ),
)


def _sources() -> list[AttentionSource]:
    maps = np.full((1, 2, 2, 4, 4), 0.25, dtype=np.float32)
    return [AttentionSource("student", "student", maps, (2, 2))]


PLACE = {"image": 0, "layer": 0, "head": 0, "patch": 0, "keys": False}
SELECTIONS = tuple(
    BadInput(
        f"explorer: {name}",
        f"sets explorer.selection to {changes}",
        names,
        "choose 0 to",
        lambda desk, changes=changes: looked_at(_sources(), PLACE | changes),
    )
    for name, changes, names in (
        ("an image too far", {"image": 1}, "image 1"),
        ("a layer below zero", {"layer": -1}, "layer -1"),
        ("a head too far", {"head": 2}, "head 2"),
        ("a patch too far", {"patch": 4}, "patch 4"),
        ("a patch in words", {"patch": "left"}, "patch 'left'"),
        ("half a layer", {"layer": 0.5}, "layer 0.5"),
    )
)

IMAGES, ROW = np.zeros((2, 8, 8, 3)), Row("a", "b", {"psnr": Measurement(20.0, 4)})
FIGURES = tuple(
    BadInput(f"figure: {name}", f"draws {name}", names, fix, lambda desk, draw=draw: draw())
    for name, draw, names, fix in (
        (
            "a loss nobody recorded",
            lambda: loss_curves([{"step": 1, "loss/a": 1.0}], ["loss/b"]),
            "loss/b",
            "choose one of",
        ),
        ("curves of no rows", lambda: loss_curves([], ["loss/a"]), "loss/a", "choose one of"),
        (
            "images of one channel",
            lambda: image_grid(np.zeros((2, 8, 8, 1))),
            "(2, 8, 8, 1)",
            "give (n, h, w, 3)",
        ),
        (
            "masks of another size",
            lambda: mask_overlay(IMAGES, np.zeros((2, 4, 4))),
            "(2, 4, 4)",
            "resize",
        ),
        (
            "a table of nothing",
            lambda: results_table([], ["psnr"], "mine"),
            "mine",
            "at least one row",
        ),
        (
            "a metric nobody knows",
            lambda: results_table([ROW], ["beauty"], "mine"),
            "beauty",
            "choose one of",
        ),
        (
            "intervals nobody measured",
            lambda: intervals([ROW], "miou", "mine"),
            "miou",
            "no row has a value",
        ),
        ("no still", lambda: show(None, None, name="a", alt="words"), "no still", "give show()"),
        (
            "a name that leaves",
            lambda: show(None, None, name="../up", alt="words"),
            "../up",
            "letters, digits",
        ),
        (
            "no words for readers",
            lambda: show(None, None, name="a", alt=" "),
            "alt text",
            "say in one sentence",
        ),
        (
            "an explorer of nobody",
            lambda: explorer_data(IMAGES, ["a", "b"], []),
            "neither a teacher nor",
            "give it one",
        ),
        (
            "an explorer with a name too few",
            lambda: explorer_data(IMAGES, ["a"], _sources()),
            "1 names",
            "one name an image",
        ),
    )
)


def _not_a_gallery(desk: Desk) -> None:
    (desk.folder / "gallery").mkdir()
    (desk.folder / "gallery" / "thesis.tex").write_text("years of work")


GALLERY = BadInput(
    "gallery: a folder of something else",
    "writes a gallery over other files",
    "gallery",
    "move it away",
    lambda desk: put({"index.html": b""}, desk.folder / "gallery"),
    _not_a_gallery,
)


def _required(desk: Desk) -> None:
    from muse_core.config.parameters import StudyParameters
    from muse_core.report.study import study_named
    from muse_core.report.study_runner import states

    given = StudyParameters.check(run="smoke", study="smoke", jobs=1, device="cpu")
    study = study_named("smoke")
    StudyResults(given, study, states(study)).require("full")


REQUIRED = BadInput(
    "study: a row that is not done",
    "opens notebook 06 on an unfinished study",
    "full",
    "run this notebook again",
    _required,
)
UNWRITABLE = BadInput(
    "workspace: a file where reports should be",
    "points MUSE_ROOT at a file",
    "file",
    "set MUSE_ROOT",
    lambda desk: paths.writable(desk.folder / "file" / "reports"),
    lambda desk: (desk.folder / "file").write_text("a"),
)
ROWS = (
    *JSON_FILES,
    *JSONL_FILES,
    *GEOMETRY,
    *STORED_ROWS,
    *FINISHED,
    *SELECTIONS,
    *FIGURES,
    GALLERY,
    REQUIRED,
    UNWRITABLE,
)
