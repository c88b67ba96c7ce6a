"""The networks that compare images: LPIPS's and Inception where their weights are on disk, a judge
always.

The judge of scenes is their detector, which no loss looks at; of other images the topology teacher,
whose features the perceptual loss may use as well, so that its distances flatter. A stand-in never
takes the real one's name: `rfid` and `lpips` exist only when Inception and AlexNet measured."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from muse_core.errors import MuseError
from muse_core.foundations.scene_detector import SceneDetector, load_scene_detector
from muse_core.foundations.topology_teacher import TopologyTeacher
from muse_core.foundations.torch_weights import ALEXNET_URL, INCEPTION_URL, weights_file
from muse_core.results.trained_code import folder_fingerprint
from muse_core.shapes import Images, Tokens

JUDGE = "the judge of images"
"""What `MetricNetworks.judge` is called where it is not known which network it is."""


@dataclass(frozen=True)
class MetricNetworks:
    """``inception`` and ``lpips`` are None where their weights are absent, ``detector`` for images
    that are no scenes; ``fingerprint`` says which measured.
    """

    teacher: TopologyTeacher
    inception: nn.Module | None
    lpips: nn.Module | None
    fingerprint: str
    detector: SceneDetector | None = None

    @torch.no_grad()
    def judge(self, images: Images) -> Tokens:
        """Features by which images are compared: (batch, 3, height, width) in [0, 1] -> (batch,
        places, width).
        """
        return (self.teacher if self.detector is None else self.detector).features(images)

    @property
    def judge_name(self) -> str:
        """Which network the judge is."""
        if self.detector is None:
            return "the topology teacher, which the perceptual loss may use too"
        return "the scene detector's trunk, which trains nothing"

    @property
    def absent(self) -> list[str]:
        """The metrics whose network is not on this machine, in words."""
        named = {"rFID (Inception-v3)": self.inception, "LPIPS (AlexNet)": self.lpips}
        return [name for name, network in named.items() if network is None]


def load_metric_networks(
    teacher: TopologyTeacher,
    teacher_fingerprint: str,
    download: bool = False,
    device: torch.device | str = "cpu",
    scene_detector: Path | None = None,
) -> MetricNetworks:
    """What this machine can measure with. ``download`` fetches absent weights (about 340 MB) into
    torch's hub folder; ``scene_detector``: its folder, where the images are scenes.

    Raises:
        MuseError: where a wanted download fails.
    """
    inception, alexnet = (_available(url, download) for url in (INCEPTION_URL, ALEXNET_URL))
    detector, judged_by = None, []
    if scene_detector is not None:
        detector = load_scene_detector(scene_detector)
        nn.Module.to(detector, device)
        judged_by = [folder_fingerprint(scene_detector)]
    there = [name for name, file in (("inception", inception), ("lpips", alexnet)) if file]
    return MetricNetworks(
        teacher=teacher,
        detector=detector,
        inception=_inception(inception).to(device) if inception else None,
        lpips=_lpips().to(device) if alexnet else None,
        fingerprint="+".join([teacher_fingerprint, *judged_by, *there]),
    )


def _available(url: str, download: bool) -> Path | None:
    file = weights_file(url)
    if not file.exists() and download:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), progress=True)
        except OSError as error:
            raise MuseError(
                f"Cannot fetch {url} ({error}): put the file at {file} yourself, or leave download "
                "off."
            ) from None
    return file if file.exists() else None


def _inception(weights: Path) -> nn.Module:
    """Inception-v3 as the FID literature uses it: uint8 images -> (images, 2048)."""
    from torchmetrics.image.fid import NoTrainInceptionV3

    return NoTrainInceptionV3("inception-v3-compat", ["2048"], str(weights)).eval()


def _lpips() -> nn.Module:
    """LPIPS (AlexNet, v0.1; Zhang et al. 2018): two batches in [-1, 1] -> one distance an image."""
    import lpips

    return lpips.LPIPS(net="alex", verbose=False).eval().requires_grad_(False)
