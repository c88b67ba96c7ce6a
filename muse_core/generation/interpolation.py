"""Walking between two noises on the sphere they lie near, so that every step is a noise a denoiser
knows.
"""

import torch
from torch import Tensor

from muse_core.shapes import Float

Noise = Float[Tensor, "channels rows columns"]


def between(first: Noise, last: Noise, count: int) -> Float[Tensor, "steps channels rows columns"]:
    """Spherical interpolation (Shoemake 1985) from ``first`` to ``last``, both included."""
    cosine = torch.dot(first.flatten(), last.flatten()) / (first.norm() * last.norm())
    angle = torch.arccos(cosine.clamp(-1, 1))
    shares = torch.linspace(0, 1, count, device=first.device)
    if angle < 1e-4:
        return torch.stack([torch.lerp(first, last, share) for share in shares])
    weights = [(torch.sin((1 - share) * angle), torch.sin(share * angle)) for share in shares]
    return torch.stack([(a * first + b * last) / torch.sin(angle) for a, b in weights])
