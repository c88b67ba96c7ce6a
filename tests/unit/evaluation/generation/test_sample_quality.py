"""Generated sets are measured against real ones by whatever judge is there; every image is
repeatable on its own.
"""

import pytest
import torch
from torch import nn

from muse_core.evaluation.generation.sample_quality import (
    Judges,
    RealImages,
    draw,
    generation_measurements,
)
from muse_core.evaluation.reconstruction.metric_networks import MetricNetworks

from ...generation.small_generators import small_pipeline
from ..small_evaluations import small_teacher

CAPTIONS = ("a red star", "a blue circle", "a star left of a circle", "a red circle")


class MeanColour(nn.Module):
    """Stands where Inception would: uint8 images -> three features."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.dtype == torch.uint8
        return images.float().mean((2, 3))


def judges(inception: nn.Module | None = None) -> Judges:
    return Judges(MetricNetworks(small_teacher(), inception, None, "small"))


def images(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_the_same_images_are_at_no_distance_and_others_are_further_away() -> None:
    real = RealImages(images(12, 0), CAPTIONS * 3, judges(MeanColour()))
    same, darker = (
        generation_measurements(each, real) for each in (real.images, images(12, 1) * 0.3)
    )
    for name in ("fd_teacher", "gfid"):
        assert (
            same[name].value == pytest.approx(0, abs=1e-3)
            and darker[name].value > same[name].value + 1e-3
        )
        assert darker[name].low <= darker[name].value <= darker[name].high and darker[name].n == 12
    assert same["precision"].value == same["recall"].value == 1
    for name in ("precision", "recall"):
        found = darker[name]
        assert 0 <= found.low <= found.value <= found.high <= 1 and "half samples" in found.protocol
    few = RealImages(images(4, 0), CAPTIONS, judges())
    assert generation_measurements(few.images, few)["recall"].low is None


def test_gfid_is_there_only_where_inception_measured_and_following_only_with_a_detector() -> None:
    real = RealImages(images(12, 0), CAPTIONS * 3, judges())
    assert set(generation_measurements(images(12, 1), real)) == {
        "fd_teacher",
        "precision",
        "recall",
    }


def test_an_image_depends_on_seed_place_and_caption_alone() -> None:
    pipeline = small_pipeline()
    all_four = draw(pipeline, CAPTIONS, 3, 2.0, 2)
    first_two = draw(pipeline, CAPTIONS[:2], 3, 2.0, 2)
    assert torch.allclose(all_four[:2], first_two, atol=1e-4)
    assert not torch.allclose(all_four, draw(pipeline, CAPTIONS, 4, 2.0, 2), atol=1e-3)
