"""Features in which two images are compared: LPIPS's backbone where its weights are on disk, else
the teacher's.

Never a silent substitute: `name` says which network measured.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torchvision.models import vgg16

from muse_core.foundations.topology_teacher import TeacherView, TopologyTeacher
from muse_core.foundations.torch_weights import VGG16_URL, weights_file
from muse_core.shapes import Images

DEPTHS = (3, 8, 15, 22, 29)
"""The last activation before each pooling, where LPIPS looks."""


class PerceptualNetwork(nn.Module, ABC):
    """Images in [0, 1] -> feature maps (batch, positions, channels), frozen but differentiable in
    the images.
    """

    name: str

    @abstractmethod
    def forward(self, images: Images) -> list[Tensor]: ...

    def of_real(self, images: Images, view: Callable[[], TeacherView]) -> list[Tensor]:
        """Features of real images, without gradient; ``view`` gives what the topology teacher sees
        in them.
        """
        with torch.no_grad():
            return self(images)


class TeacherFeatures(PerceptualNetwork):
    """The last-layer patch tokens of the topology teacher."""

    name = "teacher features"

    def __init__(self, teacher: TopologyTeacher) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, images: Images) -> list[Tensor]:
        return [self.teacher.features(images)]

    def of_real(self, images: Images, view: Callable[[], TeacherView]) -> list[Tensor]:
        return [view().features]


class LpipsFeatures(PerceptualNetwork):
    """VGG-16 features at LPIPS's five depths (Zhang et al. 2018), without its learned channel
    weights.
    """

    name = "LPIPS VGG-16 features"
    network: Any

    def __init__(self, weights: Path) -> None:
        super().__init__()
        import lpips

        state = torch.load(weights, weights_only=True)
        with torch.device("meta"):
            self.network = vgg16().features
        own = {name: state[f"features.{name}"] for name in self.network.state_dict()}
        self.network.load_state_dict(own, assign=True)
        self.scaling = lpips.lpips.ScalingLayer()

    def forward(self, images: Images) -> list[Tensor]:
        features, found = self.scaling(images * 2 - 1), []
        for index, layer in enumerate(self.network):
            features = layer(features)
            if index in DEPTHS:
                found.append(rearrange(features, "b c h w -> b (h w) c"))
        return found


def perceptual_network(teacher: TopologyTeacher) -> PerceptualNetwork:
    """LPIPS's features when their weights are on disk, else the teacher's."""
    weights = weights_file(VGG16_URL)
    network = LpipsFeatures(weights) if weights.exists() else TeacherFeatures(teacher)
    return network.eval().requires_grad_(False)
