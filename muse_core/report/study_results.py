"""What notebooks 06 and 07 do around their story: run what a study lacks, and gather its rows and
its gradients.
"""

from ast import literal_eval
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from muse_core import paths
from muse_core.config.parameters import StudyParameters, StudyRunParameters
from muse_core.errors import MuseError
from muse_core.evaluation.evaluate import Evaluated, from_stored
from muse_core.evaluation.gradients.geometry_records import (
    GeometryAtStep,
    mean_cosine,
    read_geometry,
)
from muse_core.evaluation.study_rows import plain_cell, study_cell
from muse_core.notebook import print_setup, say
from muse_core.report.arguments import known_parameters
from muse_core.report.run import duration
from muse_core.report.study import PlannedRun, Study, study_named
from muse_core.report.study_run import RECORDER, geometry_file, row_file, stage_runs
from muse_core.report.study_runner import RunState, line, run_study
from muse_core.results.measurements import METRICS, StudyCell, StudyRecord, StudyRow
from muse_core.results.records import provenance, read_json, write_json
from muse_core.results.tensor_files import read_stored
from muse_core.training.stage_run import StageRun
from muse_core.training.trainer import accelerator_for

PAIR = ("pixels", "semantics")
"""The two tasks whose cosine is the table's column."""


@dataclass(frozen=True)
class StageGeometry:
    """The recorder's measurements in one stage of one run; ``starts``: the steps that were done
    before the stage.
    """

    stage: str
    starts: int
    rows: list[GeometryAtStep]


@dataclass
class StudyResults:
    """A study as it stands: its runs, and what each left."""

    parameters: StudyParameters
    study: Study
    states: list[RunState]

    @property
    def names(self) -> list[str]:
        return list(self.study.spec.rows)

    def done(self, row: str) -> list[PlannedRun]:
        """The finished runs of a row, by seed."""
        return [
            state.planned
            for state in self.states
            if state.planned.row == row and state.status == "done"
        ]

    def require(self, *rows: str) -> None:
        """Raises MuseError where the study has no finished run of a row that a picture needs."""
        for row in rows:
            if row not in self.names:
                raise MuseError(
                    f"The study {self.study.spec.name!r} has no row {row!r}, which this notebook compares: "
                    f"its rows are {', '.join(self.names)}; add it, or choose another study."
                )
            if not self.done(row):
                reasons = "; ".join(
                    line(state) for state in self.states if state.planned.row == row
                )
                raise MuseError(
                    f"No run of the row {row!r} is done ({reasons}): mend that and run this notebook again."
                )

    @cached_property
    def evaluated(self) -> dict[tuple[str, int], Evaluated]:
        """(row, seed) -> its figures."""
        return {
            (run.row, run.seed): _evaluated(run) for row in self.names for run in self.done(row)
        }

    def stages(self, run: PlannedRun) -> list[StageRun]:
        """The stages a run was trained in."""
        known = {
            name: value
            for name, value in self._parameters(run).items()
            if name in StudyRunParameters.model_fields
        }
        return stage_runs(StudyRunParameters.check(**known))

    def geometry(self, row: str) -> list[list[StageGeometry]]:
        """For each finished seed of a row, its stages in order."""
        return [self._geometry_of(run) for run in self.done(row)]

    def _geometry_of(self, run: PlannedRun) -> list[StageGeometry]:
        found, starts = [], 0
        for stage in self.stages(run):
            found.append(
                StageGeometry(
                    stage.stage, starts, read_geometry(geometry_file(run.run, stage.stage))
                )
            )
            starts += stage.load_stage().steps
        return found

    def _parameters(self, run: PlannedRun) -> dict[str, Any]:
        """All parameters of a run, with the notebook's defaults where the study says nothing."""
        defaults = {
            name: literal_eval(each.default)
            for name, each in known_parameters(self.study.notebook).items()
        }
        return defaults | run.parameters

    def overheads(self) -> list[float]:
        """For each finished run: the recorder's time as a share of the training's."""
        return [
            found
            for row in self.names
            for run in self.done(row)
            if (found := self._overhead(run)) is not None
        ]

    def _overhead(self, run: PlannedRun) -> float | None:
        records = [read_json(stage.record_file) for stage in self.stages(run)]
        took = sum((record["observers"].get(RECORDER, 0.0) for record in records), 0.0)
        return took / sum(record["seconds"] for record in records) if took else None

    @cached_property
    def record(self) -> StudyRecord:
        """The table."""
        common, first = self.study.spec.common, next(iter(self.evaluated.values()), None)
        return StudyRecord(
            study=self.study.spec.name,
            preset=str(common.get("preset", "smoke")),
            data=str(common.get("data", "scenes")),
            seeds=list(self.study.spec.seeds),
            n_test=first.row.measurements["psnr"].n if first else 0,
            rows=[self._row(name) for name in self.names],
            commits=sorted({state.commit for state in self.states if state.commit}),
            provenance=provenance(str(accelerator_for(self.parameters.device).device)),
        )

    def _row(self, name: str) -> StudyRow:
        spec = self.study.spec.rows[name]
        mine = [state for state in self.states if state.planned.row == name]
        return StudyRow(
            name=name,
            words=spec.words,
            parameters=spec.change,
            paper=spec.paper,
            expects=spec.expects,
            cells=self._cells(name),
            failures=[
                f"seed {state.planned.seed}: {state.error or state.status}"
                for state in mine
                if state.status != "done"
            ],
            seconds=sum((state.seconds for state in mine), 0.0),
        )

    def _cells(self, name: str) -> dict[str, StudyCell]:
        """Metric -> cell; differences are over the seeds that both this row and the first have."""
        first = self.names[0]
        own = {run.seed: self.evaluated[name, run.seed] for run in self.done(name)}
        base = (
            {run.seed: self.evaluated[first, run.seed] for run in self.done(first)}
            if name != first
            else {}
        )
        both = [seed for seed in own if seed in base]
        seeds = both or list(own)
        found = {
            metric: study_cell(metric, [own[seed] for seed in seeds], [base[seed] for seed in both])
            for metric in METRICS
        }
        found["gradient_cosine"] = plain_cell(
            self._cosines(name, seeds), self._cosines(first, both)
        )
        return {metric: cell for metric, cell in found.items() if cell is not None}

    def _cosines(self, name: str, seeds: list[int]) -> list[float]:
        held = {
            run.seed: [row for stage in self._geometry_of(run) for row in stage.rows]
            for run in self.done(name)
        }
        found = [mean_cosine(held[seed], PAIR) for seed in seeds]
        return [value for value in found if value is not None]

    def save(self) -> Path:
        """Write ``records/ablations.json``."""
        record = asdict(self.record)
        for row, own in zip(record["rows"], self.record.rows, strict=True):
            row["outcome"] = own.outcome
        file = write_json(paths.records_folder(self.parameters.run) / "ablations.json", record)
        print(f"record     {file.relative_to(paths.root())}")
        return file


def open_study(**parameters: Any) -> StudyResults:
    """Check the parameters, run what the study lacks, say how it stands.

    Raises MuseError, one sentence, for a wrong parameter, a mistake in the study's file, or a study
    without a finished run."""
    checked = StudyParameters.check(**parameters)
    study = study_named(checked.study)
    print_setup(
        str(study.spec.common.get("preset", "smoke")),
        str(accelerator_for(checked.device).device),
        study=study.spec.name,
    )
    found = run_study(study, checked.jobs)
    done = [state for state in found if state.status == "done"]
    say(
        f"{len(done)} of {len(found)} runs are done; together they took {duration(sum(s.seconds for s in done))}."
    )
    for state in found:
        if state.status != "done":
            say(line(state))
    if not done:
        raise MuseError(
            f"No run of the study {study.spec.name!r} could be finished: see the reasons above."
        )
    return StudyResults(checked, study, found)


def verdicts(record: StudyRecord) -> list[str]:
    """How many of the paper's statements came out, and which did not."""
    stated = [row for row in record.rows if row.expects]
    names = {word: [row.name for row in stated if row.outcome == word] for word in OUTCOMES}
    said = [
        f"{words} ({len(names[word])} of the paper's {len(stated)} statements): {', '.join(names[word])}."
        for word, words in OUTCOMES.items()
        if names[word]
    ]
    return said or ["The study has no row of which the paper says anything."]


OUTCOMES = {
    "reproduced": "Reproduced",
    "in part": "Reproduced in part",
    "not at this scale": "Not seen at this scale",
    "failed": "Not trained",
}


def _evaluated(run: PlannedRun) -> Evaluated:
    stored = read_stored(row_file(run.run))
    if stored is None:
        raise MuseError(
            f"Run {run.run!r} is done, but its row is missing or damaged: delete reports/{run.run} and run the "
            "study again."
        )
    return from_stored(run.run, stored)


def finite(values: list[float | None]) -> np.ndarray:
    """As an array, with not-a-number for None."""
    return np.array([np.nan if value is None else value for value in values], dtype=float)
