"""What L_topo without maps saves: the loss in blocks against the plain equation on whole maps, both
from the teacher's q and k; and q and k of chosen layers against eager attention over the network.
"""

from dataclasses import dataclass

import torch
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from benchmarks.measuring import Ratio, peak_bytes, ratio_in_turns
from muse_core.attention import QueryKeys
from muse_core.foundations.topology_teacher import DinoV3Teacher, observe
from muse_core.losses.fused_topology import fused_topology_loss
from muse_core.losses.topology import Grid, teacher_targets, topology_loss
from muse_core.losses.topology_target import topology_targets

LAYERS, BATCH, HEADS, WIDTH = 3, 4, 4, 32
DINO_SMALL = dict(
    hidden_size=384,
    intermediate_size=1536,
    num_hidden_layers=12,
    num_attention_heads=6,
    num_register_tokens=4,
    patch_size=16,
)


@dataclass(frozen=True)
class LossCost:
    """Fused over plain: ``time`` as a `Ratio`; ``megabytes`` at the peak (beyond the inputs) of
    fused and plain.
    """

    tokens: int
    teacher_tokens: int
    time: Ratio
    megabytes: tuple[float, float]

    @property
    def memory(self) -> float:
        """Plain peak over fused peak."""
        return self.megabytes[1] / self.megabytes[0]


def random_layers(grid: Grid, requires_grad: bool, device: str) -> tuple[QueryKeys, ...]:
    size = (BATCH, HEADS, grid[0] * grid[1], WIDTH)
    drawn = [torch.randn(2, *size, device=device).unbind() for _ in range(LAYERS)]
    return tuple(
        QueryKeys(
            q.clone().requires_grad_(requires_grad),
            k.clone().requires_grad_(requires_grad),
            WIDTH**-0.5,
        )
        for q, k in drawn
    )


def loss_cost(side: int, teacher_side: int, rounds: int, device: str = "cpu") -> LossCost:
    """Forward and backward for a student on ``side`` x ``side`` tokens and a teacher on its own
    square grid.
    """
    torch.manual_seed(0)
    source, grid = (teacher_side, teacher_side), (side, side)
    teachers, students = random_layers(source, False, device), random_layers(grid, True, device)
    leaves = [tensor for student in students for tensor in (student.queries, student.keys)]

    def fused() -> None:
        torch.autograd.grad(
            fused_topology_loss(topology_targets(teachers, source, grid, HEADS), students), leaves
        )

    def plain() -> None:
        with torch.no_grad():
            targets = teacher_targets(
                [teacher.probabilities() for teacher in teachers], source, grid, HEADS
            )
        torch.autograd.grad(
            topology_loss(targets, [student.logits() for student in students]), leaves
        )

    return LossCost(
        tokens=side**2,
        teacher_tokens=teacher_side**2,
        time=ratio_in_turns(fused, plain, rounds, device),
        megabytes=(peak_bytes(fused, device) / 1e6, peak_bytes(plain, device) / 1e6),
    )


def teacher_pass(
    image_size: int, rounds: int, batch: int = 2, device: str = "cpu", layers: int = 6
) -> Ratio:
    """A random DINOv3-S: q and k of ``layers`` layers captured, against eager attention with every
    map.
    """
    config = DINOv3ViTConfig(**DINO_SMALL, image_size=image_size)
    count = config.num_hidden_layers
    teacher = DinoV3Teacher.from_config(
        config, range(count // layers - 1, count, count // layers)
    ).to(device)
    eager = DINOv3ViTModel._from_config(config, attn_implementation="eager").eval().to(device)
    images = torch.rand(batch, 3, image_size, image_size, device=device)

    def with_maps() -> object:
        with torch.no_grad():
            return eager(teacher.normalise(images), output_attentions=True).attentions

    return ratio_in_turns(lambda: observe(teacher, images), with_maps, rounds, device)
