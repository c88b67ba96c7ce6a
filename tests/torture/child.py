"""The smallest real training, in a process of its own that can be killed: one stage with every
loss, on images read from files.

Random networks at 32 px (`tests.integration.micro`), four images a step, some steps a second.
Imported by a server that forks, so that a child begins within moments."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from muse_core.callback import Callback
from muse_core.config.overrides import load_preset
from muse_core.data.scenes import Scenes
from muse_core.data.sources import open_source
from muse_core.errors import MuseError
from muse_core.training.stage_run import StageRun, train_stage
from tests.integration.micro import IMAGE_SIZE, PRESET, write_foundations

STAGE = "03_synergistic_tuning"
BATCH = 4


def write_workspace(root: Path, images: int = 40) -> Path:
    """Networks and image files; returns ``root``."""
    write_foundations(root / "data" / "foundations" / "micro")
    for index, pixels in enumerate(Scenes("train", IMAGE_SIZE).first(images).images):
        place = root / "images" / ("even" if index % 2 == 0 else "odd") / f"{index:03}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels.permute(1, 2, 0) * 255).byte().numpy()).save(place)
    return root


@contextmanager
def workspace(root: Path) -> Iterator[None]:
    """Work in ``root``, with no weights of LPIPS in sight."""
    before = {name: os.environ.get(name) for name in ("MUSE_ROOT", "TORCH_HOME")}
    os.environ |= {"MUSE_ROOT": str(root), "TORCH_HOME": str(root / "no-torch-home")}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def described(
    root: Path, run: str, steps: int, checkpoint_every: int, resume: bool = True
) -> StageRun:
    """The last stage alone, which needs none before it."""
    return StageRun(
        run=run,
        preset=PRESET,
        stage=STAGE,
        data=f"folder:{root / 'images'}",
        overrides=(
            f"curriculum.order=joint stage.steps={steps} stage.batch_size={BATCH} "
            f"stage.checkpoint_every={checkpoint_every}"
        ),
        device="cpu",
        resume=resume,
    )


def steps_per_epoch(root: Path) -> int:
    return len(open_source(f"folder:{root / 'images'}", "train", IMAGE_SIZE)) // BATCH


def train(root: Path, run: str, steps: int, checkpoint_every: int, reads: Path) -> None:
    """Train to the end, from the last checkpoint where there is one; exit code 2 and the sentence
    when that fails.

    ``reads``: a line for each batch that a step begins with. What is said goes to a file beside it.
    """
    _speak_into(reads.with_suffix(".out"))
    with workspace(root):
        _told(described(root, run, steps, checkpoint_every), Reads(reads))


def soak(root: Path, preset: str, seconds: float, samples: Path, leak_mb: float = 0.0) -> None:
    """Train for so long; ``samples``: a line ``[seconds, steps, MB]`` now and then. ``leak_mb`` a
    step is never given back.
    """
    _speak_into(samples.with_suffix(".out"))
    with workspace(root):
        sampler = Sampler(samples, seconds, leak_mb)
        named = PRESET if preset == "micro" else preset
        run = StageRun(
            run="soak",
            preset=named,
            stage=load_preset(named).curriculum.stages[0].name,
            overrides=f"stage.steps={10**7} stage.checkpoint_every=200",
            device="cpu",
        )
        _told(run, sampler)


class Sampler(Callback):
    """Called after every step; stops the training, as Ctrl-C would, when the time is over."""

    def __init__(self, file: Path, seconds: float, leak_mb: float) -> None:
        self.file, self.seconds, self.leak_mb = file, seconds, leak_mb
        self.began, self.last, self.kept = time.monotonic(), -1.0, []

    def on_step(self, trainer: Any, row: dict[str, Any]) -> None:
        now = time.monotonic() - self.began
        self.kept.append(b"." * int(self.leak_mb * 1e6))
        if now - self.last >= self.seconds / 400:
            with self.file.open("a") as file:
                file.write(json.dumps([now, row["step"], memory_mb()]) + "\n")
            self.last = now
        if now >= self.seconds:
            raise KeyboardInterrupt


def _told(run: StageRun, *callbacks: Callback) -> None:
    """Train as a script would: the sentence and exit code 2 for a MuseError."""
    try:
        train_stage(run, callbacks)
    except MuseError as error:
        print(f"muse: {error}", file=sys.stderr, flush=True)
        sys.exit(2)


def _speak_into(file: Path) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1), os.dup2(handle, 2)
    sys.stdout = sys.stderr = os.fdopen(handle, "w", buffering=1)


class Reads(Callback):
    """Notes each batch that a step begins with."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_batch(self, trainer: Any, step: int, batch: Any) -> None:
        line = json.dumps({"process": os.getpid(), "step": step, "ids": batch.ids})
        with self.file.open("ab", buffering=0) as opened:
            opened.write(line.encode() + b"\n")


def memory_mb() -> float:
    """Resident memory of this process, in MB (10^6 bytes)."""
    return psutil.Process().memory_info().rss / 1e6
