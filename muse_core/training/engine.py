"""The engine of every stage: steps, metrics, checkpoints, interrupts. It knows neither the network
nor its losses.
"""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event
from types import MappingProxyType

import torch
from torch import nn
from tqdm import tqdm

from muse_core.config.stage import Schedule
from muse_core.data.loader import Samples, training_batches
from muse_core.errors import MuseError
from muse_core.results.records import provenance
from muse_core.training import failures
from muse_core.training.bad_steps import SKIPPED, update_or_skip
from muse_core.training.best_checkpoint import best_step, note_best, smoothed_loss
from muse_core.training.checkpoint import (
    TrainingState,
    complete_checkpoints,
    save_checkpoint,
    step_of,
)
from muse_core.training.interrupts import asker_wants_stop, deferred_interrupts
from muse_core.training.learner import Learner, Observer, Progress, Run
from muse_core.training.metrics_logger import Journal, Watch
from muse_core.training.pace import Pace, pace_file
from muse_core.training.processes import any_process, images_each
from muse_core.training.resuming import begin, clear_up, resume
from muse_core.training.steady_batches import SteadyBatches, WorkersDied
from muse_core.training.trackers import tracking


@dataclass(frozen=True)
class Engine:
    """One stage about to be trained. ``source`` is a data set as `training_batches` takes it."""

    run: Run
    stage: Schedule
    learner: Learner
    source: Samples
    workers: int = 0
    record_every: int = 1
    trackers: tuple[str, ...] = ()

    def train(
        self,
        progress: Progress | None = None,
        observers: Mapping[str, Observer] = MappingProxyType({}),
    ) -> "Trained":
        """All steps, from the start or from the last checkpoint. Raises MuseError for anything the
        caller can mend.
        """
        accelerator = self.learner.accelerator
        images_each(self.stage.batch_size, accelerator.num_processes)
        watch, journal = Watch(observers), Journal(self.run, writes=accelerator.is_main_process)
        if journal.writes:
            clear_up(self.run)
        fresh = not self.run.resume
        start = (
            begin(journal)
            if fresh
            else resume(self.run, self.learner, self.source.fingerprint, journal)
        )
        accelerator.wait_for_everyone()
        journal.began = time.monotonic()
        with (
            tracking(accelerator, self.run, self.trackers, start) as journal.track,
            deferred_interrupts() as asked_to_stop,
        ):
            _train(self, journal, start, progress, watch, asked_to_stop)
        return Trained(journal, start, journal.seconds - watch.total, watch.rounded())


@dataclass(frozen=True)
class Trained:
    """``seconds`` without the observers'; ``observers``: name -> seconds."""

    journal: Journal
    start: int
    seconds: float
    observers: dict[str, float]

    @property
    def data_wait_share(self) -> float:
        """Of ``seconds``, what the step waited for its batch."""
        return round(self.journal.waited / self.seconds, 4) if self.seconds > 0 else 0.0


def _train(
    engine: Engine,
    journal: Journal,
    start: int,
    progress: Progress | None,
    watch: Watch,
    asked_to_stop: Event,
) -> None:
    """Steps ``start .. stage.steps``, with checkpoints on the way."""
    run, stage, learner = engine.run, engine.stage, engine.learner
    accelerator = learner.accelerator
    batches = SteadyBatches(
        lambda first: training_batches(
            engine.source,
            stage.batch_size,
            run.seed,
            first,
            stage.steps,
            accelerator.process_index,
            accelerator.num_processes,
            engine.workers,
        ),
        start,
        journal,
    )
    pace = Pace(pace_file(run.metrics_file), step=start, waited=journal.waited)
    step, whole = start, True
    bar = tqdm(
        batches,
        initial=start,
        total=stage.steps,
        desc=stage.name,
        file=sys.stdout,
        mininterval=2.0,
        disable=not accelerator.is_main_process,
    )
    try:
        for loaded in bar:
            watch.observe(learner, step)
            whole, batch = False, loaded.to(accelerator.device)
            row = update_or_skip(learner, batch, step, journal.bad_steps, stage.bad_steps)
            step += 1
            keep = step % engine.record_every == 0 or step == stage.steps or SKIPPED in row
            journal.note({"step": step} | row, batch, keep)
            if journal.writes:
                pace.note(step, journal.waited)
            whole = True
            if progress is not None:
                progress(journal.rows)
            if step % stage.checkpoint_every == 0 or step == stage.steps:
                _save(engine, journal, step)
            if step < stage.steps and any_process(
                asked_to_stop.is_set() or asker_wants_stop(), accelerator
            ):
                raise KeyboardInterrupt
    except FloatingPointError as error:
        journal.flush()
        raise MuseError(failures.diverged(run, step, error, batch)) from error
    except torch.OutOfMemoryError as error:
        journal.flush()
        raise MuseError(failures.too_large(run, step, stage.batch_size)) from error
    except WorkersDied as error:
        if (
            accelerator.num_processes == 1
        ):  # the others stand in the middle of a step, and cannot save with this one
            _save(engine, journal, step)
        raise MuseError(failures.workers_died(run, step, error)) from error
    except KeyboardInterrupt as error:
        if not whole:
            raise MuseError(failures.torn(run, step)) from error
        _save(engine, journal, step)
        raise MuseError(failures.interrupted(run, step)) from error


def _save(engine: Engine, journal: Journal, step: int) -> None:
    """A checkpoint by the one process that writes; the others hand it what they hold, and wait for
    it.
    """
    journal.flush(to_disk=True)
    if journal.saved != step:
        if (saved := engine.learner.to_save()) is not None:
            _write_checkpoint(engine, journal, step, *saved)
        journal.saved = step
    engine.learner.accelerator.wait_for_everyone()


def _write_checkpoint(
    engine: Engine, journal: Journal, step: int, network: nn.Module, state: TrainingState
) -> None:
    run, learner, stage = engine.run, engine.learner, engine.stage
    state.facts |= (
        run.facts()
        | journal.facts()
        | {
            "data_fingerprint": engine.source.fingerprint,
            "provenance": provenance(str(learner.accelerator.device)).__dict__,
        }
    )
    there = {*map(step_of, complete_checkpoints(run.checkpoints)), step}
    best = best_step(there, journal.rows, stage.checkpoint_every)
    save_checkpoint(
        run.checkpoints, step, network, state, learner.saved_as, stage.checkpoints_kept, best
    )
    if best is not None:
        note_best(run.folder, best, smoothed_loss(journal.rows, best, stage.checkpoint_every))
