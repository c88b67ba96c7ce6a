"""The real-or-reconstruction critic of the adversarial stage: a PatchGAN (Isola et al. 2017)."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from muse_core.shapes import Images


class PatchDiscriminator(nn.Module):
    """Images in [0, 1] -> one logit a patch (batch, 1, h, w); spectral norm keeps it from running
    ahead.
    """

    def __init__(self, width: int = 32, depth: int = 3) -> None:
        super().__init__()
        widths = [3, *(width * 2**level for level in range(depth))]
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers += [
                spectral_norm(nn.Conv2d(narrow, wide, 4, stride=2, padding=1)),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1)))

    def forward(self, images: Images) -> Tensor:
        return self.layers(images * 2 - 1)


def frozen_logits(discriminator: PatchDiscriminator, images: Images) -> Tensor:
    """The critic's logits with gradients to the images but none to its own weights (nor to its
    power iteration).
    """
    was_training = discriminator.training
    discriminator.eval()
    weights = {name: weight.detach() for name, weight in discriminator.named_parameters()}
    logits = torch.func.functional_call(discriminator, weights, (images,))
    discriminator.train(was_training)
    return logits
