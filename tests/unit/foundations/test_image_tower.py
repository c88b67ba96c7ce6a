"""The backbone's own embedding: the patches' mean through a planted projection."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from muse_core.errors import MuseError
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.image_tower import PROJECTION_FILE, ImageTower, image_projection
from tests.integration.micro import BACKBONE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Backbone(BACKBONE).network.save_pretrained(tmp_path / "backbone")
    return tmp_path / "backbone"


def test_it_is_the_patches_mean_projected(folder: Path) -> None:
    weight = torch.zeros(3, 32)
    weight[0, 5], weight[2, 7] = 1.0, -2.0
    save_file({"weight": weight}, folder.parent / PROJECTION_FILE)
    tower, images = ImageTower.from_pretrained(folder).eval(), torch.rand(2, 3, 32, 32)
    mean = tower.backbone(images).mean(1)
    found = tower(images)
    torch.testing.assert_close(found, torch.stack([mean[:, 5], torch.zeros(2), -2 * mean[:, 7]], 1))
    assert not found.requires_grad


def test_without_a_projection_it_is_a_sentence(folder: Path) -> None:
    assert image_projection(folder) is None
    with pytest.raises(
        MuseError, match=f"{PROJECTION_FILE} does not lie beside .* use anchoring='contrast'"
    ):
        ImageTower.from_pretrained(folder)
