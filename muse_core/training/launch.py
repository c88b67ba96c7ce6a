"""Training in several processes: started by torchrun or accelerate, followed and stopped from the
process that asked for it.

The started processes run ``python -m muse_core.training FILE`` (or ``muse_core.generation``); they
and the one that waits meet in files alone. Launchers of one's own, on several machines, start
``muse train`` instead.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter
from tqdm import tqdm

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.results.metrics_tail import StageFollower
from muse_core.results.records import RowReader, write_json
from muse_core.training.interrupts import ASKER_VARIABLE, FOLDER_VARIABLE, STOP

LOG, ORDER_FILE = "log.txt", "order.json"
POLL_SECONDS = 0.5

Order = TypeVar("Order")


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
        """The command that starts ``python -m module file`` in every process.

        Raises:
            MuseError: There is no such configuration file.
        """
        words = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(self.processes)]
        if self.accelerate_config:
            config = paths.user_path(self.accelerate_config)
            if not config.is_file():
                raise MuseError(
                    f"There is no Accelerate configuration {config}: write one with "
                    "`accelerate config`."
                )
            words = ["accelerate.commands.launch", "--config_file", str(config)]
        return [sys.executable, "-m", *words, "-m", module, str(file)]


ALONE = Launch()


def launch_folder(folder: Path) -> Path:
    """Where the processes of a stage and the one that waits for them meet."""
    return folder.with_name(folder.name + ".launch")


def train_launched(
    trainer: Any, module: str, order: Any, on_row: Callable[[dict[str, Any]], None]
) -> None:
    """Train in the processes a trainer's options ask for; a KeyboardInterrupt has them save a
    checkpoint first.

    Args:
        trainer: Its stage, files and options.
        module: What each process runs.
        order: What it reads, a dataclass.
        on_row: Hears each row of the metrics file as it is written.

    Raises:
        MuseError: The sentence of the process that failed, or the end of the log.
    """
    launch, folder = trainer.options.launch, launch_folder(trainer.files.folder)
    shutil.rmtree(folder, ignore_errors=True)
    file = write_json(folder / ORDER_FILE, order)
    earlier = None if trainer.options.resume else _identity(trainer.files.metrics_file)
    with (folder / LOG).open("w") as log:
        processes = subprocess.Popen(
            launch.command(module, file),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=_environment(launch, folder),
        )
        try:
            _follow(processes, trainer, on_row, earlier)
        except KeyboardInterrupt:
            print(f"Stopping {trainer.what}: a checkpoint is saved first.", flush=True)
            (folder / STOP).touch()
            processes.wait()
        finally:
            # Whatever happens here, nothing started here outlives it.
            processes.terminate()
            processes.wait()
    if processes.returncode:
        raise MuseError(_what_failed(trainer.what, folder, processes.returncode))


def _environment(launch: Launch, folder: Path) -> dict[str, str]:
    threads = max(1, (os.cpu_count() or 1) // launch.processes)
    defaults = {"OMP_NUM_THREADS": str(threads)}
    meeting = {FOLDER_VARIABLE: str(folder), ASKER_VARIABLE: str(os.getpid())}
    return defaults | os.environ | meeting


def _identity(file: Path) -> tuple[int, int] | None:
    """Which file stands there and since when; None for none."""
    return (file.stat().st_ino, file.stat().st_mtime_ns) if file.exists() else None


def _follow(
    processes: subprocess.Popen,
    trainer: Any,
    on_row: Callable[[dict[str, Any]], None],
    earlier: tuple[int, int] | None,
) -> None:
    """Hands on the rows of the metrics file as they appear, until the processes end; those of an
    ``earlier`` training are none.
    """
    name, file = trainer.files.place, trainer.files.metrics_file
    follower, steps = StageFollower(name, RowReader(file)), trainer.stage.steps
    with tqdm(total=steps, desc=f"{name}, launched", file=sys.stdout, mininterval=2.0) as bar:
        while True:
            ended = processes.poll() is not None
            stale = earlier is not None and _identity(file) == earlier
            for row in [] if stale else follower.update():
                bar.update(row["step"] - bar.n)
                on_row(row)
            if ended:
                return
            time.sleep(POLL_SECONDS)


def _what_failed(what: str, folder: Path, code: int) -> str:
    said = [file.read_text() for file in sorted(folder.glob("error-*.txt"))]
    if said:
        return said[0]
    lines = (folder / LOG).read_text(errors="replace").splitlines()
    end = " ".join([line for line in lines if line.strip()][-1:])[-300:]
    return (
        f"The processes of {what} ended with exit code {code} and left no sentence ({end}): "
        f"read {folder / LOG}, then run again with resume=True."
    )


def run_entry(kind: type[Order], train: Callable[[Order], Any], words: list[str]) -> int:
    """What a started process does: read its order, train, leave a sentence for the one that waits.

    Returns:
        The exit code.
    """
    try:
        train(read_order(kind, words))
    except MuseError as error:
        print(f"muse: {error}", file=sys.stderr, flush=True)
        if folder := os.environ.get(FOLDER_VARIABLE):
            rank = int(os.environ.get("RANK", 0))
            (Path(folder) / f"error-{rank:05d}.txt").write_text(str(error))
        return 1
    return 0


def read_order(kind: type[Order], words: list[str]) -> Order:
    """The order that `train_launched` wrote. Raises MuseError for another file."""
    if len(words) != 1:
        raise MuseError(
            f"Give one file: the {ORDER_FILE} of a launch (got {len(words)} arguments)."
        )
    try:
        return TypeAdapter(kind).validate_json(Path(words[0]).read_bytes())
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise MuseError(f"{words[0]} is not the JSON of a {kind.__name__} ({reason}).") from error
