"""Runs the numbered notebooks in order with papermill, skips what is up to date, and writes their
pages.
"""

import ast
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from muse_core import paths
from muse_core.report import freshness
from muse_core.report.arguments import Parameter, check_names, known_parameters, parse_value
from muse_core.report.execution import execute
from muse_core.report.stamps import Stamp, read_stamp, write_stamp
from muse_core.results import records


@dataclass(frozen=True)
class Task:
    """One notebook of a run with the parameters it will get."""

    source: Path
    report: Path
    run: str
    parameters: dict[str, Any]
    known: dict[str, Parameter]

    def value(self, name: str, otherwise: str) -> str:
        """A parameter as the notebook will see it: the given value, else the default of its cell."""
        if name in self.parameters:
            return str(self.parameters[name])
        try:
            return str(ast.literal_eval(self.known[name].default))
        except (KeyError, ValueError, SyntaxError):
            return otherwise


@dataclass(frozen=True)
class Outcome:
    """What became of one notebook: status is "done", "up to date", "failed" or "interrupted"."""

    notebook: str
    status: str
    seconds: float
    page: Path
    error: str = ""


def plan(notebooks: list[Path], run: str, given: dict[str, Any]) -> list[Task]:
    """The tasks of a run. Raises MuseError for a run name that is no folder name and for unknown
    parameters.
    """
    paths.check_run_name(run)
    known = {source: known_parameters(source) for source in notebooks}
    check_names(given, list(dict.fromkeys(name for names in known.values() for name in names)))
    values = {source: _values_for(known[source], given | {"run": run}) for source in notebooks}
    folder = paths.writable(
        paths.report_folder(run)
    )  # last, so that a mistake leaves nothing behind
    return [
        Task(source, folder / source.name, run, values[source], known[source])
        for source in notebooks
    ]


def _values_for(known: dict[str, Parameter], values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: parse_value(value, known[name].type)
        for name, value in values.items()
        if name in known
    }


def run(
    tasks: list[Task], *, force: bool = False, say: Callable[[str], None] = print
) -> list[Outcome]:
    """Execute the tasks in order until one fails; pages and the index are written whatever happens."""
    outcomes: list[Outcome] = []
    package = freshness.package_sha()
    for task in tasks:
        outcomes.append(_run_one(task, force=force, package=package, say=say))
        if outcomes[-1].error:
            break
    _write_pages(tasks[0].report.parent, outcomes)
    return outcomes


def _run_one(task: Task, *, force: bool, package: str, say: Callable[[str], None]) -> Outcome:
    name, page = task.source.stem, task.report.with_suffix(".html")
    called = f"{task.run}/{name}"
    wanted = freshness.expected_key(task.source, task.parameters, task.report.parent, package)
    before = read_stamp(task.report)
    if not force and before and before.status == "done" and before.key == wanted:
        say(f"{called}  up to date  {page}")
        return Outcome(name, "up to date", 0.0, page)
    say(f"{called}  running ...")
    stamp = _execute(task, wanted)
    say(f"{called}  {stamp.status} after {duration(stamp.seconds)}  {page}")
    return Outcome(name, stamp.status, stamp.seconds, page, stamp.error)


def _execute(task: Task, wanted: str) -> Stamp:
    """Run one notebook, keep what it wrote even when it fails, stamp it and write its page."""
    from muse_core.report import html

    date, started = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    commit = records.commit()
    status, error = execute(task.source, task.report, task.parameters)
    stamp = Stamp(
        key=wanted,
        status=status,
        run=task.run,
        commit=commit,
        preset=task.value("preset", "none"),
        device=_device(task.value("device", "cpu")),
        date=date,
        seconds=round(time.monotonic() - started, 2),
        parameters=task.parameters,
        error=error,
    )
    write_stamp(task.report, stamp)
    html.export(task.report)
    return stamp


def _device(given: str) -> str:
    """The device that "auto" stands for on this machine."""
    if given != "auto":
        return given
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _write_pages(folder: Path, outcomes: list[Outcome]) -> None:
    """Export every page of the run again when one changed, so that links to neighbours are right;
    then the index.
    """
    from muse_core.report import html, index

    if any(one.status != "up to date" or not one.page.exists() for one in outcomes):
        html.export_run(folder)
    index.write()


def duration(seconds: float) -> str:
    """Seconds as "34 s", "2 min 10 s" or "3 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
