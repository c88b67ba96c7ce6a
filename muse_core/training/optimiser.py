"""AdamW with one parameter group per weight group, so that no loss's gradient norm rescales another
loss's step.
"""

import math
from collections.abc import Collection, Sequence

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from muse_core.config.stage import Loss, Schedule, Stage
from muse_core.losses.objective import as_floats
from muse_core.models.backbone_routes import BackbonePart, may_reach_weight, routed_groups
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.training.fsdp import total_norm

FUSED = ("cpu", "cuda", "mps")
"""Devices on which torch's AdamW reads and writes each weight once."""


def freeze(tokenizer: MuseTokenizer, stage: Stage, heard: Collection[Loss] = ()) -> None:
    """Gradients only for weights that some loss of the stage may reach; a frozen backbone is in
    eval mode as well.
    """
    tokenizer.train()
    tokenizer.backbone.train(stage.trains_backbone)
    fields = (stage.trunk_hears, stage.trains_backbone, tokenizer.routing)
    losses = heard or [Loss(name) for name in stage.weights]
    for name, weight in tokenizer.named_parameters():
        weight.requires_grad_(any(may_reach_weight(loss, name, *fields) for loss in losses))


def trainable(tokenizer: nn.Module) -> dict[str, nn.Parameter]:
    """Name -> parameter, of everything that requires gradient."""
    return {name: weight for name, weight in tokenizer.named_parameters() if weight.requires_grad}


def optimiser_for(tokenizer: MuseTokenizer, stage: Stage) -> torch.optim.AdamW:
    """AdamW over trainable weights; the backbone at its own share of the rate."""
    shares = dict.fromkeys(map(str, BackbonePart), stage.backbone_rate)
    groups = []
    for name, members in routed_groups(tokenizer, tokenizer.routing).items():
        if weights := [weight for weight in members.values() if weight.requires_grad]:
            rate = stage.learning_rate * shares.get(name, 1.0)
            groups.append({"name": name, "params": weights, "peak_rate": rate, **_kernel(weights)})
    return torch.optim.AdamW(
        groups, lr=stage.learning_rate, betas=(0.9, 0.99), weight_decay=stage.weight_decay
    )


def _kernel(weights: Sequence[nn.Parameter]) -> dict[str, bool | None]:
    """One pass over all weights of a group, where torch has it for them."""
    sharded = [isinstance(weight, DTensor) for weight in weights]
    if any(sharded):
        return {"foreach": all(sharded) or None}
    return {"fused": all(weight.device.type in FUSED for weight in weights) or None}


def rate_factor(step: int, stage: Schedule) -> float:
    """Linear warm-up, then cosine to ``final_rate``; a pure function of the step (0-based), so
    resuming needs no state.
    """
    warmup = max(1, round(stage.warmup_share * stage.steps))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, stage.steps - warmup)
    return stage.final_rate + (1 - stage.final_rate) * 0.5 * (1 + math.cos(math.pi * progress))


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Give every group its peak rate times ``factor``."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak_rate"] * factor


def clip_groups(optimiser: torch.optim.Optimizer, max_norm: float) -> dict[str, float]:
    """Clip each weight group on its own; returns the norms before clipping."""
    norms = {group["name"]: _clip(group["params"], max_norm) for group in optimiser.param_groups}
    return as_floats(norms)


def _clip(weights: Sequence[nn.Parameter], max_norm: float) -> torch.Tensor:
    """`torch.nn.utils.clip_grad_norm_`, also of gradients that lie in parts."""
    norm = total_norm([weight.grad for weight in weights if weight.grad is not None])
    nn.utils.clip_grads_with_norm_(weights, max_norm, norm)
    return norm
