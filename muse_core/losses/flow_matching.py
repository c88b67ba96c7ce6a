"""Flow matching: the velocity from data to noise along straight lines (Lipman et al. 2023; Liu et
al. 2023).

x_t = (1 - t) x_0 + t e,  v = e - x_0,  L = mean |v_theta(x_t, t) - v|^2;  t = 0 is data, t = 1
noise, as in SANA and SD3. It may touch the denoiser only: the latents are stored, so no weight of a
tokenizer is in reach."""

import torch.nn.functional as F
from diffusers.training_utils import compute_density_for_timestep_sampling
from torch import Tensor

from muse_core.shapes import Float, Scalar

Points = Float[Tensor, "batch *point"]
Times = Float[Tensor, " batch"]


def noised(data: Points, noise: Points, time: Times) -> Points:
    """x_t, each sample at its own time in [0, 1]."""
    t = time.view(-1, *[1] * (data.ndim - 1))
    return (1 - t) * data + t * noise


def flow_matching_loss(velocity: Points, data: Points, noise: Points) -> Scalar:
    """Mean squared error of the predicted velocity."""
    return F.mse_loss(velocity.float(), noise - data)


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
