"""The honest alternative for the teacher: DINO and iBOT self-distillation, no masks and no labels.

DINO (Caron et al. 2021, arXiv 2104.14294): two views of an image, class-token prototypes of a
student match those of its own moving average, centred and sharpened. iBOT (Zhou et al. 2022, arXiv
2111.07832): the same for masked patches. At DINOv3's scale attention becomes object-like by itself;
00_foundations reports how far it gets here."""

import copy

import torch
import torch.nn.functional as F
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from muse_core.data.batch import Batch, Source
from muse_core.foundations.topology_teacher import DinoV3Teacher
from scripts.tiny_foundations.attention_teacher import TEACHER, TEACHER_LAYERS
from scripts.tiny_foundations.fitting import fit

PROTOTYPES = 256
MOMENTUM = 0.99
MASKED_SHARE = 0.3
STUDENT_TEMPERATURE, TEACHER_TEMPERATURE, CENTRE_MOMENTUM = 0.1, 0.05, 0.9


class SelfDistilled(nn.Module):
    """A DINOv3 with a prototype head on class and patch tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.vit = DinoV3Teacher.from_config(TEACHER, TEACHER_LAYERS)
        width = TEACHER.hidden_size
        self.head = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.prototypes = nn.utils.parametrizations.weight_norm(
            nn.Linear(width, PROTOTYPES, bias=False)
        )

    def forward(self, images: Tensor, masked: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Prototype logits of the class token (batch, k) and of the patches (batch, patches, k)."""
        pixels = self.vit.normalise(
            F.interpolate(images, (self.vit.image_size,) * 2, mode="bilinear", align_corners=False)
        )
        tokens = self.vit.network(pixels, bool_masked_pos=masked).last_hidden_state
        logits = self.prototypes(F.normalize(self.head(tokens), dim=-1))
        return logits[:, 0], logits[:, 1 + TEACHER.num_register_tokens :]


def view_of(images: Tensor) -> Tensor:
    """A random crop (60-100 % of the side) with its own brightness, mirrored half of the time."""
    side = images.shape[-1]
    crop = int(side * (0.6 + 0.4 * torch.rand(()).item()))
    top, left = (torch.randint(0, side - crop + 1, (2,))).tolist()
    view = F.interpolate(
        images[:, :, top : top + crop, left : left + crop], (side, side), mode="bilinear"
    )
    view = view.flip(-1) if torch.rand(()) < 0.5 else view
    return (view * (0.8 + 0.4 * torch.rand(len(images), 3, 1, 1))).clamp(0, 1)


def train_self_distillation(
    source: Source, *, steps: int, batch_size: int, seed: int
) -> tuple[DinoV3Teacher, list[float]]:
    """Train by self-distillation; returns the moving average as teacher."""
    torch.manual_seed(seed)
    student = SelfDistilled()
    average = EMAModel(student.parameters(), decay=MOMENTUM)
    teacher = copy.deepcopy(student).requires_grad_(False)
    centres = [torch.zeros(PROTOTYPES), torch.zeros(PROTOTYPES)]

    def target(logits: Tensor, kind: int) -> Tensor:
        sharp = torch.softmax((logits - centres[kind]) / TEACHER_TEMPERATURE, dim=-1)
        centres[kind] = CENTRE_MOMENTUM * centres[kind] + (1 - CENTRE_MOMENTUM) * logits.flatten(
            0, -2
        ).mean(0)
        return sharp

    def cross_entropy(probabilities: Tensor, logits: Tensor) -> Tensor:
        return -(probabilities * F.log_softmax(logits / STUDENT_TEMPERATURE, dim=-1)).sum(-1)

    def loss_of(batch: Batch) -> Tensor:
        average.step(student.parameters())
        average.copy_to(teacher.parameters())
        first, second = view_of(batch.images), view_of(batch.images)
        patches = (student.vit.image_size // student.vit.patch_size) ** 2
        masked = torch.rand(len(batch), patches) < MASKED_SHARE
        with torch.no_grad():
            class_target, patch_target = teacher(first)
        class_here, patch_here = student(first, masked)
        class_there, _ = student(second)
        ibot = cross_entropy(target(patch_target, 1), patch_here)[masked].mean()
        return (
            cross_entropy(target(class_target, 0), class_there).mean() + ibot + 0 * class_here.sum()
        )

    losses = fit(
        student.parameters(),
        loss_of,
        source,
        steps=steps,
        batch_size=batch_size,
        learning_rate=1e-3,
        seed=seed,
        name="self-distillation",
    )
    return teacher.vit, losses
