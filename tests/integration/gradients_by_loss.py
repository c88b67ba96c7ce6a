"""Every loss alone (the others at weight 0): its value and its gradients on one batch, in as many
processes as there are.

Under torchrun the first process writes them to the file it is given, with the number of graphs that
were compiled; more arguments name the losses."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor

from muse_core.config.presets import tiny
from muse_core.config.stage import Loss, by_loss
from muse_core.data.scenes import Scenes
from muse_core.foundations.perceptual import TeacherFeatures
from muse_core.foundations.topology_teacher import DinoV3Teacher
from muse_core.training.distributed import mean_over_processes
from muse_core.training.fsdp import whole
from muse_core.training.loss_terms import forward_step
from muse_core.training.teachers import Teachers
from muse_core.training.tokenizer_task import TokenizerTask

IMAGES = 32
LOSSES = [loss for loss in Loss if loss is not Loss.DISTILLATION]
"""Distillation needs the image tower of a real backbone; its mean over images is as the others'."""


def small_teachers() -> Teachers:
    from tests.integration.micro import TEACHER, small_text_tower

    torch.manual_seed(0)
    teacher = DinoV3Teacher.from_config(TEACHER, (0, 1, 1, 2, 2, 3)).requires_grad_(False)
    return Teachers(teacher, small_text_tower().requires_grad_(False), TeacherFeatures(teacher))


def gradients(
    accelerator: Accelerator, losses: Sequence[Loss] = LOSSES, routing: str = "orthogonal"
) -> dict[str, Tensor]:
    """``loss`` -> value, ``loss/weight`` -> gradient, the mean over processes; and
    ``critic/weight`` of the critic's update.
    """
    from tests.unit.models.small_models import small_tokenizer

    teachers, third = small_teachers(), tiny().curriculum["03_synergistic_tuning"]
    batch = Scenes("train", 32).__getitems__(
        list(range(accelerator.process_index, IMAGES, accelerator.num_processes))
    )
    found: dict[str, Tensor] = {}
    for loss in losses:
        torch.manual_seed(1)
        stage = replace(third, weights=by_loss(**{other: float(other is loss) for other in LOSSES}))
        trainer = TokenizerTask(
            small_tokenizer(routing=routing), stage, teachers, None, accelerator
        )
        terms, output = forward_step(
            trainer.model, trainer.tokenizer, trainer.discriminator, teachers, batch, trainer.stage
        )
        trainer._backward(terms)
        found[str(loss)] = torch.tensor(
            mean_over_processes(terms.as_floats(), accelerator)["total"]
        )
        reached = {
            name: weight.grad for name, weight in trainer.weights.items() if weight.grad is not None
        }
        found |= {f"{loss}/{name}": gradient for name, gradient in whole(reached).items()}
        if loss is Loss.ADVERSARIAL:
            trainer.critic.gradient(batch.images, output.reconstruction.detach())()
            found |= {
                f"critic/{name}": weight.grad
                for name, weight in trainer.discriminator.named_parameters()
            }
            found["lecam"] = torch.tensor(
                [trainer.critic.anchors.real, trainer.critic.anchors.fake]
            )
    return {name: value.detach().clone() for name, value in found.items()}


def write_gradients(accelerator: Accelerator, file: str, losses: Sequence[Loss] = LOSSES) -> None:
    """The first process writes what all of them measured."""
    measured = gradients(accelerator, losses)
    measured["graphs"] = torch.tensor(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    if accelerator.is_main_process:
        save_file(measured, file)
    accelerator.wait_for_everyone()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    named = [Loss(name) for name in sys.argv[2:]]
    write_gradients(Accelerator(cpu=True), sys.argv[1], named or LOSSES)
