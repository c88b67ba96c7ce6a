"""One pass of a feature extractor over a split: everything the metrics look at, kept by
the cache.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from muse_core.data.batch import Batch, Source
from muse_core.data.loader import evaluation_batches
from muse_core.errors import MuseError
from muse_core.evaluation.cache import Cache
from muse_core.evaluation.feature_extractors import FeatureExtractor, Features, eval_mode
from muse_core.evaluation.reconstruction.metric_networks import MetricNetworks
from muse_core.evaluation.reconstruction.pixel_metrics import (
    eight_bits,
    feature_distance,
    psnr,
    ssim,
)
from muse_core.losses.topology import Grid
from muse_core.results.tensor_files import Stored
from muse_core.shapes import Images

BATCH = 50


def grouped(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Tensors by name, those named ``GROUP/NAME`` in one dictionary a group."""
    found: dict[str, Any] = {}
    for name, tensor in tensors.items():
        group, _, rest = name.partition("/")
        if rest:
            found.setdefault(group, {})[rest] = tensor
        else:
            found[name] = tensor
    return found


@dataclass(frozen=True)
class SplitFeatures:
    """Features of the first n images of a split.

    ``pooled``: feature name -> (n, width), tokens averaged. ``tokens``: feature name -> (m,
    tokens, width) of the first m images, on ``grid[name]``. ``pixels``: metric -> (n,).
    ``frechet``: metric -> (2, n, width), real and reconstructed. ``labels`` (n,), -1 unknown.
    ``embedding`` (n, width) and ``class_masks`` (m, h, w; 255 = void) may be None.
    """

    grid: dict[str, Grid]
    labels: Tensor
    pooled: dict[str, Tensor]
    tokens: dict[str, Tensor]
    pixels: dict[str, Tensor] = field(default_factory=dict)
    frechet: dict[str, Tensor] = field(default_factory=dict)
    embedding: Tensor | None = None
    class_masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)


def split_features(
    extractor: FeatureExtractor,
    source: Source,
    limit: int,
    networks: MetricNetworks | None = None,
    dense: int = 1000,
    cache: Cache | None = None,
) -> SplitFeatures:
    """Features of the first images of a split; weights and modes stay as they are.

    Args:
        extractor: the frozen network to look with.
        source: a split.
        limit: how many images, at most.
        networks: measure the reconstruction; without them no image is decoded.
        dense: of how many images to keep every token, at most.
        cache: remembers the features; None remembers nothing.

    Raises:
        MuseError: for an empty split and for features that are not finite.
    """
    require_images(source)
    inputs = {
        "weights": extractor.fingerprint,
        "extractor": type(extractor).__name__,
        "data": source.fingerprint,
        "limit": limit,
        "dense": dense,
        "networks": networks.fingerprint if networks else None,
    }
    make = partial(_of_split, extractor, source, limit, networks, dense)
    tensors, note = (cache or Cache(None)).recall("features", inputs, make)
    # On disk tokens are halves, and masks bytes.
    whole = {
        name: tensor.float() if tensor.is_floating_point() else tensor.long()
        for name, tensor in tensors.items()
    }
    grid = {name: tuple(sides) for name, sides in note["grid"].items()}
    return SplitFeatures(grid, **grouped(whole))


def require_images(source: Source) -> Source:
    """The source itself. Raises MuseError for an empty split."""
    if not len(source):
        raise MuseError(
            f"There is no image in {source.fingerprint}: give data whose split is not empty."
        )
    return source


def _of_split(
    extractor: FeatureExtractor,
    source: Source,
    limit: int,
    networks: MetricNetworks | None,
    dense: int,
) -> Stored:
    parts: dict[str, list[Tensor]] = {}
    grid, done = {}, 0
    with eval_mode(extractor.network):
        for batch in evaluation_batches(source, BATCH, limit):
            batch = batch.to(extractor.device)
            features = extractor.features(batch.images, pixels=networks is not None)
            found = _of_batch(batch, features, max(0, dense - done))
            if networks is not None and features.reconstruction is not None:
                found |= reconstruction_metrics(features.reconstruction, batch.images, networks)
            for name, values in found.items():
                parts.setdefault(name, []).append(values.cpu())
            grid, done = features.grid, done + len(batch)
    tensors = {
        name: torch.cat(values, dim=1 if name.startswith("frechet/") else 0)
        for name, values in parts.items()
    }
    for name, values in tensors.items():
        if values.is_floating_point() and not torch.isfinite(values).all():
            raise MuseError(
                f"{extractor.name}: {name} is not finite for some image of {source.fingerprint}: "
                "look for NaN in the weights or in the images."
            )
    return tensors, {"grid": grid}


def _of_batch(batch: Batch, features: Features, dense: int) -> dict[str, Tensor]:
    found = {"labels": batch.labels}
    for name, tokens in features.tokens.items():
        found[f"pooled/{name}"] = tokens.float().mean(1)
        found[f"tokens/{name}"] = tokens[:dense].half()
    found |= {f"pooled/{name}": vectors.float() for name, vectors in features.pooled.items()}
    if features.embedding is not None:
        found["embedding"] = features.embedding.float()
    if batch.class_masks is not None:
        found["class_masks"] = batch.class_masks[:dense].to(torch.uint8)
    return found


def reconstruction_metrics(
    reconstruction: Images, images: Images, networks: MetricNetworks
) -> dict[str, Tensor]:
    """``pixels/METRIC`` (batch,), and what Fréchet distances are made of: ``frechet/METRIC`` (2,
    batch, width); both images as a file would hold them, in 8 bits.
    """
    fake, real = eight_bits(reconstruction), eight_bits(images)
    of_fake, of_real = networks.judge(fake), networks.judge(real)
    found = {
        "pixels/psnr": psnr(fake, real),
        "pixels/ssim": ssim(fake, real),
        "pixels/perceptual_judge": feature_distance(of_fake, of_real),
        "frechet/fd_judge": torch.stack([of_real.mean(1), of_fake.mean(1)]),
    }
    if networks.lpips is not None:
        found["pixels/lpips"] = networks.lpips(fake * 2 - 1, real * 2 - 1).flatten()
    if networks.inception is not None:
        pooled = [networks.inception((each * 255).round().to(torch.uint8)) for each in (real, fake)]
        found["frechet/rfid"] = torch.stack(pooled)
    return found
