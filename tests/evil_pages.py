"""A run whose data set, names and records hold HTML, scripts and formulas, shown by everything that
draws and exports.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

IMAGE = "<img src=x onerror=window.owned=1>"
SCRIPT = "</script><script>window.owned=2</script>"
SVG = "<svg onload=window.owned=3>"
LINK = "<a href=javascript:window.owned=4>click</a>"
QUOTES = '" onmouseover="window.owned=5" x=\''
FORMULA = r"$\frac{5$ and $6 \bad{"
EVIL = (IMAGE, SCRIPT, SVG, LINK, QUOTES, FORMULA)
MARK = "window.owned"


def write_data(root: Path) -> str:
    """A folder of images whose classes are called like this (a folder's name holds no slash); the
    ``data`` that names it.
    """
    from PIL import Image

    for at, name in enumerate((IMAGE, SVG, FORMULA.replace("/", ""), "cat")):
        for split in ("train", "val", "test"):
            (root / split / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), (60 * at, 90, 200)).save(root / split / name / f"{at}.png")
    return f"folder:{root}"


def write_captions(root: Path) -> str:
    """Captioned images, every caption and label of them evil."""
    from PIL import Image

    (root / "images").mkdir(parents=True)
    lines = []
    for at, text in enumerate(EVIL * 3):
        Image.new("RGB", (32, 32), (12 * at, 90, 200)).save(root / "images" / f"{at}.png")
        lines.append(
            json.dumps(
                {"file_name": f"{at}.png", "captions": [text], "label": text, "split": "train"}
            )
        )
    (root / "captions.jsonl").write_text("\n".join(lines))
    return f"captions:{root}"


@contextmanager
def recorded() -> Iterator[list[Any]]:
    """What is displayed meanwhile, as a notebook's outputs."""
    outputs: list[Any] = []

    def display(shown: Any, metadata: Any = None, raw: bool = False, **_: Any) -> None:
        data = shown if raw else {"text/plain": "html", "text/html": shown._repr_html_()}
        outputs.append(nbformat.v4.new_output("display_data", data=data, metadata=metadata or {}))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("IPython.display.display", display)
        patch.setattr("muse_core.notebook.display", display)
        yield outputs


def pictures(folder: Path) -> list[Any]:
    """Outputs of the figures that show captions, class names, file names, prompts and rows."""
    from muse_core.data.sources import open_source
    from muse_core.figures import (
        image_grid,
        intervals,
        mask_overlay,
        sample_grid,
        sample_strips,
        similarity_matrix,
    )
    from muse_core.results.measurements import Measurement, Row

    captioned = open_source(write_captions(folder / IMAGE), "train", 32)
    classes = open_source(write_data(folder / "classes"), "train", 32)
    batch, images = captioned.first(6), classes.first(4).images.numpy()
    texts, names = list(batch.captions), list(classes.class_names)
    masks = np.tile(np.arange(4, dtype=int)[:, None], (len(images), 8, 32))
    rows = [Row(text, "", {"psnr": Measurement(20.0, 4, low=19.0, high=21.0)}) for text in EVIL]
    drawn = {
        "captions": image_grid(batch.images.numpy(), texts, title=f"Images of {captioned.name}"),
        "classes": image_grid(images, classes.first(4).captions, title=IMAGE),
        "masks": mask_overlay(images, masks, names, title=FORMULA),
        "similarity": similarity_matrix(np.eye(6), texts, texts, title=SVG),
        "prompts": sample_grid(batch.images.numpy(), texts, title=FORMULA),
        "strips": sample_strips({IMAGE: images, FORMULA: images}, LINK),
        "intervals": intervals(rows, "psnr", IMAGE),
    }
    outputs = []
    for name, picture in drawn.items():
        data, notes = picture.shown(name, f"{name}: {' '.join(EVIL)}")._repr_mimebundle_()
        outputs.append(nbformat.v4.new_output("display_data", data=data, metadata=notes))
    return outputs


def tables() -> list[Any]:
    """Outputs of tables and sentences in HTML."""
    from IPython.display import HTML

    from muse_core.figures import (
        comparison_table,
        features_table,
        outcome_sentences,
        results_table,
        study_table,
    )
    from muse_core.figures.explorer import AttentionView, explorer_data, explorer_fragment
    from muse_core.figures.prompt_box import PromptBox
    from muse_core.notebook import learned
    from muse_core.results.measurements import (
        Comparison,
        Measurement,
        Row,
        StudyCell,
        StudyRecord,
        StudyRow,
    )
    from muse_core.results.records import provenance

    rows = [
        Row(
            text,
            text,
            {
                "psnr": Measurement(20.0, 4, details={"by_feature": {text: 0.5}}),
                "miou": Measurement.missing(text),
            },
        )
        for text in EVIL
    ]
    study_rows = [StudyRow(text, text, {}, text, {}, {}, [text], 1.0) for text in EVIL]
    study_rows[0] = replace(study_rows[0], cells={"psnr": StudyCell(20.0, 19.0, 21.0, [20.0])})
    record = StudyRecord(IMAGE, LINK, SCRIPT, [0], 4, study_rows, ["abc"], provenance())
    maps = np.full((1, 1, 1, 4, 4), 0.25, dtype=np.float32)
    sources = [
        AttentionView(IMAGE, "student", maps, (2, 2)),
        AttentionView(SCRIPT, "teacher", maps, (2, 2)),
    ]
    with recorded() as outputs:
        learned(*outcome_sentences(record))
    pages = [
        results_table(rows, ["psnr", "miou"], SCRIPT),
        features_table(rows, "psnr"),
        comparison_table([Comparison("psnr", IMAGE, SCRIPT, 1.0, 0.5, 1.5)]),
        study_table(record, ["psnr"]),
        explorer_fragment(explorer_data(np.zeros((1, 8, 8, 3)), [IMAGE], sources)),
        PromptBox(_refusing, IMAGE).sentence.value,
    ]
    shown = [HTML(page)._repr_html_() for page in pages]
    return outputs + [
        nbformat.v4.new_output("display_data", data={"text/html": page}) for page in shown
    ]


def _refusing(prompt: str, guidance: float, seed: int) -> Any:
    from muse_core.errors import MuseError

    raise MuseError(f"This generator never saw {prompt}: its words are {' '.join(EVIL)}.")


def texts() -> list[Any]:
    """Outputs of prints, values and a failed cell."""
    every = "\n".join(EVIL)
    return [
        nbformat.v4.new_output("stream", name="stdout", text=every),
        nbformat.v4.new_output("stream", name="stderr", text=f"\x1b[31m{every}\x1b[0m"),
        nbformat.v4.new_output("execute_result", data={"text/plain": every}, execution_count=1),
        nbformat.v4.new_output(
            "error",
            ename="MuseError",
            evalue=every,
            traceback=[f"MuseError: {one}" for one in EVIL],
        ),
    ]


def write_run(root: Path) -> Path:
    """The run "evil" in the workspace ``root``: its page, the index and a gallery's README; returns
    the page.
    """
    from muse_core.report import html, index
    from muse_core.report.stamps import Stamp, write_stamp
    from muse_core.report.summary import summary

    run = root / "reports" / "evil"
    (run / "records").mkdir(parents=True)
    stage = {
        "preset": IMAGE,
        "data": f"folder:/somewhere/{SVG}",
        "routing": LINK,
        "losses": {IMAGE: {"first": 1, "last": 2}},
    }
    (run / "records" / "stage1.json").write_text(json.dumps(stage | {"steps": 4, "seconds": 9.0}))
    outputs = pictures(root / "data") + tables() + texts()
    cells = [
        nbformat.v4.new_markdown_cell("# 00 · Evil\n\nA claim."),
        nbformat.v4.new_code_cell("1", outputs=outputs),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), run / "00_evil.ipynb")
    stamp = Stamp(
        "key",
        "failed",
        "evil",
        IMAGE,
        SCRIPT,
        SVG,
        "2026-01-01T10:00:00+00:00",
        90.0,
        error=" ".join(EVIL),
    )
    write_stamp(run / "00_evil.ipynb", stamp)
    (root / "reports" / "javascript:window.owned=6").mkdir()
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells[:1]),
        root / "reports" / "javascript:window.owned=6" / "00_evil.ipynb",
    )
    page = html.export(run / "00_evil.ipynb")
    index.write()
    readme = index.render("README.md.j2", [summary(run)], title="Evil", lead="A lead.")
    (root / "reports" / "README.md").write_text(readme)
    return page
