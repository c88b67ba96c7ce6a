"""A training step as the authors' release does it, at our sizes, for comparison (what it does:
arXiv 2605.05646's repository).

Every attention forms its map (teacher, backbone and connector); the teacher gives all its layers'
maps, of which the last one's head mean is used; only the last block is taught topology and
semantics; the teacher reads real images once more for the perceptual term; the moving average
covers everything, the frozen teacher included. Same sizes, batch, optimiser, and terms."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from unittest.mock import patch

import torch
import torch.nn.functional as F
from diffusers.training_utils import EMAModel
from torch import Tensor
from transformers import DINOv3ViTModel

from muse_core.config.stage import Loss
from muse_core.data.batch import Batch
from muse_core.foundations.topology_teacher import TeacherView
from muse_core.losses.topology import attention_divergence, resize_attention, topology_loss
from muse_core.shapes import Images, Scalar
from muse_core.training.loss_terms import TERMS, LossTerm, StepInputs
from muse_core.training.optimiser import clip_groups
from muse_core.training.teachers import Targets, Teachers
from muse_core.training.tokenizer_task import TokenizerTask


def unfused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    *_: object,
    **options,
) -> Tensor:
    """Attention that forms its map."""
    logits = query @ key.transpose(-1, -2) * (options.get("scale") or query.shape[-1] ** -0.5)
    if options.get("is_causal"):
        attn_mask = logits.new_ones(logits.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None:
        hidden = attn_mask.dtype == torch.bool
        logits = logits.masked_fill(~attn_mask, -torch.inf) if hidden else logits + attn_mask
    return torch.softmax(logits, dim=-1) @ value


@contextmanager
def unfused_attention() -> Iterator[None]:
    with patch.object(F, "scaled_dot_product_attention", unfused):
        yield


@contextmanager
def plain_eager(task: TokenizerTask) -> Iterator[None]:
    """While it lasts, every attention but the teacher's own forms its map, and L_topo of the task
    reads whole maps.
    """

    def on_maps(step: StepInputs) -> Scalar:
        targets = [target.grid_rows() for target in step.targets.attention]
        return topology_loss(targets, [layer.logits() for layer in step.output.attention])

    fused, look = F.scaled_dot_product_attention, Teachers.look

    def look_fused(teachers: Teachers, images: Images) -> TeacherView:
        with patch.object(F, "scaled_dot_product_attention", fused):
            return look(teachers, images)

    whole = {Loss.TOPOLOGY: LossTerm(on_maps, "topology")}
    # Queries and keys of the teacher are caught where it calls the fused attention.
    teacher, loss = patch.object(Teachers, "look", look_fused), patch.dict(task.losses, whole)
    with unfused_attention(), teacher, loss:
        yield


class ReadAgain(Targets):
    """The teacher reads real images once more for the perceptual term."""

    @property
    def features(self) -> list[Tensor]:
        perceptual = self.teachers.perceptual
        return self._once("features", lambda batch: perceptual(batch.images))


class ReleaseStep:
    """``trainer``: a `TokenizerTask` with routing "release", whose networks and
    optimiser are used.
    """

    def __init__(self, trainer: TokenizerTask) -> None:
        self.trainer = trainer
        teacher = trainer.teachers.topology
        self.teacher = DINOv3ViTModel._from_config(
            teacher.network.config, attn_implementation="eager"
        ).eval()
        self.teacher.requires_grad_(False).to(trainer.accelerator.device)
        self.everything = list(chain(trainer.tokenizer.parameters(), self.teacher.parameters()))
        self.average = EMAModel(self.everything, decay=0.999)

    def update(self, batch: Batch) -> None:
        trainer = self.trainer
        with unfused_attention(), trainer.accelerator.autocast():
            total = self._loss(batch)
        trainer.optimiser.zero_grad()
        trainer.accelerator.backward(total)
        clip_groups(trainer.optimiser, trainer.stage.clip_norm)
        trainer.optimiser.step()
        self.average.step(self.everything)

    def _loss(self, batch: Batch) -> Scalar:
        trainer, teachers = self.trainer, self.trainer.teachers
        with torch.no_grad():
            seen = self.teacher(
                teachers.topology.prepare(batch.images), output_attentions=True
            ).attentions
        output = trainer.model(
            batch.images, trunk_hears=trainer.stage.trunk_hears, with_attention=True
        )
        grid = trainer.tokenizer.token_grid(batch.images)
        targets = ReadAgain(teachers, batch, grid, trainer.tokenizer.config.num_heads)
        inputs = StepInputs(
            batch, output, targets, teachers, trainer.tokenizer, trainer.discriminator
        )
        parts = {
            loss: self._topology(seen[-1], output, grid)
            if loss is Loss.TOPOLOGY
            else TERMS[loss](inputs)
            for loss in trainer.stage.weights
        }
        return sum(trainer.stage.weights[loss] * part for loss, part in parts.items())

    def _topology(self, attention: Tensor, output, grid: tuple[int, int]) -> Scalar:
        teacher = self.trainer.teachers.topology
        side = teacher.image_size // teacher.patch_size
        patches = attention[:, :, -(side**2) :, -(side**2) :].float().mean(1, keepdim=True)
        aim = resize_attention(patches / patches.sum(-1, keepdim=True), (side, side), grid)
        student = torch.softmax(output.attention[-1].logits().float(), -1).mean(1, keepdim=True)
        return attention_divergence(aim, student.clamp_min(1e-12).log()).mean()
