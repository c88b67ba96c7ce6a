"""What a launcher of FSDP starts in the tests: gradients by loss, a step that one process spoils,
then stages.

Its arguments: the file for what was measured, and the runs of the stages as JSON.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor

from muse_core.config.presets import tiny
from muse_core.data.scenes import Scenes
from muse_core.training.distributed import accelerator_for, mean_over_processes
from muse_core.training.fsdp import whole
from muse_core.training.launch import run_entry
from muse_core.training.stage_run import StageRun, train_stage
from muse_core.training.tokenizer_task import TokenizerTask

ROUTINGS = ("orthogonal", "trunk-routed")


def measured(accelerator: Accelerator) -> dict[str, Tensor]:
    """``routing/`` and what `gradients` finds."""
    from tests.integration.gradients_by_loss import gradients

    return {
        f"{routing}/{name}": value
        for routing in ROUTINGS
        for name, value in gradients(accelerator, routing=routing).items()
    }


def refused(accelerator: Accelerator) -> dict[str, Tensor]:
    """``raised``: the share of processes that refuse a step whose images are NaN in the last one;
    ``changed``: how many tensors it changed; ``moved``: how many the good step after it changed;
    ``held``: the share of them that the first process keeps."""
    from tests.integration.gradients_by_loss import small_teachers
    from tests.unit.models.small_models import small_tokenizer

    trainer = TokenizerTask(
        small_tokenizer(),
        tiny().curriculum["03_synergistic_tuning"],
        small_teachers(),
        None,
        accelerator,
    )
    good = Scenes("train", 32).first(4)
    last = accelerator.process_index == accelerator.num_processes - 1
    trainer.update(good, 0)
    before, raised = _all(trainer), 0.0
    try:
        trainer.update(replace(good, images=good.images * torch.nan) if last else good, 1)
    except FloatingPointError:
        raised = 1.0
    after = _all(trainer)
    trainer.update(good, 1)
    found = {
        "changed": _differ(before, after),
        "moved": _differ(after, _all(trainer)),
        "held": _held(trainer),
    }
    return {"raised": torch.tensor(mean_over_processes({"": raised}, accelerator)[""])} | found


def _all(trainer: TokenizerTask) -> dict[str, Tensor]:
    """Weights, averages and moments."""
    state = {
        name: value
        for name, value in trainer.state(trainer.accelerator.is_main_process).tensors.items()
        if name.startswith(("ema/", "optimiser/"))
    }
    return state | whole(trainer.tokenizer.state_dict(), kept=trainer.accelerator.is_main_process)


def _held(trainer: TokenizerTask) -> Tensor:
    moments = [
        value
        for state in trainer.optimiser.state.values()
        for value in state.values()
        if value.dim()
    ]
    found = [*trainer.tokenizer.parameters(), *trainer.average.shadow_params, *moments]
    local = sum((each.to_local() if isinstance(each, DTensor) else each).numel() for each in found)
    return torch.tensor(local / sum(each.numel() for each in found))


def _differ(first: dict[str, Tensor], second: dict[str, Tensor]) -> Tensor:
    return torch.tensor(sum(not torch.equal(value, second[name]) for name, value in first.items()))


def main(measured_file: str, *run_files: str) -> int:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    accelerator = accelerator_for("cpu")
    found = measured(accelerator) | refused(accelerator)
    if accelerator.is_main_process:
        save_file(found, measured_file)
    return max(run_entry(StageRun, train_stage, [file]) for file in run_files)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
