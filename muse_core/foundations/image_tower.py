"""The backbone's own image embedding: its patches' mean, projected linearly into the text space."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from muse_core.errors import MuseError
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.loading import reading
from muse_core.shapes import Embeddings, Images

PROJECTION_FILE = "image_projection.safetensors"
"""Beside the backbone's folder: its linear projection into the text space."""


class ImageTower(nn.Module):
    """A frozen backbone with its projection."""

    def __init__(self, backbone: Backbone, projection: nn.Linear) -> None:
        super().__init__()
        self.backbone, self.projection = backbone, projection

    @classmethod
    def from_pretrained(cls, location: str | Path) -> "ImageTower":
        """From the backbone's folder. Raises MuseError where no projection lies beside it."""
        projection = image_projection(location)
        if projection is None:
            raise MuseError(
                "Passive distillation needs the backbone's projection into the text space, and "
                f"{PROJECTION_FILE} does not lie beside {location}: put it there, or use "
                "anchoring='contrast'."
            )
        return cls(Backbone.from_pretrained(location), projection)

    @torch.no_grad()
    def forward(self, images: Images) -> Embeddings:
        return self.projection(self.backbone(images).mean(1))


def image_projection(location: str | Path) -> nn.Linear | None:
    """The projection beside a backbone's folder, or None. Raises MuseError for a damaged one."""
    file = Path(location).parent / PROJECTION_FILE
    if not file.exists():
        return None
    with reading("image projection", str(file)):
        weight = load_file(file)["weight"]
        projection = nn.Linear(weight.shape[1], weight.shape[0], bias=False).requires_grad_(False)
        projection.load_state_dict({"weight": weight})
    return projection
