"""Features in which two images are compared: LPIPS's backbone where its weights are on disk, else
the teacher's.

Never a silent substitute: `name` says which network measured.
"""

from abc import ABC, abstractmethod
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn

from muse_core.foundations.topology_teacher import TeacherView, TopologyTeacher
from muse_core.shapes import Images

VGG16_FILE = "vgg16-397923af.pth"
"""torchvision's VGG-16 on ImageNet, which LPIPS is built on."""


class PerceptualNetwork(nn.Module, ABC):
    """Images in [0, 1] -> feature maps (batch, positions, channels), frozen but differentiable in
    the images.
    """

    name: str

    @abstractmethod
    def forward(self, images: Images) -> list[Tensor]: ...

    def of_real(self, images: Images, view: TeacherView) -> list[Tensor]:
        """Features of real images, without gradient; ``view`` is what the topology teacher already
        saw of them.
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

    def of_real(self, images: Images, view: TeacherView) -> list[Tensor]:
        return [view.features]


class LpipsFeatures(PerceptualNetwork):
    """VGG-16 features at LPIPS's five depths (Zhang et al. 2018), without its learned channel
    weights.
    """

    name = "LPIPS VGG-16 features"

    def __init__(self, weights: Path) -> None:
        super().__init__()
        import lpips

        self.network = lpips.pn.vgg16(pretrained=False, requires_grad=False)
        state = torch.load(weights, weights_only=True)
        layers = [
            layer
            for part in range(1, 6)
            for layer in getattr(self.network, f"slice{part}").named_children()
        ]
        for index, layer in layers:
            own = {
                name: state[f"features.{index}.{name}"]
                for name in ("weight", "bias")
                if layer.state_dict()
            }
            layer.load_state_dict(own)
        self.scaling = lpips.lpips.ScalingLayer()

    def forward(self, images: Images) -> list[Tensor]:
        features = self.network(self.scaling(images * 2 - 1))
        return [rearrange(layer, "b c h w -> b (h w) c") for layer in features]


def vgg16_weights() -> Path:
    """Where torchvision keeps VGG-16 (``TORCH_HOME`` moves it)."""
    return Path(torch.hub.get_dir()) / "checkpoints" / VGG16_FILE


def perceptual_network(teacher: TopologyTeacher) -> PerceptualNetwork:
    """LPIPS's features when their weights are on disk, else the teacher's."""
    weights = vgg16_weights()
    network = LpipsFeatures(weights) if weights.exists() else TeacherFeatures(teacher)
    return network.eval().requires_grad_(False)
