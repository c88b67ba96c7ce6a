"""The routing table as measured: how much of each loss's gradient arrives at each weight group."""

import torch

from muse_core.config.stage import Loss, Stage
from muse_core.data.batch import Batch
from muse_core.models.discriminator import PatchDiscriminator
from muse_core.models.gradient_routes import WeightGroup
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.models.weight_groups import weight_groups
from muse_core.training.loss_terms import forward_step
from muse_core.training.teachers import Teachers


def measured_routes(
    tokenizer: MuseTokenizer, stage: Stage, teachers: Teachers, batch: Batch
) -> dict[Loss, dict[WeightGroup, float]]:
    """Loss -> weight group -> share of the loss's squared gradient norm; a 0.0 here is bitwise
    zero. No weight changes.

    Every weight may receive gradient while measuring, whatever the stage trains, except a backbone
    the stage keeps frozen."""
    asked = {weight: weight.requires_grad for weight in tokenizer.parameters()}
    tokenizer.requires_grad_(True)
    tokenizer.backbone.requires_grad_(stage.trains_backbone)
    with torch.random.fork_rng():
        critic = PatchDiscriminator().to(batch.images.device)
    terms, _ = forward_step(tokenizer, tokenizer, critic, teachers, batch, stage)
    shares = {loss: _shares(tokenizer, term) for loss, term in terms.parts.items()}
    for weight, flag in asked.items():
        weight.requires_grad_(flag)
    return shares


def _shares(tokenizer: MuseTokenizer, term: torch.Tensor) -> dict[WeightGroup, float]:
    weights = [weight for weight in tokenizer.parameters() if weight.requires_grad]
    found = torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
    energy = {
        id(weight): g.double().square().sum().item()
        for weight, g in zip(weights, found, strict=True)
        if g is not None
    }
    total = sum(energy.values()) or 1.0
    return {
        group: sum(energy.get(id(weight), 0.0) for weight in members.values()) / total
        for group, members in weight_groups(tokenizer).items()
    }
