"""The denoiser as it was along the way, to draw samples and distances over training."""

from pathlib import Path
from typing import Any

from muse_core.callback import Callback
from muse_core.training.saving import save_whole

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Of all steps; the finished denoiser is the last."""


def snapshot_steps(steps: int) -> list[int]:
    """After how many steps snapshots are taken, rising; the last step is not among them."""
    return sorted({round(steps * share) for share in SHARES} - {0, steps})


class Snapshots(Callback):
    """Saves the moving average at `snapshot_steps`, each in a folder below ``folder``."""

    name = "snapshots"

    def __init__(self, folder: Path, steps: int) -> None:
        self.folder, self.steps = folder, snapshot_steps(steps)

    def before_step(self, trainer: Any, step: int) -> None:
        if step in self.steps and trainer.task.accelerator.is_main_process:
            with trainer.task.averaged() as denoiser:
                save_whole(denoiser, self.folder / f"step-{step:08d}")


def snapshots(folder: Path) -> dict[int, Path]:
    """Steps -> folder of the denoiser after so many, for those that were saved."""
    return {int(path.name.removeprefix("step-")): path for path in sorted(folder.glob("step-*"))}
