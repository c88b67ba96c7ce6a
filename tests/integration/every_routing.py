"""Two updates of every stage under every routing, in as many processes as there are, then every loss
alone: its gradients go to the file that is given.
"""

import sys
from dataclasses import replace

import torch
from accelerate import Accelerator

from muse_core.config.presets import tiny
from muse_core.data.scenes import Scenes
from muse_core.models.gradient_routes import ROUTINGS
from muse_core.training.tokenizer_task import TokenizerTask
from tests.integration.gradients_by_loss import small_teachers, write_gradients
from tests.unit.models.small_models import TINY, small_tokenizer

TWO_BANDS = replace(TINY, semantic_channels=4)


def train_under_every_routing(accelerator: Accelerator) -> None:
    """The first process prints what was trained."""
    teachers = small_teachers()
    batch = Scenes("train", 32).__getitems__([accelerator.process_index, 2])
    for routing in ROUTINGS:
        for stage in tiny().curriculum:
            torch.manual_seed(1)
            task = TokenizerTask(
                small_tokenizer(TWO_BANDS, routing), stage, teachers, None, accelerator
            )
            for step in range(2):
                task.update(batch, step)
            if accelerator.is_main_process:
                print(routing, stage.name, len(task.weights), flush=True)


if __name__ == "__main__":
    here = Accelerator(cpu=True)
    train_under_every_routing(here)
    write_gradients(here, sys.argv[1])
