"""A metric's name appears only where its real network is on disk; a download that fails says what
to do.
"""

from urllib.error import URLError

import pytest
import torch
from torch import nn

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.evaluation.features import split_features
from muse_core.evaluation.reconstruction import metric_networks as module
from muse_core.evaluation.reconstruction.metric_networks import load_metric_networks
from muse_core.foundations.scene_detector import load_scene_detector
from muse_core.foundations.torch_weights import ALEXNET_URL, INCEPTION_URL, weights_file

from ..small_evaluations import Changed, small_extractor, small_teacher


@pytest.fixture(autouse=True)
def torch_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return tmp_path


@pytest.fixture
def offline(monkeypatch) -> None:
    def refuse(*_, **__):
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)


class Pooled(nn.Module):
    """In Inception's place: bytes -> mean colour."""

    def forward(self, images):
        assert images.dtype == torch.uint8
        return images.float().mean((2, 3))


class Difference(nn.Module):
    """In LPIPS's place."""

    def forward(self, fake, real):
        return (fake - real).abs().mean((1, 2, 3), keepdim=True)


@pytest.fixture
def loaders(monkeypatch) -> None:
    monkeypatch.setattr(module, "_inception", lambda weights: Pooled())
    monkeypatch.setattr(module, "_lpips", lambda: Difference())


def put(url: str) -> None:
    weights_file(url).parent.mkdir(parents=True, exist_ok=True)
    weights_file(url).write_bytes(b"weights")


def test_weights_lie_in_torchs_hub_folder(torch_home) -> None:
    assert weights_file(INCEPTION_URL).parent == torch_home / "hub" / "checkpoints"
    assert weights_file(INCEPTION_URL).name == "weights-inception-2015-12-05-6726825d.pth"
    assert weights_file(ALEXNET_URL).name == "alexnet-owt-7be5be79.pth"


def test_without_weights_there_is_the_teacher_alone_and_nothing_is_fetched(offline) -> None:
    teacher = small_teacher()
    found = load_metric_networks(teacher, "t")
    assert (found.teacher, found.inception, found.lpips, found.fingerprint) == (
        teacher,
        None,
        None,
        "t",
    )


def test_a_download_that_fails_names_the_file_to_put(offline, torch_home) -> None:
    with pytest.raises(MuseError, match=r"Cannot fetch https.*Name or service not known") as caught:
        load_metric_networks(small_teacher(), "t", download=True)
    assert str(weights_file(INCEPTION_URL)) in str(caught.value)


def test_a_folder_that_cannot_be_made_is_a_sentence_too(torch_home) -> None:
    (torch_home / "hub").write_text("")
    with pytest.raises(MuseError, match="Cannot fetch"):
        load_metric_networks(small_teacher(), "t", download=True)


def test_a_download_puts_both_files_where_torch_keeps_them(monkeypatch, loaders) -> None:
    fetched = []

    def fetch(url, file, progress):
        fetched.append(url)
        put(url)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    for _ in range(2):
        found = load_metric_networks(small_teacher(), "t", download=True)
    assert fetched == [INCEPTION_URL, ALEXNET_URL] and found.fingerprint == "t+inception+lpips"


@pytest.mark.parametrize(
    ("urls", "pixels", "frechet", "fingerprint"),
    [
        ((), set(), set(), "t"),
        ((INCEPTION_URL,), set(), {"rfid"}, "t+inception"),
        ((ALEXNET_URL,), {"lpips"}, set(), "t+lpips"),
        ((INCEPTION_URL, ALEXNET_URL), {"lpips"}, {"rfid"}, "t+inception+lpips"),
    ],
)
def test_each_name_appears_with_its_own_weights(
    loaders, urls, pixels, frechet, fingerprint
) -> None:
    for url in urls:
        put(url)
    networks = load_metric_networks(small_teacher(), "t")
    found = split_features(small_extractor(), Changed(), 4, networks)
    assert networks.fingerprint == fingerprint
    assert found.pixels.keys() == {"psnr", "ssim", "perceptual_judge"} | pixels
    assert found.frechet.keys() == {"fd_judge"} | frechet


def test_the_judge_of_scenes_is_their_detector_and_of_other_images_the_teacher() -> None:
    teacher, images = small_teacher(), torch.rand(2, 3, 32, 32)
    folder = paths.foundations("tiny") / "scene_detector"
    scenes = load_metric_networks(teacher, "t", scene_detector=folder)
    expected = load_scene_detector(folder).trunk(images * 2 - 1).flatten(2).transpose(1, 2)
    assert torch.equal(scenes.judge(images), expected) and "detector" in scenes.judge_name
    others = load_metric_networks(teacher, "t")
    assert torch.equal(others.judge(images), teacher.features(images))
    assert "topology teacher" in others.judge_name
    assert scenes.fingerprint != others.fingerprint
