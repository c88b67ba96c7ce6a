"""What notebook 05 does around its story: opens data and networks, measures row by row, writes the
record.
"""

import re
import sys
import time
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from tqdm import tqdm

from muse_core import paths
from muse_core.config.parameters import EvaluationParameters
from muse_core.config.preset import Preset
from muse_core.data.sources import open_source
from muse_core.errors import MuseError
from muse_core.evaluation.cache import Cache
from muse_core.evaluation.comparisons import compare, verdicts
from muse_core.evaluation.evaluate import Evaluated, evaluate
from muse_core.evaluation.feature_extractors import TokenizerExtractor
from muse_core.evaluation.protocol import Protocol, open_protocol
from muse_core.evaluation.run_rows import (
    BACKBONE,
    MUSE,
    SHARED,
    Absent,
    last_tokenizer,
    run_rows,
    tokenizer_folder,
)
from muse_core.notebook import print_setup, say
from muse_core.results.measurements import Comparison, EvaluationRecord, Row
from muse_core.results.records import provenance, write_json
from muse_core.training.teachers import Teachers, load_teachers
from muse_core.training.trainer import accelerator_for

SPLITS = ("train", "test")
COMPARED = ("psnr", "ssim", "zero_shot", "linear_probe", "miou", "attention_auc", "attention_iou")
PIXEL_METRICS = ("psnr", "ssim", "lpips", "perceptual_teacher", "rfid", "fd_teacher")
UNDERSTANDING_METRICS = ("zero_shot", "zero_shot_top5", "linear_probe", "miou")
ATTENTION_METRICS = (
    "attention_auc",
    "attention_iou",
    "attention_pointing",
    "attention_kl",
    "attention_rank",
)


@dataclass
class EvaluationSession:
    """A run about to be measured: its preset, the protocol all rows share, and what was measured so
    far.
    """

    parameters: EvaluationParameters
    preset: Preset
    protocol: Protocol
    teachers: Teachers
    evaluated: dict[str, Evaluated] = field(default_factory=dict)
    absent: list[Absent] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def baseline_run(self) -> str:
        return self.parameters.baseline or f"{self.parameters.run}-shared"

    @property
    def device(self) -> torch.device:
        return next(self.teachers.topology.parameters()).device

    @property
    def final(self) -> Evaluated:
        """MUSE after the last stage that is there."""
        return self.evaluated[self._final_name]

    @property
    def _final_name(self) -> str:
        numbers = range(len(self.preset.curriculum.stages), 0, -1)
        return next(name for name in map(MUSE.format, numbers) if name in self.evaluated)

    @property
    def rows(self) -> list[Row]:
        return [each.row for each in self.evaluated.values()]

    def measure(self) -> list[Row]:
        """Measure every row, from the cache where nothing it depends on has changed."""
        began = time.monotonic()
        place = re.sub(r"[^A-Za-z0-9]+", "_", self.parameters.data)
        cache = Cache(paths.run_folder(self.parameters.run) / "evaluation" / place)
        rows = run_rows(
            self.preset,
            self.parameters.run,
            self.baseline_run,
            self.teachers.topology,
            self.protocol.train,
            self.device,
        )
        count = len(self.preset.curriculum.stages) + 5
        with tqdm(total=count, unit="row", file=sys.stdout, mininterval=2) as bar:
            for row in rows:
                bar.set_description(row.name, refresh=False)
                if isinstance(row, Absent):
                    self.absent.append(row)
                else:
                    self.evaluated[row.name] = evaluate(row, self.protocol, cache)
                bar.update()
        cache.prune()
        self.seconds = round(time.monotonic() - began, 1)
        for row in self.absent:
            say(f"not measured: {row.name}: {row.why}")
        return self.rows

    def final_tokenizer(self) -> TokenizerExtractor:
        """The tokenizer of the last finished stage, loaded, for pictures."""
        return last_tokenizer(self.preset, self.parameters.run, self.device)

    def comparisons(self) -> list[Comparison]:
        """The last stage against the frozen backbone, and against shared routing, where those rows
        exist.
        """
        shared = SHARED.format(len(self.preset.curriculum.stages))
        pairs = [(BACKBONE, ("zero_shot", "linear_probe", "miou")), (shared, COMPARED)]
        return [
            found
            for other, metrics in pairs
            if other in self.evaluated
            for found in compare(self.final, self.evaluated[other], metrics, self.parameters.seed)
        ]

    def conclusions(self) -> list[str]:
        """What the table shows, in sentences that follow its numbers."""
        return conclusions(self.final.row, self.comparisons())

    def save(self) -> EvaluationRecord:
        """Write ``records/evaluation.json``."""
        p, protocol = self.parameters, self.protocol
        record = EvaluationRecord(
            run=p.run,
            preset=p.preset,
            data=p.data,
            split="test",
            n_train=min(protocol.n_train, len(protocol.train)),
            n_test=min(protocol.n_test, len(protocol.test)),
            seed=p.seed,
            rows=self.rows,
            comparisons=self.comparisons(),
            notes=[f"{row.name}: {row.why}" for row in self.absent] + [INTERVALS_NOTE],
            seconds=self.seconds,
            provenance=provenance(str(self.device)),
        )
        file = write_json(paths.records_folder(p.run) / "evaluation.json", record)
        print(f"record     {file.relative_to(paths.root())}")
        return record


INTERVALS_NOTE = (
    "Intervals are bootstrap 95 % intervals over test images; they hold for these weights and say nothing about another "
    "training seed."
)


def begin_evaluation(**parameters: Any) -> EvaluationSession:
    """Check the parameters, open data and networks, print where and on what it runs.

    Raises MuseError, one sentence, for a wrong parameter or missing data.
    """
    checked = EvaluationParameters.check(**parameters)
    preset = checked.load_preset()
    _require_a_tokenizer(checked.run, preset)
    device = accelerator_for(checked.device).device
    teachers = load_teachers(preset, device)
    preset = replace(
        preset,
        probe_images=checked.train_images or preset.probe_images,
        held_out_images=checked.test_images or preset.held_out_images,
    )
    train, test = (open_source(checked.data, split, preset.image_size) for split in SPLITS)
    protocol = open_protocol(preset, train, test, teachers, checked.seed, checked.download)
    print_setup(checked.preset, str(device), data=checked.data, images=protocol.images_used)
    _print_absent(protocol.networks.absent)
    return EvaluationSession(checked, preset, protocol, teachers)


def _require_a_tokenizer(run: str, preset: Preset) -> None:
    stages = preset.curriculum.stages
    if not any((tokenizer_folder(run, stage.name) / "config.json").exists() for stage in stages):
        numbers = " ".join(stage.notebook[:2] for stage in stages)
        raise MuseError(
            f"Run {run!r} has no tokenizer to evaluate: first train one with "
            f"`muse run {numbers} --run {run} -p preset {preset.name}`."
        )


def _print_absent(absent: list[str]) -> None:
    if absent:
        say(
            f"not measured: {' and '.join(absent)}: the weights are not on this machine; "
            "-p download true fetches them. The distances in the teacher's features are stand-ins "
            "under their own names."
        )


def conclusions(final: Row, comparisons: list[Comparison]) -> list[str]:
    """What a table shows, in sentences that follow its numbers."""
    psnr = final.measurements["psnr"]
    found = [
        f"{final.name} reconstructs {psnr.n:,} test images at {psnr.value:.1f} dB ({psnr.low:.1f} to {psnr.high:.1f})."
    ]
    return found + verdicts(comparisons)
