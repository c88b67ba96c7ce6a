"""A training step of the embedded world, and what its design choices cost: routing, the trunk's
routes, drawing scenes.
"""

from collections.abc import Callable
from functools import partial

import torch

from benchmarks.measuring import Ratio, median_seconds, ratio_in_turns
from muse_core.config.overrides import load_preset
from muse_core.data.scenes import Scenes
from muse_core.models.assembly import assemble_tokenizer
from muse_core.training.distributed import accelerator_for
from muse_core.training.teachers import load_teachers
from muse_core.training.tokenizer_task import TokenizerTask

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
