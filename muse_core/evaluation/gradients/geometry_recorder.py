"""`GeometryRecorder`: how the gradients of pixels, semantics and topology lie to each other, every
k steps of a training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from muse_core import paths
from muse_core.callback import Callback
from muse_core.config.stage import Loss, Stage
from muse_core.data.batch import Batch, Source
from muse_core.errors import MuseError
from muse_core.evaluation.gradients.gradient_geometry import (
    KINDS,
    GradientGeometry,
    Place,
    as_found,
    gradient_geometry,
    in_blocks,
    places,
)
from muse_core.results.measurements import Measurement
from muse_core.results.records import append_jsonl, read_jsonl
from muse_core.training.fsdp import refuse
from muse_core.training.gradient_surgery import TASKS, task_losses
from muse_core.training.loss_terms import TERMS, LossTerm, forward_step
from muse_core.training.tokenizer_task import TokenizerTask
from muse_core.training.trainer import Trainer

DIGITS = 6
"""Significant digits on disk; 0.0 stays exactly zero."""


def geometry_file(run: str, stage: str) -> Path:
    """Where the gradients of a stage of a run are recorded."""
    return paths.records_folder(run) / f"geometry_{stage}.jsonl"


class GeometryRecorder(Callback):
    """Measures on the same few images every k steps, and writes one line a measurement.

    All three tasks are measured in every stage, also those a stage does not train. Under several
    processes each takes its part of the images, and the first writes. Training goes on bit for bit
    as without.

    Args:
        file: JSON Lines, made anew where a training starts anew; `read_geometry` reads it.
        source: Data whose first images are looked at.
        every: Steps between two measurements.
        images: How many of the images.
    """

    name = "gradient geometry"

    def __init__(self, file: Path, source: Source, every: int, images: int = 16) -> None:
        self.file, self.source, self.every, self.images = file, source, every, images
        self._probe: Batch | None = None

    def before_step(self, trainer: Trainer, step: int) -> None:
        accelerator = trainer.task.accelerator
        if self._probe is None:
            refuse(accelerator, "The recorder of gradient geometry")
            count = min(self.images, len(self.source))
            indices = range(accelerator.process_index, count, accelerator.num_processes)
            self._probe = self.source.__getitems__(list(indices)).to(accelerator.device)
            if accelerator.is_main_process:
                self._forget_from(step)
        if step % self.every == 0:
            assert isinstance(trainer.task, TokenizerTask)
            measured = measured_geometry(trainer.task, self._probe)
            if accelerator.is_main_process:
                append_jsonl(self.file, [{"step": step} | _to_row(measured)])

    def _forget_from(self, step: int) -> None:
        """A training that starts anew, or goes on from a checkpoint, measures these steps again."""
        kept = [row for row in read_jsonl(self.file) if row["step"] < step] if step else []
        self.file.unlink(missing_ok=True)
        append_jsonl(self.file, kept)


def measured_geometry(task: TokenizerTask, batch: Batch) -> GradientGeometry:
    """Geometry of the tasks' gradients at the weights as they are; neither weights, buffers nor
    random state change.
    """
    losses = {**TERMS, **task.losses}
    stage = probing(task.stage, losses, distils=task.teachers.image is not None)
    tokenizer, critic = task.tokenizer, task.discriminator
    with as_found(tokenizer, critic):
        tokenizer.requires_grad_(True)
        tokenizer.backbone.requires_grad_(stage.trains_backbone)
        with task.accelerator.autocast():
            terms, _ = forward_step(
                tokenizer, tokenizer, critic, task.teachers, batch, stage, losses
            )
        return gradient_geometry(task_losses(terms, stage.weights, losses), places(tokenizer))


def probing(stage: Stage, losses: Mapping[str, LossTerm], distils: bool) -> Stage:
    """The stage with a loss for every task, on all images; one it does not train gets weight 1,
    which no cosine depends on.
    """
    heard = {losses[name].like for name in stage.weights}
    semantic = Loss.DISTILLATION if distils else Loss.ANCHOR
    stand_ins = {"pixels": Loss.RECONSTRUCTION, "semantics": semantic, "topology": Loss.TOPOLOGY}
    absent = {stand_ins[task]: 1.0 for task, own in TASKS.items() if not own & heard}
    weights = MappingProxyType({**stage.weights, **absent})
    return replace(stage, weights=weights, shares=MappingProxyType({}))


def read_geometry(files: Sequence[Path], starts: Sequence[int] = ()) -> GradientGeometry:
    """All measurements of a training, stage after stage.

    Args:
        files: One a stage, as `GeometryRecorder` wrote them.
        starts: Steps done before each stage, which its own steps are counted on from; none for 0.

    Raises:
        MuseError: A file is not there, is empty, or holds something else.
    """
    first = dict(zip(files, starts or [0] * len(files), strict=True))
    rows = [(start, row) for file, start in first.items() for row in read_jsonl(file)]
    try:
        ((losses, keys),) = {(tuple(row["losses"]), tuple(row["gram"])) for _, row in rows}
        return GradientGeometry(
            losses,
            tuple(map(_place, keys)),
            np.array([list(row["gram"].values()) for _, row in rows], dtype=float),
            np.array([list(row["conflict"].values()) for _, row in rows], dtype=float),
            np.array([start + row["step"] for start, row in rows]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MuseError(
            f"{' and '.join(map(str, files))} holds no measured gradients that fit together: give "
            "geometry_every a number of steps, and train the run again."
        ) from None


def mean_cosine(found: GradientGeometry, a: str = "pixels", b: str = "semantics") -> Measurement:
    """Of two tasks in the blocks, mean over a training; 0 where no weight hears both.

    Its details hold means over blocks and training: |cosine| by pair of tasks and kind of weight,
    where a weight hears both (Figure 3 d of arXiv 2605.05646), and each task's energy by kind.
    """
    cosines = np.nan_to_num(found.at(in_blocks).cosine(a, b))
    words = f"cosine of the gradients of {a} and {b} over the blocks, mean over training"
    details = {"absolute": absolute_cosines(found), "energy": energy_shares(found)}
    return Measurement(float(cosines.mean()), cosines.size, words, details=details)


def energy_shares(found: GradientGeometry) -> dict[str, dict[str, float]]:
    """Task -> kind of weight -> its share of the task's energy in a block, mean over blocks and
    measurements.
    """
    table = {}
    for task in found.losses:
        by_kind = {
            kind: found.at(lambda place, kind=kind: place.kind == kind).energy(task)
            for kind in KINDS
            if any(place.kind == kind for place in found.places)
        }
        total = sum(by_kind.values())
        table[task] = {
            kind: round(float(np.mean(energy / np.where(total > 0, total, 1))), 4)
            for kind, energy in by_kind.items()
        }
    return table


def absolute_cosines(found: GradientGeometry) -> dict[str, dict[str, float]]:
    """Pair of tasks -> kind of weight -> mean |cosine| over blocks and measurements, where a weight
    hears both.
    """
    table = {}
    for a, b in combinations(found.losses, 2):
        by_kind = {}
        for kind in KINDS:
            cosines = np.abs(found.at(lambda place, kind=kind: place.kind == kind).cosines(a, b))
            if np.isfinite(cosines).any():
                by_kind[kind] = round(float(np.nanmean(cosines)), 4)
        table[f"{a}, {b}"] = by_kind
    return table


def _to_row(found: GradientGeometry) -> dict[str, Any]:
    keys = [f"{at.kind}/{at.block}" if at.block >= 0 else at.kind for at in found.places]
    return {
        "losses": list(found.losses),
        "gram": dict(zip(keys, _short(found.gram.tolist()), strict=True)),
        "conflict": dict(zip(keys, _short(found.conflict.tolist()), strict=True)),
    }


def _short(values: Any) -> Any:
    """The numbers of a nested list with few digits; None for not-a-number."""
    if isinstance(values, list):
        return [_short(each) for each in values]
    return None if values != values else float(f"{values:.{DIGITS}g}")


def _place(key: str) -> Place:
    kind, _, block = key.rpartition("/")
    return Place(kind, int(block)) if kind and block.isdigit() else Place(key)
