"""DINO and iBOT: a student agrees with a moving average of itself, on views and on hidden patches.

Caron et al. 2021 (arXiv 2104.14294), Zhou et al. 2021 (arXiv 2111.07832), with the Sinkhorn-Knopp
targets of DINOv2 (arXiv 2304.07193)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from muse_core.shapes import Bool, Float, Images, Scalar

STUDENT_TEMPERATURE, TEACHER_TEMPERATURE = 0.1, 0.06
SINKHORN_ROUNDS = 3

Logits = Float[Tensor, "rows prototypes"]


class PrototypeHead(nn.Module):
    """Tokens (..., width) -> cosines to prototypes (..., prototypes)."""

    def __init__(self, width: int, hidden: int, narrow: int, prototypes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, narrow))
        self.prototypes = nn.Parameter(torch.randn(prototypes, narrow))

    def forward(self, tokens: Tensor) -> Tensor:
        return F.normalize(self.layers(tokens), dim=-1) @ F.normalize(self.prototypes, dim=-1).T


@torch.no_grad()
def sinkhorn(logits: Logits, temperature: float = TEACHER_TEMPERATURE) -> Logits:
    """Rows as distributions that use all prototypes alike, as nearly as a few rounds get."""
    found = torch.exp((logits.float() - logits.max()) / temperature)
    for _ in range(SINKHORN_ROUNDS):
        found = found / found.sum(0, keepdim=True).clamp(min=1e-12)
        found = found / found.sum(1, keepdim=True).clamp(min=1e-12)
    return found


def agreement_loss(student: Logits, target: Logits) -> Scalar:
    """Mean cross-entropy, in nats, of the student's softmax at its temperature."""
    return -(target * F.log_softmax(student.float() / STUDENT_TEMPERATURE, -1)).sum(-1).mean()


def random_crops(
    images: Images, side: int, smallest: float, largest: float
) -> Float[Tensor, "batch 3 side side"]:
    """One crop an image, resized to ``side`` pixels, of a share of its area drawn between the two,
    mirrored half the time.
    """
    n, device = len(images), images.device
    scale = torch.empty(n, device=device).uniform_(smallest, largest).sqrt()
    shift = (torch.rand(n, 2, device=device) * 2 - 1) * (1 - scale)[:, None]
    mirror = torch.randint(0, 2, (n,), device=device) * 2 - 1
    zero = torch.zeros_like(scale)
    rows = [scale * mirror, zero, shift[:, 0], zero, scale, shift[:, 1]]
    grid = F.affine_grid(
        torch.stack(rows, 1).unflatten(1, (2, 3)), [n, 3, side, side], align_corners=False
    )
    return F.grid_sample(images, grid.to(images), padding_mode="border", align_corners=False)


def random_masks(
    count: int, tokens: int, share: float, device: torch.device
) -> Bool[Tensor, "count tokens"]:
    """True for the same number of tokens, at least one, in each row."""
    hidden = max(1, round(share * tokens))
    order = torch.rand(count, tokens, device=device).argsort(1)
    return order < hidden


@torch.no_grad()
def move_average(average: nn.Module, towards: nn.Module, momentum: float) -> None:
    """average <- momentum x average + (1 - momentum) x towards."""
    pairs = zip(average.parameters(), towards.parameters(), strict=True)
    for mean, weight in pairs:
        mean.lerp_(weight.to(mean), 1 - momentum)
