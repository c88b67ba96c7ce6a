"""The networks that compare images: LPIPS's and Inception where their weights are on disk, the
topology teacher always.

A stand-in never takes the real one's name: `rfid` and `lpips` exist only when Inception and AlexNet
measured."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from muse_core.errors import MuseError
from muse_core.foundations.topology_teacher import TopologyTeacher

INCEPTION_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
ALEXNET_URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"


@dataclass(frozen=True)
class MetricNetworks:
    """``inception`` and ``lpips`` are None where their weights are absent; ``fingerprint`` says
    which measured.
    """

    teacher: TopologyTeacher
    inception: nn.Module | None
    lpips: nn.Module | None
    fingerprint: str

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
) -> MetricNetworks:
    """What this machine can measure with. ``download`` fetches absent weights (about 340 MB) into
    torch's hub folder.

    Raises:
        MuseError: where a wanted download fails.
    """
    inception, alexnet = (_available(url, download) for url in (INCEPTION_URL, ALEXNET_URL))
    there = [name for name, file in (("inception", inception), ("lpips", alexnet)) if file]
    return MetricNetworks(
        teacher=teacher,
        inception=_inception(inception).to(device) if inception else None,
        lpips=_lpips().to(device) if alexnet else None,
        fingerprint="+".join([teacher_fingerprint, *there]),
    )


def weights_file(url: str) -> Path:
    """Where torch keeps a download (``TORCH_HOME`` moves it)."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]


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
