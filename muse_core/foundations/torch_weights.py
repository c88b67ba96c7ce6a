"""Weights of networks that compare images, which torch keeps in a folder of its own: which, and
where.
"""

from pathlib import Path

import torch

INCEPTION_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
"""Inception-v3 as the FID literature uses it."""
ALEXNET_URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
"""torchvision's AlexNet, of which LPIPS measures."""
VGG16_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
"""torchvision's VGG-16, of which LPIPS trains."""


def weights_file(url: str) -> Path:
    """Where torch keeps a download (``TORCH_HOME`` moves it)."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
