"""Flow matching: the velocity from data to noise along straight lines (Lipman et al. 2023; Liu et
al. 2023).

x_t = (1 - t) x_0 + t e,  v = e - x_0,  L = mean |v_theta(x_t, t) - v|^2;  t = 0 is data, t = 1
noise, as in SANA and SD3. It may touch the denoiser only: the latents are stored, so no weight of a
tokenizer is in reach."""

import torch
import torch.nn.functional as F
from diffusers.training_utils import compute_density_for_timestep_sampling
from torch import Tensor

from muse_core.shapes import Float, Scalar

Points = Float[Tensor, "batch *point"]
Weights = Float[Tensor, "batch ..."]
Times = Float[Tensor, " batch"]
CHANGES = 0.1


def noised(data: Points, noise: Points, time: Times) -> Points:
    """x_t, each sample at its own time in [0, 1]."""
    t = time.view(-1, *[1] * (data.ndim - 1))
    return (1 - t) * data + t * noise


def flow_matching_loss(
    velocity: Points, data: Points, noise: Points, weight: Weights | None = None
) -> Scalar:
    """Mean squared error of the predicted velocity.

    Args:
        velocity: Of the network.
        data: x_0.
        noise: e.
        weight: How much each number counts, broadcast; None for all alike.
    """
    wanted = noise - data
    if weight is None:
        return F.mse_loss(velocity.float(), wanted)
    return (weight * (velocity.float() - wanted).square()).mean()


def weight_of_changes(
    change: Float[Tensor, "batch channels rows columns"],
) -> Float[Tensor, "batch 1 rows columns"]:
    """How much each place counts where an image is changed: 1, and where it changes
    log2(places / places that change) + 1, so that a small change is learnt as well as a large one
    (UniWorld-V1, arXiv 2506.03147).

    Args:
        change: After less before. A place changes whose square is above `CHANGES` of the image's
            largest.
    """
    squares = change.square().mean(1, keepdim=True)
    changes = squares > CHANGES * squares.amax((2, 3), keepdim=True)
    # An image that stays as it is has no place that changes.
    share = changes.float().mean((2, 3), keepdim=True).clamp(min=1 / changes[0].numel())
    return torch.where(changes, 1 - share.log2(), 1.0)


def shifted(time: Tensor, shift: float) -> Tensor:
    """Times moved towards noise: shift t / (1 + (shift - 1) t) (Esser et al. 2024, Eq. 23)."""
    return shift * time / (1 + (shift - 1) * time)


def logit_normal_times(
    count: int, mean: float = 0.0, spread: float = 1.0, shift: float = 1.0
) -> Times:
    """Times for training (Esser et al. 2024): sigmoid of a normal, then shifted; from torch's
    global random state.
    """
    return shifted(
        compute_density_for_timestep_sampling("logit_normal", count, mean, spread), shift
    )
