"""Runs what a study still lacks, several runs at a time, each in a process of its own; one that
fails stops no other.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from muse_core import paths
from muse_core.report.arguments import known_parameters, parse_value
from muse_core.report.run import duration
from muse_core.report.stamps import Stamp, read_stamp
from muse_core.report.study import PlannedRun, Study

LOG = "study.log"
MOST_JOBS = 8


@dataclass(frozen=True)
class RunState:
    """One run of a study as it stands: ``status`` is "done", "missing", "changed" (done with other
    parameters), "failed", "interrupted" or "unfinished"; ``error`` says why."""

    planned: PlannedRun
    status: str
    seconds: float = 0.0
    commit: str = ""
    error: str = ""


def states(study: Study) -> list[RunState]:
    """How far the study is, from what lies on disk."""
    kinds = {name: each.type for name, each in known_parameters(study.notebook).items()}
    return [_state(each, report(study, each), kinds) for each in study.runs]


def report(study: Study, planned: PlannedRun) -> Path:
    """The executed notebook of a run."""
    return paths.report_folder(planned.run) / study.notebook.name


def _state(planned: PlannedRun, file: Path, kinds: dict[str, str]) -> RunState:
    stamp: Stamp | None = read_stamp(file)
    if stamp is None:
        return RunState(planned, "unfinished" if file.exists() else "missing")
    same = stamp.parameters == _values(planned, kinds)
    status = stamp.status if same or stamp.status != "done" else "changed"
    return RunState(planned, status, stamp.seconds, stamp.commit, stamp.error)


def _values(planned: PlannedRun, kinds: dict[str, str]) -> dict[str, Any]:
    """The parameters as papermill gets them."""
    return {
        name: parse_value(_word(value), kinds[name]) for name, value in planned.parameters.items()
    }


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def run_study(
    study: Study, jobs: int = 0, *, force: bool = False, say: Callable[[str], None] = print
) -> list[RunState]:
    """Execute every run that is not done, at most ``jobs`` at a time (0: one a core, 8 at most);
    returns all states.

    Done runs are kept whatever the code's commit: each row says the commit it was made at, and
    ``force`` makes all anew."""
    todo = [each.planned for each in states(study) if force or each.status != "done"]
    jobs = jobs or min(MOST_JOBS, os.cpu_count() or 1)
    if todo:
        say(f"{study.spec.name}: {len(todo)} of {len(study.runs)} runs to do, {jobs} at a time")
        for finished in _each_as_it_ends(study, todo, jobs, force):
            say(line(finished))
    return states(study)


def _each_as_it_ends(
    study: Study, todo: list[PlannedRun], jobs: int, force: bool
) -> Iterator[RunState]:
    kinds = {name: each.type for name, each in known_parameters(study.notebook).items()}
    with (
        ThreadPoolExecutor(jobs) as pool,
        tqdm(total=len(todo), unit="run", file=sys.stdout, mininterval=5) as bar,
    ):
        waiting: dict[Future[int], PlannedRun] = {
            pool.submit(_execute, study, each, jobs, force): each for each in todo
        }
        try:
            for future in as_completed(waiting):
                code, planned = future.result(), waiting[future]
                bar.update()
                bar.clear()
                found = _state(planned, report(study, planned), kinds)
                yield found if found.error or not code else _died(found, code)
        except KeyboardInterrupt:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _execute(study: Study, planned: PlannedRun, jobs: int, force: bool) -> int:
    """The exit code of ``muse run`` in a process of its own; what it prints goes to `LOG` beside
    its report.
    """
    words = [
        word
        for name, value in planned.parameters.items()
        if name != "run"
        for word in ("-p", name, _word(value))
    ]
    command = [
        sys.executable,
        "-m",
        "muse_core.cli",
        "run",
        str(study.notebook),
        "--run",
        planned.run,
        *words,
    ]
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    log = paths.writable(paths.report_folder(planned.run)) / LOG
    with log.open("w") as file:
        environment = os.environ | {"OMP_NUM_THREADS": threads}
        return subprocess.run(
            command + ["--force"] * force,
            cwd=paths.root(),
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        ).returncode


def _died(found: RunState, code: int) -> RunState:
    """A process that ended without a stamp: its last line is all there is to tell."""
    log = paths.report_folder(found.planned.run) / LOG
    last = next(
        (line for line in reversed(log.read_text(errors="replace").splitlines()) if line.strip()),
        "",
    )
    return RunState(
        found.planned, "failed", error=f"its process ended with exit code {code}: {last[:200]}"
    )


def line(state: RunState) -> str:
    """A run's state in one line."""
    took = f" after {duration(state.seconds)}" if state.seconds else ""
    return f"{state.planned.run}  {state.status}{took}" + (
        f": {state.error}" if state.error else ""
    )
