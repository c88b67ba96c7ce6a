"""The record of a study's page, from what its runs measured."""

from collections.abc import Mapping, Sequence

from muse_core.evaluation.evaluate import Evaluated
from muse_core.evaluation.seed_cells import Cells
from muse_core.report.study import RowSpec, RunState, Study
from muse_core.results.measurements import StudyRecord, StudyRow
from muse_core.results.records import provenance

Measured = Mapping[str, Mapping[int, Evaluated]]
"""Row -> seed -> what a run measured."""


def study_record(
    study: Study, states: Sequence[RunState], measured: Measured, cells: Cells, device: str
) -> StudyRecord:
    """Rows in the order of the study's file, with the seeds that did not finish and why.

    Args:
        study: What was asked for.
        states: Of all its runs.
        measured: Of those that are done.
        cells: As `cells_over_seeds` makes them.
        device: Where the page is made.
    """
    said, of_runs = study.spec.common, [each.row for m in measured.values() for each in m.values()]
    return StudyRecord(
        study=study.spec.name,
        preset=str(said.get("preset", "smoke")),
        data=str(said.get("data", "scenes")),
        seeds=list(study.spec.seeds),
        n_test=max(each.n for row in of_runs for each in row.measurements.values()),
        rows=[_row(name, spec, states, cells) for name, spec in study.spec.rows.items()],
        commits=sorted({state.commit for state in states if state.commit}),
        provenance=provenance(device),
    )


def _row(name: str, spec: RowSpec, states: Sequence[RunState], cells: Cells) -> StudyRow:
    mine = [state for state in states if state.planned.row == name]
    undone = [state for state in mine if state.status != "done"]
    return StudyRow(
        name=name,
        words=spec.words,
        parameters=spec.change,
        paper=spec.paper,
        expects=spec.expects,
        cells=cells.get(name, {}),
        failures=[f"seed {each.planned.seed}: {each.error or each.status}" for each in undone],
        seconds=sum((each.seconds for each in mine), 0.0),
        figures=spec.figures,
        against=spec.against,
    )


def trained_with_other_code(states: Sequence[RunState]) -> str:
    """How many runs were, and which folders changed since; "" for none."""
    others = [state for state in states if state.other_code]
    folders = ", ".join(sorted({folder for state in others for folder in state.other_code}))
    if not others:
        return ""
    return (
        f"{len(others)} of {len(states)} runs were trained before some file in {folders} changed; "
        "muse study NAME --list says which."
    )
