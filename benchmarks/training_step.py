"""A training step of the embedded world, and what its design choices cost: routing, the trunk's
routes, drawing scenes, the loop around the update.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from benchmarks.measuring import Ratio, median_seconds, ratio_in_turns
from muse_core.config.overrides import load_preset
from muse_core.data.scenes import Scenes
from muse_core.models.assembly import assemble_tokenizer
from muse_core.training.distributed import accelerator_for
from muse_core.training.teachers import load_teachers
from muse_core.training.tokenizer_task import TokenizerTask
from muse_core.training.trainer import RunOptions, Trainer

SEMANTIC, TUNING = "02_semantic_injection", "03_synergistic_tuning"


def training_step(
    preset_name: str, routing: str, stage: str = SEMANTIC, batch_size: int = 32
) -> Callable[[], object]:
    """One update of a stage; the second has every loss but the adversarial one."""
    preset = load_preset(preset_name, f"routing={routing}")
    accelerator = accelerator_for("auto")
    teachers = load_teachers(preset, accelerator.device)
    torch.manual_seed(0)
    tokenizer = assemble_tokenizer(preset, teachers.text.width)
    task = TokenizerTask(tokenizer, preset.curriculum[stage], teachers, None, accelerator)
    batch = Scenes("train", preset.image_size).first(batch_size).to(accelerator.device)
    return lambda: task.update(batch, 10)


def routing_costs(rounds: int, preset: str = "tiny") -> dict[str, Ratio]:
    """Time of a step with one routing over that of the same step with another."""
    pairs = {
        "step_orthogonal_over_shared": ("orthogonal", "shared", SEMANTIC),
        "step_trunk_routed_over_orthogonal": ("trunk-routed", "orthogonal", TUNING),
    }
    return {
        name: ratio_in_turns(
            training_step(preset, new, stage), training_step(preset, old, stage), rounds
        )
        for name, (new, old, stage) in pairs.items()
    }


def flushed_denormals(rounds: int, preset: str = "tiny") -> dict[str, Ratio]:
    """How many times faster a step is when numbers below 1e-38 count as zero, stage by stage."""
    found = {}
    for stage in (each.name for each in load_preset(preset).curriculum):
        step = training_step(preset, "orthogonal", stage, 16)

        def after(flush: bool, step: Callable[[], object] = step) -> object:
            torch.set_flush_denormal(flush)
            return step()

        ratio = ratio_in_turns(partial(after, True), partial(after, False), rounds)
        found[f"step_speedup_of_flushed_denormals_{stage[:2]}"] = ratio.inverse
    torch.set_flush_denormal(True)
    return found


def scenes_a_second(rounds: int) -> float:
    """Drawn in this process."""
    scenes = Scenes("train")
    return 256 / median_seconds(lambda: scenes.__getitems__(list(range(256))), rounds)


class TimedTask(TokenizerTask):
    """Remembers when each update began and ended."""

    def update(self, *args: object) -> object:
        began = time.perf_counter()
        said = super().update(*args)
        self.updates.append((began, time.perf_counter()))
        return said

    @property
    def updates(self) -> list[tuple[float, float]]:
        return self.__dict__.setdefault("_updates", [])


def outside_the_update(preset_name: str = "tiny", steps: int = 60) -> dict[str, float]:
    """Of `Trainer.fit`: the share of its loop that is not spent in updates (drawing images, writing
    metrics, checkpoints), and its seconds before the first and after the last.
    """
    preset, run = load_preset(preset_name), "bench.outside-the-update"
    stage = replace(preset.curriculum.stages[0], steps=steps)
    teachers = load_teachers(preset, "cpu")
    tokenizer = assemble_tokenizer(preset, teachers.text.width)
    source = Scenes("train", preset.image_size)
    options = RunOptions(run=run, device="cpu", fresh=True)
    trainer = Trainer(tokenizer, stage, source, teachers, options=options, task=TimedTask)
    began = time.perf_counter()
    try:
        trainer.fit()
        ended = time.perf_counter()
    finally:
        shutil.rmtree(trainer.files.folder.parent, ignore_errors=True)
        shutil.rmtree(trainer.files.metrics_file.parent.parent, ignore_errors=True)
    assert isinstance(trainer.task, TimedTask)
    updates = trainer.task.updates
    first, last = updates[0][0], updates[-1][1]
    busy = sum(end - start for start, end in updates)
    return {"share": 1 - busy / (last - first), "before": first - began, "after": ended - last}
