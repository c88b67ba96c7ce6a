import pytest
import torch
from sklearn.datasets import load_digits

from muse_core.errors import MuseError
from muse_core.evaluation.generation.precision_recall import (
    measured_precision_recall,
    precision_recall,
)


def digits() -> torch.Tensor:
    return torch.from_numpy(load_digits().data[:400]).float()


def by_hand(real: torch.Tensor, other: torch.Tensor, neighbours: int) -> tuple[float, float]:
    """The paper's definition, one image at a time."""

    def share(images: torch.Tensor, members: torch.Tensor) -> float:
        radii = [(members - member).norm(dim=1).sort().values[neighbours] for member in members]
        inside = [
            any((image - m).norm() <= radius for m, radius in zip(members, radii, strict=True))
            for image in images
        ]
        return sum(inside) / len(images)

    return share(other, real), share(real, other)


def test_the_same_images_have_both() -> None:
    assert precision_recall(digits(), digits()) == (1.0, 1.0)


def test_images_far_away_have_neither() -> None:
    assert precision_recall(digits(), digits() + 1000) == (0.0, 0.0)


def test_one_image_over_and_over_is_precise_and_recalls_little() -> None:
    real = digits()
    precision, recall = precision_recall(real, real[:1] + 0.1 * torch.randn(200, real.shape[1]))
    assert precision == 1.0 and recall < 0.02


def test_noise_around_real_images_recalls_them_and_is_less_precise() -> None:
    real = digits()
    precision, recall = precision_recall(real, torch.cat([real, real + 1000]))
    assert precision == 0.5 and recall == 1.0


@pytest.mark.parametrize("neighbours", [1, 3, 5])
def test_it_is_the_papers_definition(neighbours) -> None:
    real, other = (
        torch.randn(30, 4, dtype=torch.float64),
        torch.randn(40, 4, dtype=torch.float64) * 0.7 + 0.5,
    )
    assert precision_recall(real, other, neighbours) == pytest.approx(
        by_hand(real, other, neighbours)
    )


def test_a_large_common_mean_costs_no_precision() -> None:
    assert precision_recall(digits() + 1e4, digits() + 1e4) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("real", "other", "words"), [(3, 9, "3 real"), (9, 3, "3 generated"), (0, 9, "0 real")]
)
def test_too_few_images_are_refused(real, other, words) -> None:
    with pytest.raises(
        MuseError, match=f"3 neighbours, but there are {words} images: measure 4 or more"
    ):
        precision_recall(torch.rand(real, 2), torch.rand(other, 2))


def test_intervals_come_from_half_samples_where_halves_are_large_enough() -> None:
    real = digits()[:40]
    for found in measured_precision_recall(real, real + 3 * torch.randn(real.shape)).values():
        assert 0 <= found.low <= found.value <= found.high <= 1 and "half samples" in found.protocol
    assert measured_precision_recall(real[:6], real[:6])["recall"].low is None
