"""Every measure of a row: what it needs of the data, what it finds, and how it says so. `MEASURES`
lists them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from muse_core.data.batch import Batch
from muse_core.errors import MuseError
from muse_core.evaluation.attention.object_alignment import (
    object_scores,
    patch_instances,
    rank_correlation,
)
from muse_core.evaluation.attention.student_teacher import divergence_of_maps, teacher_attention
from muse_core.evaluation.cache import Cache
from muse_core.evaluation.feature_extractors import Subject, resting
from muse_core.evaluation.features import Features, Progress, extract
from muse_core.evaluation.intervals import interval, mean_interval
from muse_core.evaluation.protocol import Protocol
from muse_core.evaluation.reconstruction.frechet import biased, frechet_distance
from muse_core.evaluation.understanding.linear_probe import linear_probe
from muse_core.evaluation.understanding.segmentation import iou, mean_iou, segmentation_probe
from muse_core.evaluation.understanding.zero_shot import accuracy_by_class, ranked_classes
from muse_core.results.measurements import Measurement

PIXEL_PROTOCOLS = {
    "psnr": "mean over images, 8-bit images on [0, 1], identical images count as 100 dB",
    "ssim": "mean over images, Gaussian window, reflected borders, data_range 1, 8-bit images on [0, 1]",
    "lpips": "mean over images, LPIPS v0.1, AlexNet, 8-bit images",
    "perceptual_teacher": "mean over images and patches, squared distance of unit features of the topology teacher; not LPIPS",
    "fd_teacher": "Fréchet distance of mean features of the topology teacher, 8-bit images; not FID",
    "rfid": "Fréchet distance of Inception-v3 pool features (torch-fidelity's weights), 8-bit images",
}


@dataclass
class Bench:
    """One subject on the bench: its features, made when first asked for, and what was found so far."""

    subject: Subject
    protocol: Protocol
    cache: Cache
    progress: Progress

    def __post_init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    @cached_property
    def test(self) -> Features:
        p = self.protocol
        return extract(
            self.subject, p.test, p.n_test, p.instruments, p.n_dense, self.cache, self.progress
        )

    @cached_property
    def train(self) -> Features:
        p = self.protocol
        return extract(self.subject, p.train, p.n_train, None, p.n_dense, self.cache, self.progress)

    def mean_of(self, metric: str, values: Tensor, protocol: str, **details: object) -> Measurement:
        """A mean over images with its interval; the values are kept for paired comparisons."""
        self.tensors[f"per_image/{metric}"] = values.float()
        low, high = mean_interval(values.numpy(), self.protocol.seed) or (None, None)
        finite = int(torch.isfinite(values).sum())
        return Measurement(
            float(values.double().nanmean()), finite, protocol, low, high, dict(details)
        )


def _pixels(bench: Bench) -> dict[str, Measurement]:
    if not bench.test.pixels:
        raise MuseError("this subject makes no pixels")
    return {
        name: bench.mean_of(name, values, PIXEL_PROTOCOLS[name])
        for name, values in bench.test.pixels.items()
    }


def _frechet(bench: Bench) -> dict[str, Measurement]:
    if not bench.test.frechet:
        raise MuseError("this subject makes no pixels")
    found = {}
    for name, (real, other) in bench.test.frechet.items():
        value, n, width = frechet_distance(real, other), len(real), real.shape[1]
        ends = interval(
            lambda i, r=real, o=other: frechet_distance(r[i], o[i]),
            n,
            bench.protocol.seed,
            100,
            about=value,
        )
        few = f"; biased upwards: {n} images for {width} features" if biased(n, width) else ""
        low, high = (max(0.0, ends[0]), ends[1]) if ends else (None, None)
        found[name] = Measurement(value, n, PIXEL_PROTOCOLS[name] + few, low, high)
    return found


def _zero_shot(bench: Bench) -> dict[str, Measurement]:
    labels, classes = _labels(bench.test, bench.protocol), bench.protocol.classes
    if bench.test.embedding is None:
        raise MuseError("this subject has no embedding in the text space")
    ranked = ranked_classes(bench.test.embedding, classes.cpu())
    predicted, names = ranked[:, 0], bench.protocol.test.class_names
    bench.tensors["predicted/zero_shot"] = predicted
    prompts = len(bench.protocol.test.class_prompts()[0])
    words = f"nearest of {len(classes)} classes, mean of {prompts} prompts a class"
    by_class = dict(zip(names, accuracy_by_class(predicted, labels, len(classes)), strict=True))
    top5 = (
        bench.mean_of(
            "zero_shot_top5",
            _right((ranked[:, :5] == labels[:, None]).any(1), labels),
            words + ", any of five",
        )
        if len(classes) > 5
        else Measurement.missing("there are five classes or fewer")
    )
    top1 = bench.mean_of("zero_shot", _right(predicted == labels, labels), words, by_class=by_class)
    return {"zero_shot": top1, "zero_shot_top5": top5}


def _labels(features: Features, protocol: Protocol) -> Tensor:
    if protocol.classes is None or not (features.labels >= 0).any():
        raise MuseError("this data has no class labels")
    if int(features.labels.max()) >= len(protocol.classes):
        raise MuseError(
            f"a label is {int(features.labels.max())} but the class list has {len(protocol.classes)} names"
        )
    return features.labels


def _right(right: Tensor, labels: Tensor) -> Tensor:
    """1.0 and 0.0, NaN for images without a label."""
    return torch.where(labels >= 0, right.float(), torch.nan)


def _linear_probe(bench: Bench) -> dict[str, Measurement]:
    labels = _labels(bench.test, bench.protocol)
    _labels(bench.train, bench.protocol)
    scores, best = {}, None
    for name, train in bench.train.pooled.items():
        probed = linear_probe(
            train,
            bench.train.labels,
            bench.test.pooled[name],
            len(bench.protocol.classes),
            bench.protocol.seed,
        )
        scores[name] = float(_right(probed.predicted == labels, labels).nanmean())
        best = probed if name == bench.subject.probed else best
    bench.tensors["predicted/linear_probe"] = best.predicted
    right = _right(best.predicted == labels, labels)
    protocol = f"{bench.subject.probed}, mean over tokens; {best.protocol}"
    return {"linear_probe": bench.mean_of("linear_probe", right, protocol, by_feature=scores)}


def _segmentation(bench: Bench) -> dict[str, Measurement]:
    train, test, names = bench.train, bench.test, bench.protocol.test.mask_class_names
    if train.class_masks is None or test.class_masks is None:
        raise MuseError("this data has no masks")
    scores, chosen = {}, None
    for name in train.tokens:
        found = segmentation_probe(
            train.tokens[name],
            train.class_masks,
            test.tokens[name],
            test.class_masks,
            train.grid[name],
            len(names),
            bench.protocol.seed,
            steps=bench.protocol.segmentation_steps,
        )
        scores[name] = mean_iou(found.confusion)
        chosen = found if name == bench.subject.segmented else chosen
    confusion, value = chosen.confusion, scores[bench.subject.segmented]
    bench.tensors |= {
        "confusion": confusion,
        "head/weight": chosen.weight,
        "head/bias": chosen.bias,
    }
    low, high = interval(lambda i: mean_iou(confusion[i]), len(confusion), bench.protocol.seed) or (
        None,
        None,
    )
    by_class = [None if np.isnan(each) else each for each in iou(confusion.sum(0)).tolist()]
    details = {"by_feature": scores, "by_class": dict(zip(names, by_class, strict=True))}
    protocol = f"{bench.subject.segmented}; {chosen.protocol}"
    return {"miou": Measurement(value, len(confusion), protocol, low, high, details)}


def _attention(bench: Bench) -> dict[str, Measurement]:
    batch = _first_images(bench)
    device = next(bench.subject.network.parameters()).device
    with resting(bench.subject.network):
        maps = bench.subject.attention(batch.images.to(device))
    if maps is None:
        raise MuseError("the attention of this subject is not measured")
    if batch.instance_masks is None or not batch.instance_masks.any():
        raise MuseError("this data has no instance masks")
    maps = [each.cpu() for each in maps]
    _check_finite(maps)
    side = round(maps[0].shape[-1] ** 0.5)
    scores = object_scores(maps, patch_instances(batch.instance_masks, (side, side)), (side, side))
    words = {
        "attention_auc": (scores.auc, "same-object ROC-AUC of all patch pairs of an image"),
        "attention_iou": (
            scores.iou,
            "seed token's k strongest patches against its object of k patches",
        ),
        "attention_pointing": (
            scores.pointing,
            "seed token's strongest other patch lies on its object",
        ),
    }
    return {
        name: _over_heads(bench, name, values, protocol)
        for name, (values, protocol) in words.items()
    }


def _against_teacher(bench: Bench) -> dict[str, Measurement]:
    batch = _first_images(bench)
    teacher = bench.protocol.instruments.teacher
    images = batch.images.to(next(bench.subject.network.parameters()).device)
    if bench.subject.network is teacher:
        raise MuseError("this is the teacher")
    with resting(bench.subject.network):
        maps = bench.subject.attention(images)
        if maps is None or len(maps) != len(teacher.layers):
            raise MuseError(
                "this subject's attention has no layers that correspond to the teacher's"
            )
        side = round(maps[0].shape[-1] ** 0.5)
        targets = teacher_attention(teacher, images, (side, side), maps[0].shape[1])
    _check_finite(maps)
    pairs = list(zip(targets, maps, strict=True))
    kl = np.stack([divergence_of_maps(t, s).mean(-1).T.cpu().numpy() for t, s in pairs])
    ranks = rank_correlation([t.cpu() for t in targets], [s.cpu() for s in maps])
    return {
        "attention_kl": _over_heads(
            bench, "attention_kl", kl, "KL(teacher || student), mean over queries"
        ),
        "attention_rank": _over_heads(
            bench, "attention_rank", ranks, "Spearman correlation of rows, mean over queries"
        ),
    }


def _first_images(bench: Bench) -> Batch:
    """The images whose attention is looked at. Raises MuseError for an empty split."""
    source = bench.protocol.test
    if not len(source):
        raise MuseError(
            f"There is no image in {source.fingerprint}: give data whose split is not empty."
        )
    return source.first(bench.protocol.n_attention)


def _check_finite(maps: Sequence[Tensor]) -> None:
    if not all(torch.isfinite(each).all() for each in maps):
        raise MuseError("the attention is not finite: look for NaN in the weights")


def _over_heads(bench: Bench, name: str, values: np.ndarray, protocol: str) -> Measurement:
    """Mean over layers and heads, with the table of layers and heads kept."""
    if not np.isfinite(values).any():
        raise MuseError("no test image has an object of two patches or more")
    per_image = torch.from_numpy(values.mean(axis=(0, 1)))
    table = np.nanmean(values, axis=-1).round(4).tolist()
    return bench.mean_of(
        name, per_image, f"{protocol}; mean over layers, heads and images", by_layer_and_head=table
    )


MEASURES: tuple[tuple[tuple[str, ...], Callable[[Bench], dict[str, Measurement]]], ...] = (
    (("psnr", "ssim", "perceptual_teacher"), _pixels),
    (("fd_teacher",), _frechet),
    (("zero_shot", "zero_shot_top5"), _zero_shot),
    (("linear_probe",), _linear_probe),
    (("miou",), _segmentation),
    (("attention_auc", "attention_iou", "attention_pointing"), _attention),
    (("attention_kl", "attention_rank"), _against_teacher),
)
"""The metrics each measure answers for, and the measure."""
