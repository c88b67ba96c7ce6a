"""What one pass over a split keeps: every image once, in order, finite, and the same from the
cache.
"""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from muse_core.errors import MuseError
from muse_core.evaluation import features as module
from muse_core.evaluation.cache import Cache
from muse_core.evaluation.feature_extractors import (
    HIDDEN,
    LATENT,
    PATCHES,
    SEMANTIC,
    TRUNK,
    FeatureExtractor,
    Features,
)
from muse_core.evaluation.features import SplitFeatures, split_features
from muse_core.evaluation.reconstruction.metric_networks import MetricNetworks
from muse_core.evaluation.reconstruction.pixel_metrics import (
    eight_bits,
    feature_distance,
    psnr,
    ssim,
)

from .small_evaluations import (
    GRID,
    Changed,
    small_extractor,
    small_networks,
    small_teacher,
    without,
)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """23 images are then three batches, the last one short."""
    monkeypatch.setattr(module, "BATCH", 10)


def everything(found: SplitFeatures) -> dict[str, torch.Tensor]:
    groups = {
        "pooled": found.pooled,
        "tokens": found.tokens,
        "pixels": found.pixels,
        "frechet": found.frechet,
    }
    flat = {
        f"{group}/{name}": t for group, tensors in groups.items() for name, t in tensors.items()
    }
    alone = {"labels": found.labels, "embedding": found.embedding, "class_masks": found.class_masks}
    return flat | {name: tensor for name, tensor in alone.items() if tensor is not None}


def test_every_image_is_there_once_and_in_order() -> None:
    extractor, source = small_extractor(), Changed()
    found, batch = (
        split_features(extractor, source, 23, small_networks(), dense=13),
        source.first(23),
    )
    seen = extractor.features(batch.images)
    assert len(found) == 23 and torch.equal(found.labels, batch.labels)
    assert torch.allclose(found.embedding, seen.embedding, atol=1e-5)
    assert (
        found.pooled.keys()
        == found.tokens.keys()
        == found.grid.keys()
        == {SEMANTIC, HIDDEN, LATENT, TRUNK, PATCHES}
    )
    for name, tokens in seen.tokens.items():
        assert torch.allclose(found.pooled[name], tokens.mean(1), atol=1e-5)
        assert torch.allclose(found.tokens[name], tokens[:13], rtol=2e-3, atol=1e-3)
        assert found.tokens[name].dtype == torch.float32 and found.grid[name] == GRID
    assert torch.equal(found.class_masks, batch.class_masks[:13])


def test_pixels_are_measured_on_eight_bits() -> None:
    extractor, source, networks = small_extractor(), Changed(), small_networks()
    found, images = split_features(extractor, source, 23, networks), source.first(23).images
    fake, real = eight_bits(extractor.features(images).reconstruction), eight_bits(images)
    of_fake, of_real = (networks.teacher.features(each) for each in (fake, real))
    perceptual = feature_distance(of_fake, of_real)
    expected = {
        "psnr": psnr(fake, real),
        "ssim": ssim(fake, real),
        "perceptual_judge": perceptual,
    }
    assert found.pixels.keys() == expected.keys()
    for name, values in expected.items():
        assert torch.allclose(found.pixels[name], values, atol=1e-3), name
    means = torch.stack([of_real.mean(1), of_fake.mean(1)])
    assert torch.allclose(found.frechet["fd_judge"], means, atol=1e-4)


def test_without_networks_no_image_is_decoded(monkeypatch) -> None:
    extractor = small_extractor()
    monkeypatch.setattr(extractor.network, "decode", lambda *_: pytest.fail("decoded"))
    found = split_features(extractor, Changed(), 12)
    assert not found.pixels and not found.frechet and len(found) == 12


@pytest.mark.parametrize(("dense", "kept"), [(0, 0), (7, 7), (10, 10), (15, 15), (99, 23)])
def test_no_more_than_dense_images_keep_their_tokens(dense, kept) -> None:
    found = split_features(small_extractor(), Changed(), 23, dense=dense)
    assert {len(tokens) for tokens in found.tokens.values()} == {kept} == {len(found.class_masks)}
    assert len(found.pooled[HIDDEN]) == 23


def test_a_split_smaller_than_the_limit_is_taken_whole() -> None:
    assert len(split_features(small_extractor(), Changed(length=8), 500)) == 8


def test_data_without_masks_or_labels_has_none() -> None:
    found = split_features(small_extractor(), Changed(without("labels", "class_masks")), 12)
    assert found.class_masks is None and found.labels.tolist() == [-1] * 12


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(MuseError, match="There is no image in scenes-v1/test"):
        split_features(small_extractor(), Changed(length=0), 5)


def test_weights_that_are_not_numbers_are_refused_by_the_subjects_name() -> None:
    extractor = small_extractor(name="broken row")
    next(extractor.network.connector.parameters()).data.fill_(math.nan)
    with pytest.raises(MuseError, match=r"broken row: .* is not finite"):
        split_features(extractor, Changed(), 5)


def test_an_image_that_is_not_a_number_is_refused(tmp_path) -> None:
    def spoil(batch):
        images = batch.images.clone()
        images[-1, 0, 0, 0] = torch.nan
        return replace(batch, images=images)

    with pytest.raises(MuseError, match="not finite for some image"):
        split_features(small_extractor(), Changed(spoil), 12, cache=Cache(tmp_path))
    assert not list(tmp_path.iterdir())


def test_from_the_cache_it_is_equal_bit_by_bit_and_the_network_rests(tmp_path, monkeypatch) -> None:
    extractor, cache, networks = small_extractor(), Cache(tmp_path), small_networks()
    first = split_features(extractor, Changed(), 23, networks, 13, cache)
    monkeypatch.setattr(extractor, "features", lambda *_, **__: pytest.fail("ran the network"))
    source = Changed()
    again = split_features(extractor, source, 23, networks, 13, cache)
    ours, theirs = everything(first), everything(again)
    assert ours.keys() == theirs.keys() and all(
        torch.equal(ours[name], theirs[name]) for name in ours
    )
    assert all(ours[name].dtype == theirs[name].dtype for name in ours)
    assert first.grid == again.grid and source.asked == 0


@pytest.mark.parametrize("change", ["weights", "data", "limit", "dense", "networks"])
def test_another_input_is_extracted_anew(tmp_path, change) -> None:
    extractor, source, given = (
        small_extractor(),
        Changed(),
        {"limit": 5, "dense": 2, "networks": small_networks()},
    )
    split_features(extractor, source, **given, cache=Cache(tmp_path))
    match change:
        case "weights":
            extractor.fingerprint = "others"
        case "data":
            source.fingerprint = "scenes-v2/test/others"
        case "networks":
            given["networks"] = replace(given["networks"], fingerprint="others")
        case _:
            given[change] += 1
    source.asked = 0
    split_features(extractor, source, **given, cache=Cache(tmp_path))
    assert source.asked > 0


def test_weights_and_modes_are_left_as_they_were() -> None:
    extractor = small_extractor()
    extractor.network.train()
    extractor.network.decoder.eval()
    modes = [each.training for each in extractor.network.modules()]
    weights = {name: weight.clone() for name, weight in extractor.network.state_dict().items()}
    split_features(extractor, Changed(), 12, small_networks())
    assert [each.training for each in extractor.network.modules()] == modes
    assert all(
        torch.equal(weights[name], weight)
        for name, weight in extractor.network.state_dict().items()
    )


def test_the_real_networks_names_appear_where_they_measure() -> None:
    """Stand-ins behind the names: `lpips` sees [-1, 1], `rfid` bytes."""
    asked = {}

    class Distance(nn.Module):
        def forward(self, fake, real):
            asked["lpips"] = (real.min().item(), real.max().item())
            return (fake - real).abs().mean((1, 2, 3), keepdim=True)

    class Inception(nn.Module):
        def forward(self, images):
            asked["rfid"] = images.dtype
            return images.float().mean((2, 3))

    networks = MetricNetworks(small_teacher(), Inception(), Distance(), "t+inception+lpips")
    found = split_features(small_extractor(), Changed(), 12, networks)
    assert found.pixels["lpips"].shape == (12,) and found.frechet["rfid"].shape == (2, 12, 3)
    assert found.frechet.keys() == {"fd_judge", "rfid"}
    assert (
        asked["rfid"] == torch.uint8
        and -1 <= asked["lpips"][0] < -0.2 < 0.2 < asked["lpips"][1] <= 1
    )


class Perfect(FeatureExtractor):
    """Gives every image back."""

    probed = segmented = "pixels"

    def __init__(self) -> None:
        super().__init__("perfect", nn.Linear(1, 1), "perfect")

    def features(self, images, pixels=True) -> Features:
        tokens = F.avg_pool2d(images, 8).flatten(2).transpose(1, 2)
        return Features(
            {"pixels": tokens}, {"pixels": GRID}, reconstruction=images if pixels else None
        )


def test_a_perfect_reconstruction_is_100_decibels_and_nothing_from_perfect_elsewhere() -> None:
    found = split_features(Perfect(), Changed(), 12, small_networks())
    assert found.pixels["psnr"].tolist() == [100.0] * 12
    assert found.pixels["ssim"].tolist() == pytest.approx([1.0] * 12, abs=1e-3)
    assert found.pixels["perceptual_judge"].tolist() == pytest.approx([0.0] * 12, abs=1e-6)
    assert torch.equal(*found.frechet["fd_judge"])
