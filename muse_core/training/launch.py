"""Training in several processes: started by torchrun or by accelerate, followed and stopped from
the process that asked for it.

The started processes run ``python -m muse_core.training RUN.json`` (or ``muse_core.generation``);
they and the one that waits meet in files alone. Launchers of one's own, on several machines, start
``muse train`` instead."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from tqdm import tqdm

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.results.metrics_tail import StageFollower
from muse_core.results.records import RowReader, write_json
from muse_core.training.interrupts import ASKER_VARIABLE, FOLDER_VARIABLE, STOP
from muse_core.training.learner import Observer, Progress, Row, Run

LOG, RUN_FILE = "log.txt", "run.json"
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Launch:
    """``processes`` on this machine, or what a configuration file of Accelerate says."""

    processes: int = 1
    accelerate_config: str = ""

    @property
    def wanted(self) -> bool:
        """Whether processes are to be started, and this is not one of them."""
        started = os.environ.keys() & {"LOCAL_RANK", FOLDER_VARIABLE}
        return (self.processes > 1 or bool(self.accelerate_config)) and not started

    def command(self, module: str, file: Path) -> list[str]:
        """The command that starts ``python -m module file`` in every process. Raises MuseError
        where the file is missing.
        """
        if not self.accelerate_config:
            return [
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--standalone",
                "--nproc-per-node",
                str(self.processes),
                "-m",
                module,
                str(file),
            ]
        config = paths.user_path(self.accelerate_config)
        if not config.is_file():
            raise MuseError(
                f"There is no Accelerate configuration {config}: write one with `accelerate config`."
            )
        accelerate = ["-m", "accelerate.commands.launch", "--config_file", str(config)]
        return [sys.executable, *accelerate, "-m", module, str(file)]


ALONE = Launch()


def launch_folder(run: Run) -> Path:
    """Where the processes of a stage and the one that waits for them meet; beside the stage's own
    folder.
    """
    return run.folder.with_name(run.folder.name + ".launch")


def train_launched(
    run: Run,
    launch: Launch,
    module: str,
    steps: int,
    progress: Progress | None,
    observers: Mapping[str, Observer],
) -> list[Row]:
    """Train in the processes of ``launch``; metrics reach ``progress`` and a bar as they are
    written.

    A KeyboardInterrupt here has the processes save a checkpoint first. Raises MuseError with the
    sentence of the process that failed, or the end of the log; and for observers, which cannot look
    into other processes."""
    if observers:
        raise MuseError(
            f"{', '.join(observers)} looks on in one process only: leave processes at 1."
        )
    folder = launch_folder(run)
    shutil.rmtree(folder, ignore_errors=True)
    file = write_json(folder / RUN_FILE, run)
    earlier = None if run.resume else _identity(run.metrics_file)
    with (folder / LOG).open("w") as log:
        processes = subprocess.Popen(
            launch.command(module, file),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=_environment(launch, folder),
        )
        try:
            rows = _followed(processes, run, steps, progress, earlier)
        except KeyboardInterrupt:
            print(f"Stopping {run.stage}: a checkpoint is saved first.", flush=True)
            (folder / STOP).touch()
            processes.wait()
            rows = []
        finally:
            _end(processes)
    if processes.returncode:
        raise MuseError(_what_failed(run, folder, processes.returncode))
    return rows


def _environment(launch: Launch, folder: Path) -> dict[str, str]:
    threads = max(1, (os.cpu_count() or 1) // launch.processes)
    return (
        {"OMP_NUM_THREADS": str(threads)}
        | os.environ
        | {
            FOLDER_VARIABLE: str(folder),
            ASKER_VARIABLE: str(os.getpid()),
        }
    )


def _identity(file: Path) -> tuple[int, int] | None:
    """Which file stands there and since when; None for none."""
    return (file.stat().st_ino, file.stat().st_mtime_ns) if file.exists() else None


def _followed(
    processes: subprocess.Popen,
    run: Run,
    steps: int,
    progress: Progress | None,
    earlier: tuple[int, int] | None,
) -> list[Row]:
    """The rows of the metrics file as they appear, until the processes end; those of an ``earlier``
    training are none.
    """
    follower = StageFollower(run.stage, RowReader(run.metrics_file))
    with tqdm(total=steps, desc=f"{run.stage}, launched", file=sys.stdout, mininterval=2.0) as bar:
        while True:
            ended = processes.poll() is not None
            stale = earlier is not None and _identity(run.metrics_file) == earlier
            if not stale and follower.update():
                bar.update(follower.rows[-1]["step"] - bar.n)
                if progress is not None:
                    progress(follower.rows)
            if ended:
                return follower.rows
            time.sleep(POLL_SECONDS)


def _end(processes: subprocess.Popen) -> None:
    """Whatever happens here, nothing started here outlives it."""
    if processes.poll() is None:
        processes.terminate()
        processes.wait()


def _what_failed(run: Run, folder: Path, code: int) -> str:
    said = [file.read_text() for file in sorted(folder.glob("error-*.txt"))]
    if said:
        return said[0]
    end = [
        line for line in (folder / LOG).read_text(errors="replace").splitlines() if line.strip()
    ][-1:]
    return (
        f"The processes of {run.stage} ended with exit code {code} and left no sentence ({' '.join(end)[-300:]}): "
        f"read {folder / LOG}, then run again with resume=True."
    )


def run_entry(kind: type, train: Callable[[Any], Any], words: list[str]) -> int:
    """What a started process does: read its run, train it, leave a sentence for the one that waits."""
    try:
        train(read_run(kind, words))
    except MuseError as error:
        print(f"muse: {error}", file=sys.stderr, flush=True)
        if folder := os.environ.get(FOLDER_VARIABLE):
            (Path(folder) / f"error-{int(os.environ.get('RANK', 0)):05d}.txt").write_text(
                str(error)
            )
        return 1
    return 0


def read_run(kind: type, words: list[str]) -> Any:
    """The run that a file written by `write_json` holds. Raises MuseError for another file."""
    if len(words) != 1:
        raise MuseError(f"Give one file: the {RUN_FILE} of a launch (got {len(words)} arguments).")
    try:
        return TypeAdapter(kind).validate_json(Path(words[0]).read_bytes())
    except (OSError, ValueError) as error:
        raise MuseError(
            f"{words[0]} is not the JSON of a {kind.__name__} ({str(error).splitlines()[0]})."
        ) from error
