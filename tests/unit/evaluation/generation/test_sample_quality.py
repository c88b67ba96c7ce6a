"""Generated sets are measured against real ones by whatever network is there; every image is
repeatable on its own.
"""

from dataclasses import replace

import pytest
import torch
from torch import nn

from muse_core.evaluation.generation.sample_quality import (
    draw,
    frechet_distances,
    independent_difference,
    set_features,
)
from muse_core.evaluation.reconstruction.metric_networks import MetricNetworks
from muse_core.results.measurements import Measurement, Row

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


def networks(inception: nn.Module | None = None) -> MetricNetworks:
    return MetricNetworks(small_teacher(), inception, None, "small")


def images(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_the_same_images_are_at_no_distance_and_others_are_further_away() -> None:
    judges = networks(MeanColour())
    real, darker = (set_features(judges, each) for each in (images(12, 0), images(12, 1) * 0.3))
    assert torch.allclose(real["gfid"].mean(), torch.tensor(127.5), atol=3)
    same, other = frechet_distances(real, real), frechet_distances(real, darker)
    for name in ("fd_judge", "gfid"):
        assert same[name].value == pytest.approx(0, abs=1e-3)
        assert other[name].value > same[name].value + 1e-3
        assert other[name].low <= other[name].value <= other[name].high and other[name].n == 12


def test_gfid_is_there_only_where_inception_measured() -> None:
    assert set(set_features(networks(), images(12, 1))) == {"fd_judge"}


def test_an_image_depends_on_seed_place_and_caption_alone() -> None:
    pipeline, told = small_pipeline(), []
    all_four = draw(pipeline, CAPTIONS, 3, 2.0, 2, told.append)
    first_two = draw(pipeline, CAPTIONS[:2], 3, 2.0, 2)
    assert torch.allclose(all_four[:2], first_two, atol=1e-4) and told == [4]
    assert not torch.allclose(all_four, draw(pipeline, CAPTIONS, 4, 2.0, 2), atol=1e-3)


def row(name: str, distance: float, half: float) -> Row:
    found = Measurement(distance, 100, "", distance - half, distance + half)
    return Row(name, "weights", {"fd_judge": found})


def test_rows_are_told_apart_only_beyond_both_intervals() -> None:
    muse, near, far = row("MUSE", 0.5, 0.1), row("shared", 0.55, 0.1), row("plain", 2.0, 0.1)
    assert independent_difference("fd_judge", muse, near).verdict == "no difference"
    assert independent_difference("fd_judge", muse, far).verdict == "better", "a smaller distance"
    assert independent_difference("fd_judge", far, muse).verdict == "worse"
    without = replace(muse, measurements={"fd_judge": Measurement(0.0, 100)})
    assert independent_difference("fd_judge", without, far).verdict == "no difference", (
        "nothing is known about its spread"
    )
