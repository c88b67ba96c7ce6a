"""What a run of a study leaves for the table of its study: its row of figures, with what stands
behind it.
"""

from pathlib import Path

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.evaluation.evaluate import Evaluated, from_stored, to_stored
from muse_core.results.tensor_files import read_stored, write_stored


def row_file(run: str) -> Path:
    """Where a run of a study keeps its row."""
    return paths.records_folder(run) / "row.safetensors"


def write_row(run: str, evaluated: Evaluated) -> None:
    """Keep the row where `read_row` finds it. Raises MuseError when the disk refuses."""
    write_stored(row_file(run), to_stored(evaluated))


def read_row(run: str) -> Evaluated:
    """The row of a finished run. Raises MuseError where it is missing or damaged."""
    stored = read_stored(row_file(run))
    if stored is None:
        raise MuseError(
            f"Run {run!r} is done, but its row is missing or damaged: delete reports/{run} and run "
            "the study again."
        )
    return from_stored(run, stored)
