"""`train_stage`: the one loop of every stage. What happens is in the `Stage` it is given; the loop knows none by name."""

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from tqdm import tqdm

from muse_core import paths
from muse_core.data.batches import Batch, Source, training_batches
from muse_core.data.sources import open_source
from muse_core.errors import MuseError
from muse_core.models.assembly import assemble_tokenizer
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.records import append_jsonl, provenance, read_jsonl, write_json
from muse_core.stages import Stage
from muse_core.training.checkpoint import (
    TOKENIZER_FOLDER,
    latest_checkpoint,
    load_state,
    save_checkpoint,
)
from muse_core.training.interrupts import deferred_interrupts
from muse_core.training.model_card import write_model_card
from muse_core.training.run import StageRecord, StageRun, finished_tokenizer
from muse_core.training.teachers import Teachers, load_teachers
from muse_core.training.trainer import Trainer, accelerator_for

CALIBRATION_IMAGES = 128
Observer = Callable[[Trainer, int], None]
"""Called before each step with the trainer and the number of steps done; it must leave weights and random state alone."""
Progress = Callable[[list[dict[str, int | float]]], None]
"""Called after each step with all rows so far; a live plot, for example."""


@dataclass
class StageResult:
    """``tokenizer`` carries the EMA weights; ``rows`` is the metrics file."""

    tokenizer: MuseTokenizer
    record: StageRecord
    rows: list[dict[str, int | float]]


@dataclass
class _Watch:
    """The observers, and the time each takes."""

    observers: Mapping[str, Observer]
    seconds: dict[str, float] = field(default_factory=dict)

    def observe(self, trainer: Trainer, step: int) -> None:
        for name, observer in self.observers.items():
            began = time.monotonic()
            observer(trainer, step)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    @property
    def total(self) -> float:
        return sum(self.seconds.values(), 0.0)

    def rounded(self) -> dict[str, float]:
        return {name: round(seconds, 2) for name, seconds in self.seconds.items()}


@dataclass
class _Journal:
    """What the loop notes while it runs."""

    run: StageRun
    rows: list[dict[str, int | float]] = field(default_factory=list)
    pending: list[dict[str, int | float]] = field(default_factory=list)
    skipped: set[str] = field(default_factory=set)
    enlarged: set[str] = field(default_factory=set)
    seconds_before: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Training time so far, over all the pieces an interrupted stage was trained in."""
        return self.seconds_before + time.monotonic() - self.began

    def note(self, row: dict[str, int | float], batch: Batch, keep: bool) -> None:
        self.skipped.update(batch.skipped)
        self.enlarged.update(batch.enlarged)
        if keep:
            self.rows.append(row)
            self.pending.append(row)

    def flush(self) -> None:
        append_jsonl(self.run.metrics_file, self.pending)
        self.pending.clear()

    def rewind(self, step: int) -> None:
        """Keep the rows up to a checkpoint's step; later ones will be made again."""
        self.rows = [row for row in read_jsonl(self.run.metrics_file) if row["step"] <= step]
        self.run.metrics_file.unlink(missing_ok=True)
        append_jsonl(self.run.metrics_file, self.rows)


def starting_tokenizer(run: StageRun, teachers: Teachers, source: Source) -> MuseTokenizer:
    """A new tokenizer, calibrated on images of ``source``, or the one the earlier stage left.

    Raises MuseError where that is missing.
    """
    stage = run.load_stage()
    if stage.starts_from is None:
        torch.manual_seed(run.seed)
        images = source.first(CALIBRATION_IMAGES).images
        return assemble_tokenizer(run.load_preset(), teachers.text.width, run.routing, images)
    return finished_tokenizer(run, stage.starts_from)


def train_stage(
    run: StageRun, progress: Progress | None = None, observers: Mapping[str, Observer] = MappingProxyType({})
) -> StageResult:
    """Train one stage of one run, from its start or (``run.resume``) from its last checkpoint.

    Writes checkpoints and the finished tokenizer under ``data/runs``, metrics and the stage's record under ``reports``.
    Raises MuseError for anything the caller can mend; a non-finite loss keeps the last good checkpoint.
    """
    watch = _Watch(observers)
    stage, preset = run.load_stage(), run.load_preset()
    for folder in (run.folder, run.metrics_file.parent):
        paths.writable(folder)
    accelerator = accelerator_for(run.device)
    source = open_source(run.data, "train", preset.image_size)
    teachers = load_teachers(preset, accelerator.device)
    tokenizer = starting_tokenizer(run, teachers, source)
    torch.manual_seed(run.seed)
    trainer = Trainer(tokenizer, stage, teachers, accelerator)
    journal = _Journal(run)
    start = _resume(run, trainer, source, journal) if run.resume else _begin(run)
    journal.began = time.monotonic()
    _train(run, stage, trainer, source, journal, start, progress, watch)
    seconds = journal.seconds - watch.total
    with trainer.averaged() as averaged:
        _save_whole(averaged, run.tokenizer_folder)
    final = MuseTokenizer.from_pretrained(run.tokenizer_folder)
    record = replace(_record(run, stage, trainer, source, journal, start, seconds), observers=watch.rounded())
    write_json(run.record_file, record)
    write_model_card(run.tokenizer_folder, record)
    return StageResult(final.to(accelerator.device).eval(), record, journal.rows)


def _save_whole(tokenizer: MuseTokenizer, folder: Path) -> None:
    """Save beside and rename, so that the folder never holds half a tokenizer."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        tokenizer.save_pretrained(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise MuseError(
            f"Cannot write the tokenizer to {folder} ({error}): free some space and run again with resume."
        ) from error


def _begin(run: StageRun) -> int:
    """A fresh start: what an earlier run of this name left is set aside once, as ``<stage>.previous``."""
    if any(run.checkpoints.glob("step-*")) or run.tokenizer_folder.exists():
        previous = run.folder.with_name(run.folder.name + ".previous")
        shutil.rmtree(previous, ignore_errors=True)
        run.folder.rename(previous)
        run.folder.mkdir()
    run.metrics_file.unlink(missing_ok=True)
    return 0


def _resume(run: StageRun, trainer: Trainer, source: Source, journal: _Journal) -> int:
    """Restore the newest intact checkpoint and return its step; 0 where there is none yet."""
    checkpoint = latest_checkpoint(run.checkpoints)
    if checkpoint is None:
        return _begin(run)
    state = load_state(checkpoint)
    wanted = run.facts() | {"data_fingerprint": source.fingerprint}
    for name, value in wanted.items():
        if state.facts.get(name) != value:
            raise MuseError(
                f"Cannot resume {run.stage} of run {run.run!r}: its checkpoint has {name}={state.facts.get(name)!r}, "
                f"these parameters say {value!r}; use the same ones, another run name, or resume=False."
            )
    trainer.restore(MuseTokenizer.from_pretrained(checkpoint / TOKENIZER_FOLDER), state)
    journal.rewind(state.facts["step"])
    journal.skipped.update(state.facts["files_skipped"])
    journal.enlarged.update(state.facts["files_enlarged"])
    journal.seconds_before = state.facts["seconds"]
    return state.facts["step"]


def _train(
    run: StageRun,
    stage: Stage,
    trainer: Trainer,
    source: Source,
    journal: _Journal,
    start: int,
    progress: Progress | None,
    watch: "_Watch",
) -> None:
    """Steps ``start .. stage.steps``, with checkpoints on the way."""
    preset = run.load_preset()
    batches = training_batches(
        source, stage.batch_size, run.seed, start, stage.steps,
        trainer.accelerator.process_index, trainer.accelerator.num_processes, preset.loader_workers,
    )  # fmt: skip
    step, whole = start, True
    bar = tqdm(batches, initial=start, total=stage.steps, desc=stage.name, file=sys.stdout, mininterval=2.0)
    try:
        with deferred_interrupts() as asked_to_stop:
            for batch in bar:
                watch.observe(trainer, step)
                whole = False
                row = trainer.update(batch.to(trainer.accelerator.device), step)
                step += 1
                journal.note({"step": step} | row, batch, keep=step % preset.record_every == 0 or step == stage.steps)
                whole = True
                if progress is not None:
                    progress(journal.rows)
                if step % stage.checkpoint_every == 0 or step == stage.steps:
                    _save(run, trainer, source, journal, step)
                if asked_to_stop.is_set() and step < stage.steps:
                    raise KeyboardInterrupt
    except FloatingPointError as error:
        journal.flush()
        raise MuseError(_diverged(run, step, error, batch)) from error
    except KeyboardInterrupt as error:
        if not whole:  # a second Ctrl-C, inside a step: some weights have moved and others have not
            raise MuseError(
                f"Stopped {run.stage} inside step {step + 1}, which is lost: run again with resume=True to go on "
                "from the last checkpoint."
            ) from error
        _save(run, trainer, source, journal, step)
        raise MuseError(
            f"Interrupted {run.stage} at step {step}; it is saved: run again with resume=True to go on."
        ) from error


def _save(run: StageRun, trainer: Trainer, source: Source, journal: _Journal, step: int) -> None:
    journal.flush()
    state = trainer.state()
    state.facts |= run.facts() | {
        "data_fingerprint": source.fingerprint,
        "files_skipped": sorted(journal.skipped),
        "files_enlarged": sorted(journal.enlarged),
        "seconds": journal.seconds,
        "provenance": provenance(str(trainer.accelerator.device)).__dict__,
    }
    save_checkpoint(run.checkpoints, step, trainer.tokenizer, state)


def _diverged(run: StageRun, step: int, error: Exception, batch: Batch) -> str:
    good = latest_checkpoint(run.checkpoints)
    kept = f"the checkpoint of {good.name} is kept" if good else "no checkpoint had been written yet"
    return (
        f"{run.stage} of run {run.run!r} stopped at step {step + 1}: {error}, on the samples "
        f"{', '.join(batch.ids[:4])}{' ...' if len(batch.ids) > 4 else ''}; {kept}. "
        "Lower the learning rate, or look at those samples."
    )


def _record(
    run: StageRun, stage: Stage, trainer: Trainer, source: Source, journal: _Journal, start: int, seconds: float
) -> StageRecord:
    return StageRecord(
        stage=stage.name,
        run=run.run,
        preset=run.preset,
        data=run.data,
        data_fingerprint=source.fingerprint,
        routing=run.routing,
        seed=run.seed,
        steps=stage.steps,
        batch_size=stage.batch_size,
        resumed_at=start,
        seconds=round(seconds, 1),
        images_per_second=round(stage.steps * stage.batch_size / max(seconds, 1e-9), 1),
        losses=_first_and_last(journal.rows),
        trainable_parameters=sum(weight.numel() for weight in trainer.weights.values()),
        changes=run.changes,
        perceptual_network=trainer.teachers.perceptual.name,
        files_skipped=sorted(journal.skipped),
        files_enlarged=len(journal.enlarged),
        provenance=provenance(str(trainer.accelerator.device)),
    )


def _first_and_last(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Each term at the first step, and its mean over the last ten."""
    tail = rows[-10:]
    terms = [name for name in rows[0] if name.startswith("loss/")] if rows else []
    return {
        term.removeprefix("loss/"): {"first": rows[0][term], "last": sum(row[term] for row in tail) / len(tail)}
        for term in terms
    }
