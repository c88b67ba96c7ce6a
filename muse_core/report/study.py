"""A study: a YAML file that names rows, each a few overrides away from the first, and seeds.

Here it is read and checked, and what it still lacks is run, several runs at a time.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from ast import literal_eval
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from muse_core import paths
from muse_core.config.overrides import SHORTHANDS, load_preset, shorthand
from muse_core.config.parameters import PARAMETERS, Seed
from muse_core.config.preset import Preset
from muse_core.config.safe_yaml import Unreadable, read_yaml
from muse_core.errors import MuseError, shown, unknown
from muse_core.report.arguments import Parameter, check_names, known_parameters, parse_value, typed
from muse_core.report.kept_images import kept_folder
from muse_core.report.kept_rows import (
    MEASURING,
    KeptRow,
    code_by_folder,
    configuration_digest,
    kept_file,
    read_kept,
    write_kept,
)
from muse_core.report.run import duration
from muse_core.report.stamps import read_stamp
from muse_core.results.measurements import METRICS
from muse_core.results.records import read_json
from muse_core.results.trained_code import code_digests, own_file

if TYPE_CHECKING:
    from muse_core.evaluation.evaluate import Evaluated

DIRECTIONS = ("lower", "higher", "same")
LOG = "study.log"
MOST_JOBS = 8


class RowSpec(BaseModel):
    """One row of a study's file.

    Args:
        words: What it is.
        change: What differs from the study's ``common``: parameters of the notebook, and fields of
            the preset by word ("routing", "without") or path ("connector.width").
        paper: What the paper says of it.
        expects: Metric -> what this means: "lower", "higher" or "same" than the row it is compared
            with, or "below NUMBER".
        against: The row it is compared with; "" for the first.
        control: It is no arm of the method, and its differences are judged apart.
        figures: Metric -> what the paper reports of it, in the unit of tables.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    words: str
    change: dict[str, Any] = Field(default_factory=dict)
    paper: str = ""
    expects: dict[str, str] = Field(default_factory=dict)
    against: str = ""
    control: bool = False
    figures: dict[str, float] = Field(default_factory=dict)


class StudySpec(BaseModel):
    """A study's file, once it holds what the files that it extends say. ``keep``: finished rows are
    written below ``reports/studies``, for the repository.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    about: str = ""
    notebook: str = "notebooks/studies/one_run.ipynb"
    common: dict[str, Any] = Field(default_factory=dict)
    seeds: list[Seed] = Field(min_length=1)
    keep: bool = False
    rows: dict[str, RowSpec] = Field(min_length=1)


class StudyFile(BaseModel):
    """What lies on disk. ``extends``: another file beside it, whose values this one changes;
    ``only``: the rows to keep.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    extends: Any = None
    only: list[str] | None = None
    common: dict[str, Any] = Field(default_factory=dict)
    rows: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class PlannedRun:
    """One execution of a study's notebook."""

    row: str
    seed: int
    run: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Study:
    """A study that was read; ``known``: the parameters of the notebook that it executes;
    ``folder``: where its file lies.
    """

    spec: StudySpec
    notebook: Path
    known: dict[str, Parameter]
    folder: Path

    @property
    def runs(self) -> list[PlannedRun]:
        """Seed by seed, so that a study that is stopped early has compared all rows with the
        first.
        """
        return [self._run(row, seed) for seed in self.spec.seeds for row in self.spec.rows]

    def _run(self, row: str, seed: int) -> PlannedRun:
        run = paths.check_run_name(f"{self.spec.name}.{row}.{seed}")
        given = self.spec.common | self.spec.rows[row].change | {"seed": seed, "run": run}
        own = {name: value for name, value in given.items() if name in (*self.known, "run")}
        if isinstance(system := own.get("system"), str):
            own["system"] = self._beside(system)
        fields = {name: value for name, value in given.items() if name not in own}
        words = [*self.known, *(SHORTHANDS if "overrides" in self.known else ())]
        check_names({name: 0 for name in fields if not self._path(name)}, words)
        pairs = [shlex.quote(f"{self._path(name)}={value}") for name, value in fields.items()]
        if pairs:
            own["overrides"] = " ".join(filter(None, [own.get("overrides"), *pairs]))
        return PlannedRun(row, seed, run, own)

    def _beside(self, system: str) -> str:
        """``FILE.py:Class`` whose file lies beside the study's, with its whole path."""
        file, colon, name = system.rpartition(":")
        there = self.folder / file
        return f"{there}:{name}" if colon and there.is_file() else system

    def _path(self, name: str) -> str | None:
        """The field of the preset that a word or a path stands for, where the notebook has any."""
        path = shorthand(name) or (name if "." in name else None)
        return path if "overrides" in self.known else None

    def all_parameters(self, run: PlannedRun) -> dict[str, Any]:
        """A run's parameters, with the notebook's defaults where the study says nothing."""
        defaults = {name: literal_eval(each.default) for name, each in self.known.items()}
        return defaults | run.parameters

    def preset(self, run: PlannedRun) -> Preset:
        """The preset that a run is trained with. Raises MuseError for an override of nothing."""
        given = self.all_parameters(run)
        return load_preset(given["preset"], given["overrides"])

    def kept_file(self, run: PlannedRun) -> Path:
        """Where the repository keeps the run's row."""
        return kept_file(self.spec.name, run.row, run.seed)

    def kept_image(self, run: PlannedRun, name: str) -> Path:
        """Where the repository keeps an image of the run."""
        return self.kept_file(run).with_suffix(f".{name}.png")

    def image(self, run: PlannedRun, name: str) -> Path | None:
        """An image that the run left, here or in the repository; None for none."""
        here = kept_folder(run.run) / f"{name}.png"
        return next((file for file in (here, self.kept_image(run, name)) if file.is_file()), None)

    def kept(self, run: PlannedRun) -> KeptRow | None:
        """The run's row as the repository keeps it; None for none, and for one that was trained or
        measured otherwise. Raises MuseError for one that is damaged.
        """
        found = read_kept(self.kept_file(run))
        return found if found and found.configuration == self.configuration(run) else None

    def configuration(self, run: PlannedRun) -> str:
        """A digest of all that decides a run's figures, but for the code."""
        return configuration_digest(self.preset(run), self.all_parameters(run))


def study_named(text: str, notebook: str = "") -> Study:
    """A study by its file, or by its name in ``studies/``.

    Args:
        text: Name or file.
        notebook: The name of the notebook that it has to run; "" for any.

    Raises:
        MuseError: Anything is wrong in the file, or it runs another notebook; one sentence.
    """
    file = _file(text)
    spec = _checked(StudySpec, _resolved(file), file)
    file_of = paths.user_path(spec.notebook)
    if not file_of.is_file():
        raise MuseError(
            f"The study {file.name} runs {spec.notebook}, which is no file: name a notebook."
        )
    if notebook and file_of.stem != notebook:
        raise MuseError(
            f"The study {file.name} runs {file_of.stem}, and this page is of one that runs "
            f"{notebook}: choose {' or '.join(_running(notebook)) or 'another'}."
        )
    if len(set(spec.seeds)) < len(spec.seeds):
        raise MuseError(f"The study {file.name} names a seed twice: give each once.")
    study = Study(spec, file_of, known_parameters(file_of), file.absolute().parent)
    for row in spec.rows.values():
        _check_expectations(row)
        if row.against and row.against not in spec.rows:
            raise unknown("row to compare with", row.against, spec.rows)
    for run in study.runs:
        _check_parameters(study, run)
    return study


def _running(notebook: str) -> list[str]:
    """The studies of ours that run a notebook."""
    files = sorted(paths.studies().glob("*.yaml"))
    said = {file.stem: _resolved(file).get("notebook", "") for file in files}
    return [name for name, runs in said.items() if Path(runs).stem == notebook]


def _file(text: str) -> Path:
    folder = paths.studies()
    for file in (paths.user_path(text), folder / f"{text}.yaml"):
        if file.is_file():
            return file
    known = sorted(each.stem for each in folder.glob("*.yaml"))
    kind = "study (and no file of that name)" if text.endswith((".yaml", ".yml")) else "study"
    raise unknown(kind, text, known or ["(there is no file in studies/)"])


Model = TypeVar("Model", bound=BaseModel)


def _checked(model: type[Model], values: Any, file: Path) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        what = {"missing": "it is missing", "extra_forbidden": "there is no such entry"}.get(
            first["type"], first["msg"][:1].lower() + first["msg"][1:]
        )
        raise MuseError(f"The study {file.name} has a mistake at {where}: {what}.") from None


def _resolved(file: Path, children: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The file's values over those of the file it extends, with the rows of both, or those that it
    keeps.
    """
    try:
        content = read_yaml(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, Unreadable) as error:
        reason = str(error).splitlines()[0]
        raise MuseError(f"The study {file} cannot be read ({reason}): mend the file.") from error
    if not isinstance(content, dict):
        raise MuseError(f"The study {file} is no mapping: it needs name, seeds and rows.")
    own = _checked(StudyFile, content, file)
    values = own.model_dump(exclude_unset=True)
    if own.extends is not None:
        parent = _parent(file, own.extends, (*children, file))
        base = _resolved(parent, (*children, file))
        merged = ("common", "rows")
        values = (
            base | values | {name: base.get(name, {}) | values.get(name, {}) for name in merged}
        )
    rows = values.get("rows", {})
    missing = [name for name in own.only or () if name not in rows]
    if missing:
        raise MuseError(
            f"The study {file.name} keeps only the row {shown(missing[0])}, which no file gives "
            "it: name "
            f"one of {', '.join(map(str, rows))}."
        )
    if own.only is not None:
        values["rows"] = {name: rows[name] for name in own.only}
    return {name: value for name, value in values.items() if name not in ("extends", "only")}


def _parent(file: Path, named: Any, children: tuple[Path, ...]) -> Path:
    beside = isinstance(named, str) and re.fullmatch(r"[\w.-]+", named)
    ours = paths.root() / "studies"
    places = [folder / f"{named}.yaml" for folder in (file.parent, ours)] if beside else []
    # A file of one's own may be called like the one in studies/ that it extends.
    there = sorted((each for each in places if each.is_file()), key=lambda each: each == file)
    parent = there[0] if there else None
    if parent and parent not in children:
        return parent
    absent = "is not there" if beside else "is no name of a file beside it"
    why = "extends this one" if parent in (*children, file) else absent
    raise MuseError(
        f"The study {file.name} extends {shown(named)}, which {why}: name one file beside it or in "
        "studies/, without .yaml."
    )


def _check_expectations(row: RowSpec) -> None:
    for metric in (*row.expects, *row.figures):
        if metric not in METRICS:
            raise unknown("metric", metric, METRICS)
    for direction in row.expects.values():
        if direction not in DIRECTIONS and not re.fullmatch(r"below -?\d+(\.\d+)?", direction):
            raise unknown("direction", direction, (*DIRECTIONS, "below NUMBER"))


def _check_parameters(study: Study, run: PlannedRun) -> None:
    """Raises MuseError for the first value that a notebook of ours would refuse, before anything is
    trained.
    """
    if asked := PARAMETERS.get(study.notebook.stem):
        try:
            asked.check(**study.all_parameters(run))
            study.preset(run)
        except MuseError as error:
            where = f"In the row {run.row!r} of the study {study.spec.name!r}"
            raise MuseError(f"{where}, {error}") from None


@dataclass(frozen=True)
class RunState:
    """One run of a study as it stands: ``status`` is "done", "missing", "changed" (done with other
    parameters), "failed", "interrupted" or "unfinished"; ``error`` says why. ``kept``: done, and in
    the repository alone; ``other_code``: the folders whose code is another now."""

    planned: PlannedRun
    status: str
    seconds: float = 0.0
    commit: str = ""
    error: str = ""
    kept: bool = False
    other_code: tuple[str, ...] = ()

    def __str__(self) -> str:
        took = f" after {duration(self.seconds)}" if self.seconds else ""
        why = f": {self.error}" if self.error else ""
        kept = ", kept in the repository" if self.kept else ""
        code = f", with other code in {', '.join(self.other_code)}" if self.other_code else ""
        return f"{self.planned.run}  {self.status}{took}{kept}{code}{why}"


def states(study: Study) -> list[RunState]:
    """How far the study is, from what lies on disk."""
    return [_state(study, run) for run in study.runs]


def _state(study: Study, run: PlannedRun) -> RunState:
    file = paths.report_folder(run.run) / study.notebook.name
    stamp, kept = read_stamp(file), study.kept(run)
    if kept is not None and (stamp is None or stamp.status != "done"):
        code = tuple(kept.other_code())
        return RunState(run, "done", kept.seconds, kept.commit, kept=True, other_code=code)
    if stamp is None:
        return RunState(run, "unfinished" if file.exists() else "missing")
    wanted = {
        name: parse_value(typed(value), study.known[name].type if name in study.known else "str")
        for name, value in run.parameters.items()
    }
    edited = own_file(str(wanted.get("system", "")))
    changed = stamp.status == "done" and (
        stamp.parameters != wanted or (edited is not None and not _as_stamped(file, edited))
    )
    status = "changed" if changed else stamp.status
    return RunState(run, status, stamp.seconds, stamp.commit, stamp.error)


def _as_stamped(report: Path, edited: Path) -> bool:
    """Whether a user's file is as it was when the report was executed."""
    return edited.stat().st_mtime <= report.stat().st_mtime


def run_study(
    study: Study, jobs: int = 0, *, force: bool = False, say: Callable[[str], None] = print
) -> list[RunState]:
    """Execute every run that is not done, each in a process of its own; one that fails stops no
    other. Done runs are kept whatever the code's commit, which each of them says.

    Args:
        study: What `study_named` returned.
        jobs: Runs at a time; 0 for one a core, 8 at most.
        force: Whether to train and measure all runs anew.
        say: Called with a line a run.
    """
    found = states(study)
    todo = [each for each in found if force or each.status != "done"]
    jobs = jobs or min(MOST_JOBS, os.cpu_count() or 1)
    if not todo:
        return _all_kept(study)
    say(f"{study.spec.name}: {len(todo)} of {len(study.runs)} runs to do, {jobs} at a time")
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [
            pool.submit(_execute, study, each.planned, jobs, force or each.status == "changed")
            for each in todo
        ]
        try:
            for number, future in enumerate(as_completed(waiting), 1):
                state = future.result()
                say(f"{number}/{len(todo)}  {state}")
                # Whatever was kept before: this one was trained just now.
                if study.spec.keep and state.status == "done":
                    _keep(study, state)
        except KeyboardInterrupt:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return _all_kept(study)


def _execute(study: Study, run: PlannedRun, jobs: int, fresh: bool) -> RunState:
    """``muse run`` in a process of its own; what it prints goes to `LOG` beside its report."""
    command = [sys.executable, "-m", "muse_core.cli", "run", str(study.notebook), "--run", run.run]
    for name, value in run.parameters.items():
        command += ["-p", name, typed(value)] if name != "run" else []
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    log = paths.writable(paths.report_folder(run.run)) / LOG
    with log.open("w") as file:
        code = subprocess.run(
            command + ["--fresh"] * fresh,
            cwd=paths.root(),
            env=os.environ | {"OMP_NUM_THREADS": threads},
            stdout=file,
            stderr=subprocess.STDOUT,
        ).returncode
    found = _state(study, run)
    if code and not found.error:
        last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        why = f"its process ended with exit code {code}: {''.join(last[-1:])[:200]}"
        return replace(found, status="failed", error=why)
    return found


def _all_kept(study: Study) -> list[RunState]:
    """How far the study is; every finished row that is to be kept is."""
    found = states(study)
    for state in found:
        if study.spec.keep and state.status == "done" and study.kept(state.planned) is None:
            _keep(study, state)
    return found


def _keep(study: Study, state: RunState) -> None:
    """Write a finished run's row where the repository keeps it."""
    # Here, as `muse study --list` loads no torch.
    from muse_core.evaluation.study_rows import read_row

    run, records = state.planned, paths.records_folder(state.planned.run)
    kept = KeptRow(
        row=read_row(run.run).row,
        parameters=without_folders(run.parameters),
        configuration=study.configuration(run),
        code=code_by_folder(_code_of(records) | code_digests(MEASURING)),
        commit=state.commit,
        seconds=state.seconds,
    )
    write_kept(study.kept_file(run), kept)
    for image in sorted(kept_folder(run.run).glob("*.png")):
        shutil.copy(image, study.kept_image(run, image.stem))


TRAINED_BY = {"s*[0-9].json": "", "08_*.json": "generation/", "10_*.json": "unified/"}
"""Records of trainings -> the folder whose code decides no training before them; "" for all."""


def _code_of(records: Path) -> dict[str, str]:
    """Of every file the digest that the last training which used it recorded; as it is now where
    nothing was trained.
    """
    found: dict[str, str] = {}
    for pattern, folder in TRAINED_BY.items():
        for file in sorted(records.glob(pattern), key=lambda each: each.stat().st_mtime)[-1:]:
            held = read_json(file)["code"]
            others = {} if not folder else found
            found = {name: each for name, each in others.items() if not name.startswith(folder)}
            found |= {name: each for name, each in held.items() if name.startswith(folder)}
    return found or code_digests()


def without_folders(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters as the repository keeps them: of a user's file its name."""
    file = own_file(str(parameters.get("system", "")))
    if file is None:
        return parameters
    return parameters | {"system": str(parameters["system"]).replace(str(file), file.name)}


def row_of(study: Study, run: PlannedRun) -> "Evaluated":
    """The figures of a finished run, with the images behind them where it was trained here.

    Raises:
        MuseError: They are missing or damaged.
    """
    from muse_core.evaluation.evaluate import Evaluated
    from muse_core.evaluation.study_rows import read_row, row_file

    kept = None if row_file(run.run).exists() else study.kept(run)
    return Evaluated(kept.row, {}) if kept else read_row(run.run)


def finished_runs(
    states: Sequence[RunState], *rows: str, here: bool = False
) -> dict[str, list[PlannedRun]]:
    """Row -> its finished runs, by seed.

    Args:
        states: What `run_study` returned.
        rows: Those that have to have a finished run; without, all rows are returned, and one of
            them has to have one.
        here: Whether its folder has to be here, with tokenizer and metrics: the repository keeps
            no more of a run than its figures.

    Raises:
        MuseError: The study lacks such a row or its run, with the reasons.
    """
    found: dict[str, list[PlannedRun]] = {state.planned.row: [] for state in states}
    for state in states:
        if state.status == "done" and not (here and state.kept):
            found[state.planned.row].append(state.planned)
    if not rows and not any(found.values()):
        reasons = "; ".join(map(str, states))
        raise MuseError(f"No run of the study could be finished ({reasons}): mend that first.")
    for row in rows:
        if not found.get(row):
            reasons = "; ".join(str(state) for state in states if state.planned.row == row)
            raise MuseError(
                f"No run of the row {row!r} is done ({reasons or 'the study has no such row'}): "
                "mend that, or choose another study, and run this notebook again"
                f"{'; `muse study NAME --force` trains a kept one here' if here else ''}."
            )
    return {row: found[row] for row in rows or found}
