"""A study: a YAML file that names rows, each one parameter away from the first, and seeds. Here it
is read and checked.
"""

import re
from ast import literal_eval
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from muse_core import paths
from muse_core.config.parameters import Seed, StudyRunParameters
from muse_core.config.safe_yaml import Unreadable, read_yaml
from muse_core.errors import MuseError, shown, unknown
from muse_core.report.arguments import check_names, known_parameters
from muse_core.results.measurements import METRICS

ONE_RUN = "one_run.ipynb"
DIRECTIONS = ("lower", "higher", "same")


class RowSpec(BaseModel):
    """One row of a study's file. ``words``: what it is; ``change``: parameters that differ from the
    study's ``common``; ``paper``: what the paper says of it; ``expects``: metric -> what this
    means: a direction against the first row, or "below NUMBER"."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    words: str
    change: dict[str, Any] = Field(default_factory=dict)
    paper: str = ""
    expects: dict[str, str] = Field(default_factory=dict)


class StudySpec(BaseModel):
    """A study's file. ``extends``: another file beside it, whose values this one changes; ``only``:
    the rows to keep.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    about: str = ""
    notebook: str = "notebooks/studies/one_run.ipynb"
    common: dict[str, Any] = Field(default_factory=dict)
    seeds: list[Seed] = Field(min_length=1)
    rows: dict[str, RowSpec] = Field(min_length=1)


@dataclass(frozen=True)
class PlannedRun:
    """One execution of the study's notebook."""

    row: str
    seed: int
    run: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Study:
    """A study that was read and checked."""

    spec: StudySpec
    notebook: Path

    @property
    def runs(self) -> list[PlannedRun]:
        """Seed by seed, so that a study that is stopped early has compared all rows with the first."""
        return [self._planned(row, seed) for seed in self.spec.seeds for row in self.spec.rows]

    def of_row(self, row: str) -> list[PlannedRun]:
        return [each for each in self.runs if each.row == row]

    def _planned(self, row: str, seed: int) -> PlannedRun:
        run = paths.check_run_name(f"{self.spec.name}.{row}.{seed}")
        return PlannedRun(
            row,
            seed,
            run,
            self.spec.common | self.spec.rows[row].change | {"seed": seed, "run": run},
        )


def study_named(text: str) -> Study:
    """A study by its file, or by its name in ``studies/``. Raises MuseError, one sentence, for
    anything wrong in it.
    """
    file = _file(text)
    try:
        spec = StudySpec.model_validate(_resolved(file))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise MuseError(
            f"The study {file.name} has a mistake at {where}: {_plain(first)}."
        ) from None
    study = Study(spec, paths.user_path(spec.notebook))
    _check(study, file)
    return study


def _file(text: str) -> Path:
    file = paths.user_path(text)
    if file.is_file():
        return file
    named = paths.root() / "studies" / f"{text}.yaml"
    if named.is_file():
        return named
    known = sorted(each.stem for each in (paths.root() / "studies").glob("*.yaml"))
    raise unknown("study", text, known or ["(there is no file in studies/)"])


def _resolved(file: Path, children: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The file's values over those of the file it extends."""
    given = _read(file)
    parent, only = given.pop("extends", None), given.pop("only", None)
    if parent:
        base = _resolved(_beside(file, parent, (*children, file)), (*children, file))
        common = _mapping(file, base, "common") | _mapping(file, given, "common")
        given = base | given | {"common": common}
    return (
        given
        if only is None
        else given | {"rows": _kept(file, _mapping(file, given, "rows"), only)}
    )


def _beside(file: Path, parent: Any, children: tuple[Path, ...]) -> Path:
    """The file that a study extends. Raises MuseError where it is no name, not there, or one that
    extends this one.
    """
    if not isinstance(parent, str) or not re.fullmatch(r"[\w.-]+", parent):
        raise MuseError(
            f"The study {file.name} extends {shown(parent)}: name one file beside it, without .yaml."
        )
    found = file.with_name(f"{parent}.yaml")
    if found in children or not found.is_file():
        why = "extends this one" if found in children else "is not there"
        raise MuseError(
            f"The study {file.name} extends {parent!r}, which {why}: name another file beside it."
        )
    return found


def _mapping(file: Path, given: dict[str, Any], name: str) -> dict[str, Any]:
    found = given.get(name) or {}
    if not isinstance(found, dict):
        raise MuseError(
            f"The study {file.name} has a mistake at {name}: it should be a dictionary, such as {{a: 1}}."
        )
    return found


def _kept(file: Path, rows: dict[str, Any], only: Any) -> dict[str, Any]:
    """The rows that ``only`` lists."""
    if not isinstance(only, list):
        raise MuseError(
            f"The study {file.name} has a mistake at only: it should be a list of rows, such as [full]."
        )
    missing = [name for name in only if not isinstance(name, str) or name not in rows]
    if missing:
        raise MuseError(
            f"The study {file.name} keeps only the row {shown(missing[0])}, which no file gives it: name one of "
            f"{', '.join(map(str, rows))}."
        )
    return {name: rows[name] for name in only}


def _read(file: Path) -> dict[str, Any]:
    try:
        found = read_yaml(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, Unreadable) as error:
        raise MuseError(
            f"The study {file} cannot be read ({str(error).splitlines()[0]}): mend the file."
        ) from error
    if not isinstance(found, dict):
        raise MuseError(f"The study {file} is no mapping: it needs name, seeds and rows.")
    return found


def _check(study: Study, file: Path) -> None:
    if not study.notebook.is_file():
        raise MuseError(
            f"The study {file.name} runs {study.spec.notebook}, which is no file: name a notebook."
        )
    known = list(known_parameters(study.notebook))
    check_names(study.spec.common, known)
    for row in study.spec.rows.values():
        check_names(row.change, known)
        for metric, direction in row.expects.items():
            if metric not in METRICS:
                raise unknown("metric", metric, METRICS)
            if direction not in DIRECTIONS and not re.fullmatch(r"below -?\d+(\.\d+)?", direction):
                raise unknown("direction", direction, (*DIRECTIONS, "below NUMBER"))
    if len(set(study.spec.seeds)) < len(study.spec.seeds):
        raise MuseError(f"The study {file.name} names a seed twice: give each once.")
    _ = study.runs
    if study.notebook.name == ONE_RUN:
        _check_values(study)


def _check_values(study: Study) -> None:
    """Raises MuseError for the first value that our own notebook would refuse, before anything is
    trained.
    """
    defaults = {
        name: literal_eval(one.default) for name, one in known_parameters(study.notebook).items()
    }
    for run in study.runs:
        try:
            StudyRunParameters.check(**defaults | run.parameters)
        except MuseError as error:
            raise MuseError(
                f"In the row {run.row!r} of the study {study.spec.name!r}, {error}"
            ) from None


def _plain(complaint: Any) -> str:
    words = {"missing": "it is missing", "extra_forbidden": "there is no such entry"}
    return words.get(complaint["type"], complaint["msg"][:1].lower() + complaint["msg"][1:])
