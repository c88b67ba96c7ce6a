"""Executed notebooks as a run leaves them, without running anything."""

import base64
import io
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image

from muse_core.report import freshness
from muse_core.report.stamps import Stamp, write_stamp


def png(width: int = 32, height: int = 24, colour: str = "red") -> bytes:
    """A plain picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, format="PNG")
    return buffer.getvalue()


def picture(alt: str, data: bytes | None = None, **notes: Any) -> Any:
    """What `publish.show` leaves in a notebook."""
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
    key = freshness.expected_key(source, {}, path.parent, "package")
    values |= {"date": "2026-01-01T10:00:00+00:00", "key": key}
    write_stamp(path, Stamp(**values | changes))
    return path
