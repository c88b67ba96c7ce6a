"""`Trainer`: the steps of any stage, with metrics, checkpoints and faults. A task knows
the update.
"""

import importlib
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import torch
from accelerate.utils import gather_object
from tqdm import tqdm

from muse_core import paths
from muse_core.callback import Callback
from muse_core.config.stage import Schedule
from muse_core.data.loader import Samples, training_batches
from muse_core.errors import MuseError
from muse_core.results.records import plain, provenance, read_jsonl, read_record, write_json
from muse_core.results.trained_code import code_digests, other_code
from muse_core.training import faults
from muse_core.training.checkpoint import latest_checkpoint, load_state, save_checkpoint
from muse_core.training.data_files import changed_files, keep_files
from muse_core.training.distributed import accelerator_for, any_process, images_each
from muse_core.training.interrupts import asker_wants_stop, deferred_interrupts
from muse_core.training.launch import ALONE, Launch, train_launched
from muse_core.training.metrics_logger import SKIPPED, MetricsLogger, Row
from muse_core.training.run_lock import run_lock
from muse_core.training.saving import tidy
from muse_core.training.stage_record import StageRecord
from muse_core.training.task import Task
from muse_core.training.timed_batches import WorkerDied, timed_batches
from muse_core.training.tokenizer_task import TokenizerTask
from muse_core.training.trackers import Trackers

INCIDENTAL = ("name", "checkpoint_every", "checkpoints_kept", "bad_steps")
"""Fields of a stage that do not change what is trained."""


@dataclass(frozen=True)
class RunFiles:
    """Where a stage of a run keeps what it makes.

    Args:
        run: Name of the run.
        place: The stage's folder below the run's, its name as a rule.
    """

    run: str
    place: str

    @property
    def folder(self) -> Path:
        return paths.run_folder(self.run) / self.place

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def metrics_file(self) -> Path:
        return paths.records_folder(self.run) / f"{self.place.replace('/', '_')}.jsonl"

    @property
    def record_file(self) -> Path:
        """``stage1.json`` for 01_topology_warmup; of a place within a stage, by its own name."""
        number = self.place[:2]
        plain = number.isdigit() and "/" not in self.place
        name = f"stage{int(number)}" if plain else self.place.replace("/", "_")
        return paths.records_folder(self.run) / f"{name}.json"


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where and how a stage is trained; of these, seed and precision change what is learned.

    Args:
        run: Name of the run: its folders under data/runs and reports.
        seed: Of data order and random numbers.
        device: "auto", "cpu", "cuda" or "mps".
        precision: A name of `muse_core.training.distributed.PRECISIONS`.
        resume: Go on from the last checkpoint, if there is one.
        fresh: Train again even what is trained with this very configuration.
        launch: In which processes.
        recipe: How another process makes the same objects; needed to launch.
        place: The folder below the run's, where it is not the stage's name.
        workers: Processes that read data.
        record_every: Steps between two lines of the metrics file.
        trackers: Names of `muse_core.training.trackers.tracker_names`.
        notes: What the record says besides: preset, overrides, data, model.
    """

    run: str = "scratch"
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    resume: bool = False
    fresh: bool = False
    launch: Launch = ALONE
    recipe: Any = None
    place: str = ""
    workers: int = 0
    record_every: int = 1
    trackers: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class StageResult:
    """What a stage leaves.

    Args:
        network: The moving average, ready to use: a tokenizer, or a generator's pipeline.
        record: What ``records/stageN.json`` holds.
        rows: The metrics file.
    """

    network: Any
    record: StageRecord
    rows: list[Row]

    @property
    def tokenizer(self) -> Any:
        """The network of a tokenizer's stage."""
        return self.network

    @property
    def pipeline(self) -> Any:
        """The network of a generator's stage."""
        return self.network


class Trainer:
    """Trains one stage of one network.

    Args:
        network: A tokenizer, or whatever ``task`` trains.
        stage: Steps, rates, loss weights; any field may be replaced.
        data: A `muse_core.data.batch.Source`, or anything indexed the same way.
        teachers: The frozen networks that supervise.
        losses: Name -> `muse_core.training.loss_terms.LossTerm`; None for the task's own.
        callbacks: Hooks that look on.
        options: Run name, seed, device, resume, processes.
        task: What kind of network this is.

    Raises:
        MuseError: Anything the caller can mend, in one sentence.
    """

    def __init__(
        self,
        network: Any,
        stage: Schedule,
        data: Samples,
        teachers: Any,
        losses: Mapping[str, Any] | None = None,
        callbacks: Iterable[Callback] = (),
        *,
        options: RunOptions | None = None,
        task: Callable[..., Task] = TokenizerTask,
    ) -> None:
        self.options = options or RunOptions()
        self.stage, self.data, self.losses, self.made_of = stage, data, losses, (network, teachers)
        self.kind, self.callbacks = task, list(callbacks)
        self.files = RunFiles(self.options.run, self.options.place or stage.name)
        self.logger = MetricsLogger(self.files.metrics_file)
        self.start = 0
        self.readers: list[dict[str, Any]] = []
        self._task: Task | None = None
        self._used = False
        # Processes that are launched have trackers of their own.
        if self.options.trackers and not self.options.launch.wanted:
            self.callbacks.append(Trackers(self.options.trackers))

    @property
    def task(self) -> Task:
        """The network with its optimisers and averages, on its device."""
        if self._task is None:
            launch = self.options.launch
            processes = 1 if launch.wanted else launch.processes
            accelerator = accelerator_for(self.options.device, processes, self.options.precision)
            images_each(self.stage.batch_size, accelerator.num_processes)
            torch.manual_seed(self.options.seed)
            network, teachers = self.made_of
            self._task = self.kind(network, self.stage, teachers, self.losses, accelerator)
            self.logger.writes = accelerator.is_main_process
        return self._task

    @property
    def rows(self) -> list[Row]:
        """The rows of the metrics file so far."""
        return self.logger.rows

    @property
    def what(self) -> str:
        """The stage as a sentence names it."""
        return f"{self.files.place} of run {self.options.run!r}"

    @property
    def finished(self) -> Path:
        """Where the stage leaves its network."""
        return self.files.folder / getattr(self.kind, "finished_as", "network")

    def configuration(self) -> dict[str, Any]:
        """Everything that decides what is learned, as plain values."""
        stage = plain(self.stage)
        return {
            "stage": {name: held for name, held in stage.items() if name not in INCIDENTAL},
            "seed": self.options.seed,
            "precision": {"no": "fp32"}.get(mixed := self.task.accelerator.mixed_precision, mixed),
            **plain(self.task.configuration()),
            "data": getattr(self.data, "fingerprint", ""),
        }

    def fit(self) -> StageResult:
        """All steps, from the start or the last checkpoint; at once where this is trained already.

        Returns:
            The network with its moving average, its record and the rows of the metrics file.

        Raises:
            MuseError: Anything the caller can mend. A loss that is not finite, an interrupt or a
                full disk leaves the last good checkpoint.
        """
        for folder in (self.files.folder, self.files.metrics_file.parent):
            paths.writable(folder)
        if self.options.launch.wanted:
            return self._result(self._trained_already() or self._train_launched())
        with run_lock(self.files.folder, self.what):
            return self._result(self._trained_already() or self._train())

    def _trained_already(self) -> StageRecord | None:
        """The record of this very configuration; says so, and which code is another now."""
        if self.options.fresh or not self.finished.is_dir() or not self.files.record_file.exists():
            return None
        try:
            record = read_record(self.files.record_file, StageRecord)
        except MuseError:
            return None
        if record.configuration != self.configuration():
            return None
        self.logger.rows = list(read_jsonl(self.files.metrics_file))
        if self.task.accelerator.is_main_process:
            print(f"{self.what} is trained already (commit {record.provenance.commit}).")
            if changed := other_code(record.code):
                print(changed)
        return record

    def _result(self, record: StageRecord) -> StageResult:
        network = self.task.finished(self.finished)
        return StageResult(network, record, self.logger.rows)

    def _train(self) -> StageRecord:
        task, logger, configuration = self.task, self.logger, self.configuration()
        if self._used:
            raise MuseError(
                f"This Trainer has trained {self.what} already, and its network with it: make a "
                "new one, with a network as the stage finds it."
            )
        self._used = True
        if logger.writes:
            for folder in (self.files.folder, self.files.checkpoints):
                tidy(folder)
        goes_on = self.options.resume and not self.options.fresh
        self.start = self._resume(configuration) if goes_on else self._begin(configuration)
        task.accelerator.wait_for_everyone()
        logger.began = time.monotonic()
        self._call("on_train_begin", self)
        try:
            with deferred_interrupts() as asked_to_stop:
                self._steps(asked_to_stop, configuration)
        finally:
            self._call("on_train_end", self)
        record = self._record(configuration, logger.seconds)
        with task.averaged() as averaged:
            if logger.writes:
                task.save(averaged, self.finished)
                write_json(self.files.record_file, record)
                task.describe(self.finished, record)
        task.accelerator.wait_for_everyone()
        return record

    def _steps(self, asked_to_stop: Event, configuration: dict[str, Any]) -> None:
        """Steps ``start .. stage.steps``, with checkpoints on the way."""
        stage, task, options = self.stage, self.task, self.options
        accelerator, files = task.accelerator, self.files
        rank, processes = accelerator.process_index, accelerator.num_processes
        steps = stage.batch_size, options.seed, self.start, stage.steps
        loader = training_batches(self.data, *steps, rank, processes, options.workers)
        if rank < len(self.readers):
            loader.load_state_dict(self.readers[rank])
        shown = {"initial": self.start, "total": stage.steps, "desc": files.place}
        shown |= {"disable": not accelerator.is_main_process, "mininterval": 2.0}
        bar = tqdm(timed_batches(loader, self.logger), file=sys.stdout, **shown)
        step, whole, batch = self.start, True, None
        save = lambda: self._save(step, configuration, loader.state_dict())
        try:
            for loaded in bar:
                self._call("before_step", self, step)
                whole, batch = False, loaded.to(accelerator.device)
                self._call("on_batch", self, step, batch)
                row = self._update_or_skip(batch, step)
                step += 1
                keep = step % options.record_every == 0 or step == stage.steps or SKIPPED in row
                self.logger.note({"step": step} | row, batch, keep)
                whole = True
                self._call("on_step", self, {"step": step} | row)
                if step % stage.checkpoint_every == 0 or step == stage.steps:
                    save()
                stop = asked_to_stop.is_set() or asker_wants_stop()
                if step < stage.steps and any_process(stop, accelerator):
                    raise KeyboardInterrupt
        except FloatingPointError as error:
            self.logger.flush()
            said = faults.diverged(self.what, files.checkpoints, step, error, batch)
            raise MuseError(said) from error
        except torch.OutOfMemoryError as error:
            self.logger.flush()
            said = faults.too_large(self.what, files.checkpoints, step, stage.batch_size)
            raise MuseError(said) from error
        except WorkerDied as error:
            # Other processes stand in the middle of a step, and cannot save with this one.
            if alone := processes == 1:
                save()
            raise MuseError(faults.worker_died(self.what, step, error, alone)) from error
        except KeyboardInterrupt as error:
            if not whole:
                raise MuseError(faults.torn(self.what, step)) from error
            save()
            raise MuseError(faults.interrupted(self.what, step)) from error

    def _update_or_skip(self, batch: Any, step: int) -> Row:
        """One update; or no change at all, when it is not finite and the stage allows one more."""
        try:
            return self.task.update(batch, step)
        except FloatingPointError:
            if len(self.logger.bad_steps) >= self.stage.bad_steps:
                raise
            self.logger.bad_steps.append(step + 1)
            return {SKIPPED: 1}

    def _call(self, hook: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            began, name = time.monotonic(), callback.name or type(callback).__name__
            getattr(callback, hook)(*arguments)
            spent = self.logger.callbacks.get(name, 0.0) + time.monotonic() - began
            self.logger.callbacks[name] = spent

    def _begin(self, configuration: dict[str, Any]) -> int:
        """A fresh start: what an earlier training left is set aside."""
        if self.logger.writes:
            if any(self.files.checkpoints.glob("step-*")) or self.finished.exists():
                self._set_aside(configuration)
            self.files.metrics_file.unlink(missing_ok=True)
            keep_files(self.data, self.files.folder)
        return 0

    def _set_aside(self, configuration: dict[str, Any]) -> None:
        """The last finished training is kept once, as ``<stage>.previous``; an attempt that left no
        network does not take its place.
        """
        folder, finished = self.files.folder, self.finished.exists()
        previous = folder.with_name(folder.name + ".previous")
        if finished or not (previous / self.finished.name).exists():
            shutil.rmtree(previous, ignore_errors=True)
            folder.rename(previous)
        else:
            shutil.rmtree(folder)
        folder.mkdir()
        if finished:
            before, kept = self._otherwise(configuration), previous.relative_to(paths.root())
            # `muse run` tells on the terminal what a page says after "note: ".
            print(f"note: {self.what} was trained before{before}; that is kept in {kept}")

    def _otherwise(self, configuration: dict[str, Any]) -> str:
        """What the training on record had that this one has not, in words."""
        try:
            record = read_record(self.files.record_file, StageRecord)
        except MuseError:
            return ""
        said = difference(record.configuration, configuration)
        return f" with {said[0]}={said[1]!r}, and now {said[2]!r}" if said else ""

    def _resume(self, configuration: dict[str, Any]) -> int:
        """The step of the newest intact checkpoint, restored; 0 where there is none yet.

        Raises MuseError when it was made with another configuration.
        """
        checkpoint = latest_checkpoint(self.files.checkpoints)
        if checkpoint is None:
            return self._begin(configuration)
        state = load_state(checkpoint)
        if said := difference(state.facts.get("configuration", {}), configuration):
            name, before, now = said
            if name == "data" and (changes := changed_files(self.data, self.files.folder)):
                raise MuseError(
                    f"Cannot resume {self.what}: its data is another now, {changes}. Put it back "
                    "as it was, or train from the start with resume=False or another run name."
                )
            raise MuseError(
                f"Cannot resume {self.what}: its checkpoint has {name}={before!r}, these "
                f"parameters say {now!r}; use the same ones, another run name, or resume=False "
                "(fresh=True where a notebook asks for that)."
            )
        self.task.restore(checkpoint / self.task.saved_as, state)
        self.logger.rewind(state.facts["step"])
        self.logger.recall(state.facts)
        self.readers = state.facts.get("readers", [])
        return state.facts["step"]

    def _save(self, step: int, configuration: dict[str, Any], reader: dict[str, Any]) -> None:
        """A checkpoint by the one process that writes; the others hand it what they hold, and where
        they stand in the data.
        """
        self.logger.flush(to_disk=True)
        readers = gather_object([reader])
        saved = self.task.to_save()
        last = self.files.checkpoints / f"step-{step:08d}"
        if saved is not None and not last.exists():
            network, state = saved
            state.facts |= {"configuration": configuration, "code": code_digests()}
            state.facts |= self.logger.remembered() | ({"readers": readers} if any(readers) else {})
            place, kept = (self.files.checkpoints, step), self.stage.checkpoints_kept
            save_checkpoint(*place, network, state, self.task.saved_as, kept)
        self.task.accelerator.wait_for_everyone()

    def _record(self, configuration: dict[str, Any], seconds: float) -> StageRecord:
        stage, logger, task = self.stage, self.logger, self.task
        return StageRecord(
            stage=stage.name,
            run=self.options.run,
            data_fingerprint=configuration["data"],
            seed=self.options.seed,
            steps=stage.steps,
            batch_size=stage.batch_size,
            resumed_at=self.start,
            seconds=round(seconds, 1),
            images_per_second=round(stage.steps * stage.batch_size / max(seconds, 1e-9), 1),
            losses=logger.losses(),
            trainable_parameters=sum(weight.numel() for weight in task.weights.values()),
            files_skipped=sorted(logger.files_skipped),
            files_enlarged=len(logger.files_enlarged),
            callbacks={name: round(spent, 2) for name, spent in logger.callbacks.items()},
            processes=task.accelerator.num_processes,
            data_wait_share=round(logger.waited / seconds, 4) if seconds > 0 else 0.0,
            bad_steps=logger.bad_steps,
            configuration=configuration,
            code=code_digests(),
            provenance=provenance(str(task.accelerator.device)),
            **{**self.options.notes, **task.facts()},
        )

    def _train_launched(self) -> StageRecord:
        """In processes of their own, which make the same objects by their recipe."""
        # What was made to compare configurations would take memory beside them.
        self._task = None
        if self.options.recipe is None:
            raise MuseError(
                f"{self.what} is made of objects that other processes cannot make: leave processes "
                "at 1, or begin from setup(), which knows how."
            )
        if lookers := [type(each).__name__ for each in self.callbacks if needs_weights(each)]:
            raise MuseError(
                f"{', '.join(lookers)} looks on in one process only: leave processes at 1."
            )
        order = self.options.recipe.order(self, self.files)

        def on_row(row: Row) -> None:
            self.logger.rows.append(row)
            self._call("on_step", self, row)

        self._call("on_train_begin", self)
        try:
            train_launched(self, self.options.recipe.module, order, on_row)
        finally:
            shutil.rmtree(start_folder(self.files.folder), ignore_errors=True)
            self._call("on_train_end", self)
        self.logger.rows = list(read_jsonl(self.files.metrics_file))
        return read_record(self.files.record_file, StageRecord)


def start_folder(folder: Path) -> Path:
    """Where a launched stage finds the network it begins with."""
    return folder.with_name(folder.name + ".start")


def needs_weights(callback: Callback) -> bool:
    """Whether it looks into the network before each step, which other processes hold."""
    hooks = ("before_step", "on_batch")
    return any(getattr(type(callback), hook) is not getattr(Callback, hook) for hook in hooks)


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The first value that is another one: its path, what it was and what it is."""
    for name in {**before, **now}:
        first, second = before.get(name), now.get(name)
        if first != second:
            if isinstance(first, dict) and isinstance(second, dict):
                within, first, second = difference(first, second) or ("", first, second)
                name = f"{name}.{within}"
            return name, first, second
    return None


def imported(reference: str) -> Any:
    """What ``module:name`` names. Raises MuseError where there is none."""
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise MuseError(
            f"{reference} cannot be imported ({error}): write module:function."
        ) from error
