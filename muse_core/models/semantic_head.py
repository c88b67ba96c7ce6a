"""The projector g_phi into the text space, and the learnable temperature of the contrast."""

import math

import torch
from torch import Tensor, nn

from muse_core.shapes import Embeddings, Tokens

MAX_LOG_SCALE = math.log(100.0)
INITIAL_LOG_SCALE = math.log(1 / 0.07)
"""CLIP's start and cap (Radford et al. 2021)."""


class SemanticHead(nn.Module):
    """z_bar = mean over tokens of what is understood; g_phi(z_bar) = norm, linear, GELU, linear;
    ``normed`` False leaves out the norm and the biases.
    """

    def __init__(
        self, width: int, hidden_width: int, embedding_width: int, normed: bool = True
    ) -> None:
        super().__init__()
        self.projector = nn.Sequential(
            nn.RMSNorm(width, eps=1e-6) if normed else nn.Identity(),
            nn.Linear(width, hidden_width, bias=normed),
            nn.GELU(),
            nn.Linear(hidden_width, embedding_width, bias=normed),
        )
        self.log_scale = nn.Parameter(torch.tensor(INITIAL_LOG_SCALE))

    @property
    def scale(self) -> Tensor:
        """1 / temperature, at most 100."""
        return self.log_scale.clamp(max=MAX_LOG_SCALE).exp()

    def forward(self, semantic: Tokens) -> Embeddings:
        return self.projector(semantic.mean(dim=1))
