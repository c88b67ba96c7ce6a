"""Two updates of every stage under every routing, in as many processes as there are."""

import torch
from accelerate import Accelerator

from muse_core.config.presets import tiny
from muse_core.data.scenes import Scenes
from muse_core.models.gradient_routes import ROUTINGS
from muse_core.training.tokenizer_task import TokenizerTask
from tests.integration.gradients_by_loss import small_teachers
from tests.unit.models.small_models import small_tokenizer

if __name__ == "__main__":
    accelerator, teachers = Accelerator(cpu=True), small_teachers()
    batch = Scenes("train", 32).__getitems__([accelerator.process_index, 2])
    for routing in ROUTINGS:
        for stage in tiny().curriculum:
            torch.manual_seed(1)
            task = TokenizerTask(
                small_tokenizer(routing=routing), stage, teachers, None, accelerator
            )
            for step in range(2):
                task.update(batch, step)
            if accelerator.is_main_process:
                print(routing, stage.name, len(task.weights), flush=True)
