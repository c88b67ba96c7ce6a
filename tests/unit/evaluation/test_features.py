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
from muse_core.evaluation.feature_extractors import HIDDEN, LATENT, SEMANTIC, Seen, Subject
from muse_core.evaluation.features import Features, extract
from muse_core.evaluation.reconstruction.metric_networks import Instruments
from muse_core.evaluation.reconstruction.pixel_metrics import (
    eight_bits,
    feature_distance,
    psnr,
    ssim,
)

from .small_evaluations import (
    GRID,
    Changed,
    small_instruments,
    small_subject,
    small_teacher,
    without,
)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """23 images are then three batches, the last one short."""
    monkeypatch.setattr(module, "BATCH", 10)


def everything(found: Features) -> dict[str, torch.Tensor]:
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
    subject, source = small_subject(), Changed()
    found, batch = extract(subject, source, 23, small_instruments(), dense=13), source.first(23)
    seen = subject.see(batch.images)
    assert len(found) == 23 and torch.equal(found.labels, batch.labels)
    assert torch.allclose(found.embedding, seen.embedding, atol=1e-5)
    assert (
        found.pooled.keys()
        == found.tokens.keys()
        == found.grid.keys()
        == {SEMANTIC, HIDDEN, LATENT}
    )
    for name, tokens in seen.tokens.items():
        assert torch.allclose(found.pooled[name], tokens.mean(1), atol=1e-5)
        assert torch.allclose(found.tokens[name], tokens[:13], rtol=2e-3, atol=1e-3)
        assert found.tokens[name].dtype == torch.float32 and found.grid[name] == GRID
    assert torch.equal(found.class_masks, batch.class_masks[:13])


def test_pixels_are_measured_on_eight_bits() -> None:
    subject, source, instruments = small_subject(), Changed(), small_instruments()
    found, images = extract(subject, source, 23, instruments), source.first(23).images
    fake, real = eight_bits(subject.see(images).reconstruction), eight_bits(images)
    of_fake, of_real = (instruments.teacher.features(each) for each in (fake, real))
    perceptual = feature_distance(of_fake, of_real)
    expected = {
        "psnr": psnr(fake, real),
        "ssim": ssim(fake, real),
        "perceptual_teacher": perceptual,
    }
    assert found.pixels.keys() == expected.keys()
    for name, values in expected.items():
        assert torch.allclose(found.pixels[name], values, atol=1e-3), name
    means = torch.stack([of_real.mean(1), of_fake.mean(1)])
    assert torch.allclose(found.frechet["fd_teacher"], means, atol=1e-4)


def test_without_instruments_no_image_is_decoded(monkeypatch) -> None:
    subject = small_subject()
    monkeypatch.setattr(subject.network, "decode", lambda *_: pytest.fail("decoded"))
    found = extract(subject, Changed(), 12)
    assert not found.pixels and not found.frechet and len(found) == 12


@pytest.mark.parametrize(("dense", "kept"), [(0, 0), (7, 7), (10, 10), (15, 15), (99, 23)])
def test_no_more_than_dense_images_keep_their_tokens(dense, kept) -> None:
    found = extract(small_subject(), Changed(), 23, dense=dense)
    assert {len(tokens) for tokens in found.tokens.values()} == {kept} == {len(found.class_masks)}
    assert len(found.pooled[HIDDEN]) == 23


def test_progress_is_told_after_every_batch() -> None:
    words = []
    extract(small_subject(), Changed(), 23, progress=words.append)
    assert words == [f"images {count}/23" for count in (10, 20, 23)]


def test_a_split_smaller_than_the_limit_is_taken_whole() -> None:
    assert len(extract(small_subject(), Changed(length=8), 500)) == 8


def test_data_without_masks_or_labels_has_none() -> None:
    found = extract(small_subject(), Changed(without("labels", "class_masks")), 12)
    assert found.class_masks is None and found.labels.tolist() == [-1] * 12


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(MuseError, match="There is no image in scenes-v1/test"):
        extract(small_subject(), Changed(length=0), 5)


def test_weights_that_are_not_numbers_are_refused_by_the_subjects_name() -> None:
    subject = small_subject(name="broken row")
    next(subject.network.connector.parameters()).data.fill_(math.nan)
    with pytest.raises(MuseError, match=r"broken row: .* is not finite"):
        extract(subject, Changed(), 5)


def test_an_image_that_is_not_a_number_is_refused(tmp_path) -> None:
    def spoil(batch):
        images = batch.images.clone()
        images[-1, 0, 0, 0] = torch.nan
        return replace(batch, images=images)

    with pytest.raises(MuseError, match="not finite for some image"):
        extract(small_subject(), Changed(spoil), 12, cache=Cache(tmp_path))
    assert not list(tmp_path.iterdir())


def test_from_the_cache_it_is_equal_bit_by_bit_and_the_network_rests(tmp_path, monkeypatch) -> None:
    subject, cache, instruments = small_subject(), Cache(tmp_path), small_instruments()
    first = extract(subject, Changed(), 23, instruments, 13, cache)
    monkeypatch.setattr(subject, "see", lambda *_, **__: pytest.fail("ran the network"))
    source = Changed()
    again = extract(subject, source, 23, instruments, 13, cache)
    ours, theirs = everything(first), everything(again)
    assert ours.keys() == theirs.keys() and all(
        torch.equal(ours[name], theirs[name]) for name in ours
    )
    assert all(ours[name].dtype == theirs[name].dtype for name in ours)
    assert first.grid == again.grid and source.asked == 0


@pytest.mark.parametrize("change", ["weights", "data", "limit", "dense", "instruments"])
def test_another_input_is_extracted_anew(tmp_path, change) -> None:
    subject, source, given = (
        small_subject(),
        Changed(),
        {"limit": 5, "dense": 2, "instruments": small_instruments()},
    )
    extract(subject, source, **given, cache=Cache(tmp_path))
    match change:
        case "weights":
            subject.fingerprint = "others"
        case "data":
            source.fingerprint = "scenes-v2/test/others"
        case "instruments":
            given["instruments"] = replace(given["instruments"], fingerprint="others")
        case _:
            given[change] += 1
    source.asked = 0
    extract(subject, source, **given, cache=Cache(tmp_path))
    assert source.asked > 0


def test_weights_and_modes_are_left_as_they_were() -> None:
    subject = small_subject()
    subject.network.train()
    subject.network.decoder.eval()
    modes = [each.training for each in subject.network.modules()]
    weights = {name: weight.clone() for name, weight in subject.network.state_dict().items()}
    extract(subject, Changed(), 12, small_instruments())
    assert [each.training for each in subject.network.modules()] == modes
    assert all(
        torch.equal(weights[name], weight) for name, weight in subject.network.state_dict().items()
    )


def test_the_real_instruments_names_appear_where_they_measure() -> None:
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

    instruments = Instruments(small_teacher(), Inception(), Distance(), "t+inception+lpips")
    found = extract(small_subject(), Changed(), 12, instruments)
    assert found.pixels["lpips"].shape == (12,) and found.frechet["rfid"].shape == (2, 12, 3)
    assert found.frechet.keys() == {"fd_teacher", "rfid"}
    assert (
        asked["rfid"] == torch.uint8
        and -1 <= asked["lpips"][0] < -0.2 < 0.2 < asked["lpips"][1] <= 1
    )


class Perfect(Subject):
    """Gives every image back."""

    name = fingerprint = "perfect"
    probed = segmented = "pixels"

    def __init__(self) -> None:
        self.network = nn.Linear(1, 1)

    def see(self, images, pixels=True) -> Seen:
        tokens = F.avg_pool2d(images, 8).flatten(2).transpose(1, 2)
        return Seen({"pixels": tokens}, {"pixels": GRID}, reconstruction=images if pixels else None)


def test_a_perfect_reconstruction_is_100_decibels_and_nothing_from_perfect_elsewhere() -> None:
    found = extract(Perfect(), Changed(), 12, small_instruments())
    assert found.pixels["psnr"].tolist() == [100.0] * 12
    assert found.pixels["ssim"].tolist() == pytest.approx([1.0] * 12, abs=1e-3)
    assert found.pixels["perceptual_teacher"].tolist() == pytest.approx([0.0] * 12, abs=1e-6)
    assert torch.equal(*found.frechet["fd_teacher"])
