"""The engine of every stage: steps, metrics, checkpoints, resuming, interrupts. It knows neither the network nor its losses."""

import shutil
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from torch import Tensor, nn
from tqdm import tqdm

from muse_core.data.batches import Samples, training_batches
from muse_core.errors import MuseError
from muse_core.records import append_jsonl, provenance, read_jsonl
from muse_core.stages import Schedule
from muse_core.training.checkpoint import TrainingState, latest_checkpoint, load_state, save_checkpoint
from muse_core.training.interrupts import asker_wants_stop, deferred_interrupts
from muse_core.training.processes import any_process, images_each

Row = dict[str, int | float]
"""One line of the metrics file."""
Progress = Callable[[list[Row]], None]
"""Called after each step with all rows so far; a live plot, for example."""


@runtime_checkable
class Run(Protocol):
    """What is trained, where it lies, and what must not change while it is interrupted."""

    run: str
    stage: str
    seed: int
    resume: bool

    @property
    def folder(self) -> Path: ...
    @property
    def checkpoints(self) -> Path: ...
    @property
    def finished(self) -> Path: ...
    @property
    def metrics_file(self) -> Path: ...
    def facts(self) -> dict[str, Any]: ...


class Learner(ABC):
    """Everything that changes while a stage trains. ``saved_as``: the folder of its network in a checkpoint."""

    accelerator: Accelerator
    weights: Mapping[str, nn.Parameter]
    saved_as: str

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The bare network, with diffusers' `save_pretrained`."""

    @abstractmethod
    def update(self, batch: Any, step: int) -> dict[str, float]:
        """One optimiser step (0-based); returns the row for the metrics file.

        Raises FloatingPointError, before any weight has changed, when loss or gradient is not finite.
        """

    @abstractmethod
    def averaged(self) -> AbstractContextManager[nn.Module]:
        """The network with its moving average, for as long as the block lasts."""

    @abstractmethod
    def state(self) -> TrainingState:
        """All that `restore` needs, beside the network's own weights."""

    @abstractmethod
    def restore(self, folder: Path, state: TrainingState) -> None:
        """Go on from a checkpoint, bit for bit on the same machine; ``folder`` holds its network."""


Observer = Callable[[Any, int], None]
"""Called before each step with the learner and the number of steps done; it must leave weights and random state alone."""


@dataclass(frozen=True)
class Engine:
    """One stage about to be trained. ``source`` is a data set as `training_batches` takes it."""

    run: Run
    stage: Schedule
    learner: Learner
    source: Samples
    workers: int = 0
    record_every: int = 1

    def train(
        self, progress: Progress | None = None, observers: Mapping[str, Observer] = MappingProxyType({})
    ) -> "Trained":
        """All steps, from the start or from the last checkpoint. Raises MuseError for anything the caller can mend."""
        accelerator = self.learner.accelerator
        images_each(self.stage.batch_size, accelerator.num_processes)
        watch, journal = _Watch(observers), _Journal(self.run, writes=accelerator.is_main_process)
        start = _resume(self, journal) if self.run.resume else _begin(journal)
        accelerator.wait_for_everyone()
        journal.began = time.monotonic()
        _train(self, journal, start, progress, watch)
        return Trained(journal, start, journal.seconds - watch.total, watch.rounded())


@dataclass(frozen=True)
class Trained:
    """``seconds`` without the observers'; ``observers``: name -> seconds."""

    journal: "_Journal"
    start: int
    seconds: float
    observers: dict[str, float]


@dataclass
class _Watch:
    """The observers, and the time each takes."""

    observers: Mapping[str, Observer]
    seconds: dict[str, float] = field(default_factory=dict)

    def observe(self, learner: Learner, step: int) -> None:
        for name, observer in self.observers.items():
            began = time.monotonic()
            observer(learner, step)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    @property
    def total(self) -> float:
        return sum(self.seconds.values(), 0.0)

    def rounded(self) -> dict[str, float]:
        return {name: round(seconds, 2) for name, seconds in self.seconds.items()}


@dataclass
class _Journal:
    """What the loop notes while it runs."""

    run: Run
    writes: bool = True
    """Only one of several processes writes."""
    rows: list[Row] = field(default_factory=list)
    pending: list[Row] = field(default_factory=list)
    skipped: set[str] = field(default_factory=set)
    enlarged: set[str] = field(default_factory=set)
    seconds_before: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Training time so far, over all the pieces an interrupted stage was trained in."""
        return self.seconds_before + time.monotonic() - self.began

    def note(self, row: Row, batch: Any, keep: bool) -> None:
        self.skipped.update(batch.skipped)
        self.enlarged.update(batch.enlarged)
        if keep:
            self.rows.append(row)
            self.pending.append(row)

    def losses(self) -> dict[str, dict[str, float]]:
        """Each term at the first step, and its mean over the last ten."""
        tail = self.rows[-10:]
        terms = [name for name in self.rows[0] if name.startswith("loss/")] if self.rows else []
        return {
            term.removeprefix("loss/"): {
                "first": self.rows[0][term],
                "last": sum(row[term] for row in tail) / len(tail),
            }
            for term in terms
        }

    def flush(self) -> None:
        if self.writes:
            append_jsonl(self.run.metrics_file, self.pending)
        self.pending.clear()

    def rewind(self, step: int) -> None:
        """Keep the rows up to a checkpoint's step; later ones will be made again."""
        self.rows = [row for row in read_jsonl(self.run.metrics_file) if row["step"] <= step]
        if self.writes:
            self.run.metrics_file.unlink(missing_ok=True)
            append_jsonl(self.run.metrics_file, self.rows)


def _begin(journal: _Journal) -> int:
    """A fresh start: what an earlier run of this name left is set aside once, as ``<stage>.previous``."""
    run = journal.run
    if not journal.writes:
        return 0
    if any(run.checkpoints.glob("step-*")) or run.finished.exists():
        previous = run.folder.with_name(run.folder.name + ".previous")
        shutil.rmtree(previous, ignore_errors=True)
        run.folder.rename(previous)
        run.folder.mkdir()
    run.metrics_file.unlink(missing_ok=True)
    return 0


def _resume(engine: Engine, journal: _Journal) -> int:
    """Restore the newest intact checkpoint and return its step; 0 where there is none yet."""
    run, source = engine.run, engine.source
    checkpoint = latest_checkpoint(run.checkpoints)
    if checkpoint is None:
        return _begin(journal)
    state = load_state(checkpoint)
    wanted = run.facts() | {"data_fingerprint": source.fingerprint}
    for name, value in wanted.items():
        if state.facts.get(name) != value:
            raise MuseError(
                f"Cannot resume {run.stage} of run {run.run!r}: its checkpoint has {name}={state.facts.get(name)!r}, "
                f"these parameters say {value!r}; use the same ones, another run name, or resume=False."
            )
    engine.learner.restore(checkpoint / engine.learner.saved_as, state)
    journal.rewind(state.facts["step"])
    journal.skipped.update(state.facts["files_skipped"])
    journal.enlarged.update(state.facts["files_enlarged"])
    journal.seconds_before = state.facts["seconds"]
    return state.facts["step"]


def _train(engine: Engine, journal: _Journal, start: int, progress: Progress | None, watch: _Watch) -> None:
    """Steps ``start .. stage.steps``, with checkpoints on the way."""
    run, stage, learner = engine.run, engine.stage, engine.learner
    accelerator = learner.accelerator
    batches = training_batches(
        engine.source, stage.batch_size, run.seed, start, stage.steps,
        accelerator.process_index, accelerator.num_processes, engine.workers,
    )  # fmt: skip
    step, whole = start, True
    bar = tqdm(
        batches, initial=start, total=stage.steps, desc=stage.name, file=sys.stdout, mininterval=2.0,
        disable=not accelerator.is_main_process,
    )  # fmt: skip
    try:
        with deferred_interrupts() as asked_to_stop:
            for batch in bar:
                watch.observe(learner, step)
                whole = False
                row = learner.update(batch.to(accelerator.device), step)
                step += 1
                journal.note({"step": step} | row, batch, keep=step % engine.record_every == 0 or step == stage.steps)
                whole = True
                if progress is not None:
                    progress(journal.rows)
                if step % stage.checkpoint_every == 0 or step == stage.steps:
                    _save(engine, journal, step)
                if step < stage.steps and any_process(asked_to_stop.is_set() or asker_wants_stop(), accelerator):
                    raise KeyboardInterrupt
    except FloatingPointError as error:
        journal.flush()
        raise MuseError(_diverged(run, step, error, batch)) from error
    except torch.OutOfMemoryError as error:
        journal.flush()
        raise MuseError(_too_large(run, step, stage.batch_size)) from error
    except KeyboardInterrupt as error:
        if not whole:  # a second Ctrl-C, inside a step: some weights have moved and others have not
            raise MuseError(
                f"Stopped {run.stage} inside step {step + 1}, which is lost: run again with resume=True to go on "
                "from the last checkpoint."
            ) from error
        _save(engine, journal, step)
        raise MuseError(
            f"Interrupted {run.stage} at step {step}; it is saved: run again with resume=True to go on."
        ) from error


def _save(engine: Engine, journal: _Journal, step: int) -> None:
    run, learner = engine.run, engine.learner
    journal.flush()
    if not journal.writes:
        return learner.accelerator.wait_for_everyone()
    state = learner.state()
    state.facts |= run.facts() | {
        "data_fingerprint": engine.source.fingerprint,
        "files_skipped": sorted(journal.skipped),
        "files_enlarged": sorted(journal.enlarged),
        "seconds": journal.seconds,
        "provenance": provenance(str(learner.accelerator.device)).__dict__,
    }
    save_checkpoint(run.checkpoints, step, learner.network, state, learner.saved_as)
    learner.accelerator.wait_for_everyone()


def _diverged(run: Run, step: int, error: Exception, batch: Any) -> str:
    good = latest_checkpoint(run.checkpoints)
    kept = f"the checkpoint of {good.name} is kept" if good else "no checkpoint had been written yet"
    return (
        f"{run.stage} of run {run.run!r} stopped at step {step + 1}: {error}, on the samples "
        f"{', '.join(batch.ids[:4])}{' ...' if len(batch.ids) > 4 else ''}; {kept}. "
        "Lower the learning rate, or look at those samples."
    )


def _too_large(run: Run, step: int, batch_size: int) -> str:
    good = latest_checkpoint(run.checkpoints)
    again = f"; {good.name} is kept, but it goes on only with the batch size it was made with" if good else ""
    smaller = f"about {batch_size // 2} may fit: run again with `-p batch_size {batch_size // 2}`" if batch_size > 1 else (
        "not even one image fits: use a larger GPU, or another preset"
    )  # fmt: skip
    return (
        f"{run.stage} of run {run.run!r} ran out of GPU memory at step {step + 1} with {batch_size} images a step; "
        f"{smaller}{again}."
    )


def save_whole(network: Any, folder: Path) -> None:
    """Save beside and rename, so that the folder never holds half a network; ``network`` has `save_pretrained`.

    Raises MuseError when the disk refuses.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        network.save_pretrained(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise MuseError(f"Cannot write {folder} ({error}): free some space and run again with resume.") from error


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that beginning."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
