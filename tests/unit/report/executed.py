"""Executed notebooks as a run leaves them, without running anything."""

import base64
import io
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image

from muse_core.report.stamps import Stamp, page_key, write_stamp
from muse_core.results.measurements import Comparison, EvaluationRecord, Measurement, Row
from muse_core.results.records import provenance, write_json


def png(width: int = 32, height: int = 24, colour: str = "red") -> bytes:
    """A plain picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, format="PNG")
    return buffer.getvalue()


def picture(alt: str, data: bytes | None = None, **notes: Any) -> Any:
    """What a `Picture` leaves in a notebook."""
    output = nbformat.v4.new_output(
        "display_data", data={"image/png": base64.b64encode(data or png()).decode()}
    )
    output.metadata.update({"muse": {"name": "a", "alt": alt, **notes}})
    return output


def executed_copy(source: Path, run: str, *outputs: Any, **changes: Any) -> Path:
    """An executed copy of a source notebook whose last cell gave ``outputs``, with a stamp that
    fits it.
    """
    path = source.parents[1] / "reports" / run / source.name
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(source, as_version=4)
    notebook.cells[-1].outputs = list(outputs)
    nbformat.write(notebook, path)
    values = {
        "status": "done",
        "run": run,
        "commit": "abc",
        "preset": "tiny",
        "device": "cpu",
        "seconds": 90.0,
    }
    key = page_key(source, {}, path.parent)
    values |= {"date": "2026-01-01T10:00:00+00:00", "key": key}
    write_stamp(path, Stamp(**values | changes))
    return path


FINAL, SHARED = "MUSE, after stage 3", "shared routing, after stage 3"
"""Rows as the evaluation names them."""


def write_evaluation(run: Path, *comparisons: Comparison, **rows: dict[str, Measurement]) -> Path:
    """``records/evaluation.json`` of a run; ``final`` and ``shared`` name the two rows compared."""
    names = {"final": FINAL, "shared": SHARED}
    found = [Row(names.get(name, name), "", figures) for name, figures in rows.items()]
    record = EvaluationRecord(
        run=run.name,
        preset="tiny",
        data="scenes",
        split="test",
        n_train=10,
        n_test=1000,
        seed=0,
        rows=found,
        comparisons=list(comparisons),
        notes=[],
        seconds=1.0,
        provenance=provenance(),
    )
    return write_json(run / "records" / "evaluation.json", record)
