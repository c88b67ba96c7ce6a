"""Runs notebooks in order with papermill, skips what is up to date, and writes their pages."""

import ast
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from muse_core import paths
from muse_core.config.parameters import PARAMETERS, Configured, placed
from muse_core.errors import MuseError
from muse_core.report.arguments import Parameter, check_names, known_parameters, values_for
from muse_core.report.stamps import (
    Stamp,
    page_key,
    page_note,
    read_notebook,
    read_stamp,
    write_stamp,
)
from muse_core.results import records

NOTE = "note: "
STARTS = 3
"""Two kernels that start at once may choose the same port, and one of them never answers."""


@dataclass(frozen=True)
class Task:
    """One notebook of a run with the parameters it will get."""

    source: Path
    report: Path
    run: str
    parameters: dict[str, Any]
    known: dict[str, Parameter]

    def value(self, name: str, otherwise: str) -> str:
        """A parameter as the notebook will see it: the given value, else its cell's default."""
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
    page: Path
    seconds: float = 0.0
    error: str = ""


def plan(notebooks: list[Path], run: str, given: dict[str, Any]) -> list[Task]:
    """The tasks of a run, each with the parameters that its notebook knows.

    Raises:
        MuseError: A run name that is no folder name, or a parameter that no notebook knows.
    """
    paths.check_run_name(run)
    known = {source: known_parameters(source) for source in notebooks}
    check_names(given, list(dict.fromkeys(name for each in known.values() for name in each)))
    given = placed(given)
    values = {source: values_for(known[source], given | {"run": run}) for source in notebooks}
    for source, each in values.items():
        _check(source.stem, known[source], each)
    folder = paths.writable(paths.report_folder(run))
    return [
        Task(source, folder / source.name, run, values[source], known[source])
        for source in notebooks
    ]


def _check(stem: str, known: dict[str, Parameter], values: dict[str, Any]) -> None:
    """Raises MuseError for a value that one of our notebooks would refuse in its setup cell."""
    if stem in PARAMETERS:
        defaults = {name: ast.literal_eval(one.default) for name, one in known.items()}
        checked = PARAMETERS[stem].check(**defaults | values)
        if isinstance(checked, Configured):
            checked.load_preset(stem)


def run(
    tasks: list[Task],
    *,
    force: bool = False,
    fresh: bool = False,
    say: Callable[[str], None] = print,
) -> list[Outcome]:
    """Execute the tasks in order until one fails, then write their pages and the index.

    Args:
        force: Make pages again that are up to date; what is trained stays.
        fresh: Train again as well, in notebooks that know the parameter ``fresh``.
        say: Gets a line at the beginning and the end of each notebook.
    """
    from muse_core.report import index

    # In a batch a missing stage is a mistake to be told, not work to be added.
    os.environ.setdefault("MUSE_NEEDS", "refuse")
    outcomes: list[Outcome] = []
    for task in tasks:
        outcomes.append(_run_one(task, force or fresh, {"fresh": True} if fresh else {}, say))
        if outcomes[-1].error:
            break
    if any(one.status != "up to date" or not one.page.exists() for one in outcomes):
        from muse_core.report import html

        html.export_run(tasks[0].report.parent)
    index.write()
    return outcomes


def _run_one(task: Task, force: bool, extra: dict[str, Any], say: Callable[[str], None]) -> Outcome:
    name, page = f"{task.run}/{task.source.stem}", task.report.with_suffix(".html")
    before = read_stamp(task.report)
    wanted = ("done", _key(task), data_fingerprint(task.value("data", "")))
    if not force and before and (before.status, before.key, before.data) == wanted:
        say(f"{name}  up to date  {page}")
        if changed := page_note(task.report):
            say(f"{name}  {changed}")
        return Outcome(task.source.stem, "up to date", page)
    say(f"{name}  running ...")
    if before and before.key == wanted[1] and before.data != wanted[2]:
        say(f"{name}  its data is another than on {before.date[:10]}")
    stamp = _execute(task, {name: each for name, each in extra.items() if name in task.known})
    say(f"{name}  {stamp.status} after {duration(stamp.seconds)}  {page}")
    for note in _notes(task.report):
        say(f"{name}  {note}")
    return Outcome(task.source.stem, stamp.status, page, stamp.seconds, stamp.error)


def _notes(report: Path) -> list[str]:
    """What cells printed for whoever started the run: lines that begin with "note: "."""
    cells = read_notebook(report).get("cells", [])
    outputs = (output for cell in cells for output in cell.get("outputs", []))
    lines = "".join("".join(each.get("text", "")) for each in outputs).splitlines()
    return [line.removeprefix(NOTE) for line in lines if line.startswith(NOTE)]


def _key(task: Task) -> str:
    return page_key(task.source, task.parameters, task.report.parent)


def data_fingerprint(spec: str) -> str:
    """Of all splits of data that lies on this machine; "" for any other, and where there is none.

    Drawn scenes never change, and asking a hub takes its time.
    """
    kind = spec.partition(":")[0]
    if kind not in (*paths.PLACED, "mix") or kind.startswith("hf"):
        return ""
    # Only what needs it waits for torch.
    from muse_core.data.sources import open_source
    from muse_core.data.splits import SPLITS

    found = []
    for split in SPLITS:
        with suppress(MuseError):
            found.append(open_source(spec, split, 1).fingerprint)
    return " ".join(found)


def _execute(task: Task, extra: dict[str, Any]) -> Stamp:
    """Run one notebook, keep what it wrote even when it fails, and stamp it."""
    from muse_core.report import html

    date, started = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    commit = records.commit()
    status, error = execute(task.source, task.report, task.parameters | extra)
    stamp = Stamp(
        key=_key(task),
        status=status,
        run=task.run,
        commit=commit,
        preset=task.value("preset", "none"),
        device=_device(task.value("device", "cpu")),
        date=date,
        seconds=round(time.monotonic() - started, 2),
        parameters=task.parameters,
        error=error,
        data=data_fingerprint(task.value("data", "")),
    )
    write_stamp(task.report, stamp)
    html.export(task.report)
    return stamp


def execute(source: Path, report: Path, parameters: dict[str, Any]) -> tuple[str, str]:
    """Execute ``source`` into ``report`` in a kernel of its own, from the workspace's folder.

    Returns:
        "done", "failed" or "interrupted", and the reason in one sentence ("" when all cells ran).
    """
    import papermill
    from nbclient.exceptions import CellControlSignal, DeadKernelError

    reason = ""
    for _ in range(STARTS):
        try:
            with own_kernel():
                _papermill(source, report, parameters)
            return "done", ""
        except papermill.PapermillExecutionError as error:
            return "failed", _sentence(error)
        except KeyboardInterrupt:
            why = "interrupted from the keyboard; run it again, a training with -p resume true"
            return "interrupted", why
        except (DeadKernelError, CellControlSignal):
            return "failed", "the kernel died, perhaps for want of memory; try a smaller batch_size"
        except RuntimeError as error:
            if not str(error).startswith("Kernel"):
                raise
            reason = str(error)
    return (
        "failed",
        f"the kernel did not start in {STARTS} attempts ({reason}): "
        "stop other programs, then run it again",
    )


@contextmanager
def own_kernel() -> Iterator[None]:
    """While it lasts, the kernel "python3" is this very Python: JUPYTER_PATH may hold another one
    of that name, as on clusters and hubs.
    """
    from ipykernel.kernelspec import write_kernel_spec

    before = os.environ.get("JUPYTER_PATH")
    with TemporaryDirectory(prefix="muse-kernel-") as folder:
        write_kernel_spec(Path(folder, "kernels", "python3"))
        os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [folder, before]))
        try:
            yield
        finally:
            del os.environ["JUPYTER_PATH"]
            os.environ.update({"JUPYTER_PATH": before} if before is not None else {})


def _papermill(source: Path, report: Path, parameters: dict[str, Any]) -> None:
    import papermill

    report.unlink(missing_ok=True)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    papermill.execute_notebook(
        str(source),
        str(report),
        parameters=parameters,
        kernel_name="python3",
        language="python",
        progress_bar=False,
        cwd=str(paths.root()),
        store_widget_state=False,
        extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
    )


def _sentence(error: Any) -> str:
    """A MuseError is its own sentence; any other exception is named with its cell."""
    message = str(error.evalue).strip()
    if error.ename == "MuseError":
        return message
    return f"cell [{error.exec_count}] raised {error.ename}: {(message.splitlines() or [''])[0]}"


def _device(given: str) -> str:
    """The device that "auto" stands for on this machine."""
    if given != "auto":
        return given
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def duration(seconds: float) -> str:
    """Seconds as "34 s", "2 min 10 s" or "3 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
