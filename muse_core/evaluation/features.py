"""One pass of a subject over a split: everything the measures look at, kept by the cache."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from muse_core.data.batch import Batch, Source
from muse_core.data.loader import evaluation_batches
from muse_core.errors import MuseError
from muse_core.evaluation.cache import Cache
from muse_core.evaluation.feature_extractors import Seen, Subject, resting
from muse_core.evaluation.reconstruction.metric_networks import Instruments
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
Progress = Callable[[str], None]
"""Told, now and then, in a few words, how far a measurement is."""


@dataclass(frozen=True)
class Features:
    """What was extracted from ``n`` images.

    ``pooled``: feature name -> (n, width), tokens averaged; ``tokens``: feature name -> (m, tokens,
    width) of the first m images; ``pixels``: metric -> one number an image; ``frechet``: metric ->
    (2, n, width), real and reconstructed. ``embedding`` (n, width), ``labels`` (n,) with -1 =
    unknown, ``class_masks`` (m, h, w) with 255 = void, or None."""

    labels: Tensor
    pooled: dict[str, Tensor]
    tokens: dict[str, Tensor]
    grid: dict[str, Grid]
    pixels: dict[str, Tensor] = field(default_factory=dict)
    frechet: dict[str, Tensor] = field(default_factory=dict)
    embedding: Tensor | None = None
    class_masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)


def extract(
    subject: Subject,
    source: Source,
    limit: int,
    instruments: Instruments | None = None,
    dense: int = 1000,
    cache: Cache | None = None,
    progress: Progress = lambda words: None,
) -> Features:
    """Features of the first ``limit`` images of a split, token by token for the first ``dense``.

    ``instruments`` measure the reconstruction; without them no image is decoded. Weights and modes
    stay as they are. Raises MuseError for an empty split and for features that are not finite."""
    if not len(source):
        raise MuseError(
            f"There is no image in {source.fingerprint}: give data whose split is not empty."
        )
    inputs = {
        "weights": subject.fingerprint,
        "subject": type(subject).__name__,
        "data": source.fingerprint,
        "limit": limit,
        "dense": dense,
        "instruments": instruments.fingerprint if instruments else None,
    }
    make = partial(_extracted, subject, source, limit, instruments, dense, progress)
    return _from_stored((cache or Cache(None)).recall("features", inputs, make))


def _extracted(
    subject: Subject,
    source: Source,
    limit: int,
    instruments: Instruments | None,
    dense: int,
    progress: Progress,
) -> Stored:
    pieces: dict[str, list[Tensor]] = {}
    seen_images = 0
    with resting(subject.network):
        for batch in evaluation_batches(source, BATCH, limit):
            batch = batch.to(next(subject.network.parameters()).device)
            seen = subject.see(batch.images, pixels=instruments is not None)
            found = _of_batch(batch, seen, instruments, max(0, dense - seen_images))
            for name, values in found.items():
                pieces.setdefault(name, []).append(values.cpu())
            seen_images += len(batch)
            progress(f"images {seen_images}/{min(limit, len(source))}")
    tensors = {
        name: torch.cat(values, dim=1 if name.startswith("frechet/") else 0)
        for name, values in pieces.items()
    }
    for name, values in tensors.items():
        if values.is_floating_point() and not torch.isfinite(values).all():
            raise MuseError(
                f"{subject.name}: {name} is not finite for some image of {source.fingerprint}: "
                "look for NaN in the weights or in the images."
            )
    return tensors, {"grid": seen.grid}


def _of_batch(
    batch: Batch, seen: Seen, instruments: Instruments | None, dense: int
) -> dict[str, Tensor]:
    found = {"labels": batch.labels}
    found |= {f"pooled/{name}": tokens.float().mean(1) for name, tokens in seen.tokens.items()}
    found |= {f"pooled/{name}": vectors.float() for name, vectors in seen.pooled.items()}
    found |= {f"tokens/{name}": tokens[:dense].half() for name, tokens in seen.tokens.items()}
    if seen.embedding is not None:
        found["embedding"] = seen.embedding.float()
    if batch.class_masks is not None:
        found["class_masks"] = batch.class_masks[:dense].to(torch.uint8)
    if seen.reconstruction is not None and instruments is not None:
        found |= _of_pixels(eight_bits(seen.reconstruction), eight_bits(batch.images), instruments)
    return found


def _of_pixels(
    reconstruction: Images, images: Images, instruments: Instruments
) -> dict[str, Tensor]:
    real, fake = (instruments.teacher.features(each) for each in (images, reconstruction))
    found = {
        "pixels/psnr": psnr(reconstruction, images),
        "pixels/ssim": ssim(reconstruction, images),
        "pixels/perceptual_teacher": feature_distance(fake, real),
        "frechet/fd_teacher": torch.stack([real.mean(1), fake.mean(1)]),
    }
    if instruments.lpips is not None:
        found["pixels/lpips"] = instruments.lpips(reconstruction * 2 - 1, images * 2 - 1).flatten()
    if instruments.inception is not None:
        found["frechet/rfid"] = torch.stack(
            [_inception(instruments, each) for each in (images, reconstruction)]
        )
    return found


def _inception(instruments: Instruments, images: Images) -> Tensor:
    """Inception reads whole numbers 0 .. 255."""
    return instruments.inception((images * 255).round().to(torch.uint8))


def _from_stored(stored: Stored) -> Features:
    tensors, note = stored
    group = lambda prefix: {
        name.removeprefix(prefix): values
        for name, values in tensors.items()
        if name.startswith(prefix)
    }
    return Features(
        labels=tensors["labels"],
        pooled=group("pooled/"),
        tokens={name: values.float() for name, values in group("tokens/").items()},
        grid={name: tuple(grid) for name, grid in note["grid"].items()},
        pixels=group("pixels/"),
        frechet=group("frechet/"),
        embedding=tensors.get("embedding"),
        class_masks=tensors["class_masks"].long() if "class_masks" in tensors else None,
    )
