"""Every bad input, and how to try them all: each must be answered by one clear sentence and leave
what was made untouched.
"""

import tempfile
from pathlib import Path

from torture.bad_input import BadInput, Verdict, tried
from torture.inputs import (
    checkpoints,
    commands,
    data,
    foundations,
    own_images,
    parameters,
    pipelines,
    records,
    study_files,
)
from torture.workspace import planted_workspace

KINDS = (
    parameters,
    commands,
    study_files,
    data,
    own_images,
    checkpoints,
    foundations,
    pipelines,
    records,
)
TABLE: tuple[BadInput, ...] = tuple(row for kind in KINDS for row in kind.ROWS)


def try_all(table: tuple[BadInput, ...] = TABLE) -> tuple[int, list[Verdict]]:
    """(how many were tried, those that were not answered well)."""
    with tempfile.TemporaryDirectory() as folder, planted_workspace(Path(folder)) as workspace:
        verdicts = [tried(row, workspace) for row in table]
    return len(verdicts), [verdict for verdict in verdicts if verdict.why]
