"""Every metric of a row: what it needs of the data, what it finds, and how it says so. `MEASURES`
lists them.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from muse_core.data.batch import Batch
from muse_core.errors import MuseError
from muse_core.evaluation.attention.object_alignment import object_scores, patch_instances
from muse_core.evaluation.attention.student_teacher import teacher_attention, teacher_scores
from muse_core.evaluation.cache import Cache
from muse_core.evaluation.feature_extractors import (
    HIDDEN,
    LATENT,
    PATCHES,
    TRUNK,
    FeatureExtractor,
    eval_mode,
)
from muse_core.evaluation.features import SplitFeatures, require_images, split_features
from muse_core.evaluation.intervals import interval, mean_interval
from muse_core.evaluation.protocol import Protocol
from muse_core.evaluation.reconstruction.frechet import measured_frechet
from muse_core.evaluation.understanding.linear_probe import linear_probe
from muse_core.evaluation.understanding.segmentation import (
    Segmented,
    iou,
    mean_iou,
    segmentation_probe,
)
from muse_core.evaluation.understanding.zero_shot import accuracy_by_class, ranked_classes
from muse_core.losses.topology import Grid
from muse_core.results.measurements import Measurement
from muse_core.shapes import AttentionMaps

PROTOCOLS = {
    "psnr": "mean over images, 8-bit images on [0, 1], identical images count as 100 dB",
    "ssim": "mean over images, Gaussian window, reflected borders, data_range 1, 8-bit images on "
    "[0, 1]",
    "lpips": "mean over images, LPIPS v0.1, AlexNet, 8-bit images",
    "perceptual_judge": "mean over images and places, squared distance of unit features of "
    "{judge}; not LPIPS",
    "fd_judge": "Fréchet distance of mean features of {judge}, 8-bit images; not FID",
    "rfid": "Fréchet distance of Inception-v3 pool features (torch-fidelity's weights), 8-bit "
    "images",
    "attention_auc": "same-object ROC-AUC of all patch pairs of an image",
    "attention_iou": "seed token's k strongest patches against its object of k patches",
    "attention_pointing": "seed token's strongest other patch lies on its object",
    "attention_kl": "KL(teacher || student), mean over queries",
    "attention_rank": "Spearman correlation of rows, mean over queries",
}


@dataclass
class Bench:
    """One row on the bench: its features, made when first asked for, and the ``tensors`` that its
    metrics leave behind.
    """

    extractor: FeatureExtractor
    protocol: Protocol
    cache: Cache
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @cached_property
    def test(self) -> SplitFeatures:
        p = self.protocol
        return split_features(self.extractor, p.test, p.n_test, p.networks, p.n_dense, self.cache)

    @cached_property
    def train(self) -> SplitFeatures:
        p = self.protocol
        return split_features(self.extractor, p.train, p.n_train, None, p.n_dense, self.cache)

    @cached_property
    def batch(self) -> Batch:
        """The images whose attention is looked at."""
        return require_images(self.protocol.test).first(self.protocol.n_attention)

    @cached_property
    def maps(self) -> tuple[AttentionMaps, ...]:
        """Their attention, one map a layer."""
        with eval_mode(self.extractor.network):
            maps = self.extractor.attention(self.batch.images.to(self.extractor.device))
        if not maps:
            raise MuseError("the attention of this network is not measured")
        if not all(torch.isfinite(each).all() for each in maps):
            raise MuseError("the attention is not finite: look for NaN in the weights")
        return tuple(each.cpu() for each in maps)

    @property
    def grid(self) -> Grid:
        side = round(self.maps[0].shape[-1] ** 0.5)
        return side, side

    @property
    def classes(self) -> Tensor:
        """Text embedding of each class. Raises MuseError where there are none."""
        if self.protocol.classes is None:
            raise MuseError("this data has no class labels")
        return self.protocol.classes

    def labels(self, features: SplitFeatures) -> Tensor:
        """Raises MuseError where there are none, and for one outside the class list."""
        labels, count = features.labels, len(self.classes)
        if not (labels >= 0).any():
            raise MuseError("this data has no class labels")
        if int(labels.max()) >= count:
            raise MuseError(f"a label is {int(labels.max())} but the class list has {count} names")
        return labels

    def words(self, metric: str) -> str:
        """How a metric is measured here."""
        return PROTOCOLS[metric].format(judge=self.protocol.networks.judge_name)

    def mean(self, metric: str, values: Tensor, protocol: str, **details: object) -> Measurement:
        """A mean over images with its interval; the values are kept for paired comparisons."""
        self.tensors[f"per_image/{metric}"] = values.float()
        low, high = mean_interval(values.numpy(), self.protocol.seed) or (None, None)
        n, value = int(torch.isfinite(values).sum()), float(values.double().nanmean())
        return Measurement(value, n, protocol, low, high, details)

    def share(self, metric: str, right: Tensor, protocol: str, **details: object) -> Measurement:
        """The share of labelled test images that are right."""
        values = torch.where(self.test.labels >= 0, right.float(), torch.nan)
        return self.mean(metric, values, protocol, **details)

    def over_heads(self, scores: dict[str, np.ndarray]) -> dict[str, Measurement]:
        """Means over layers and heads of (layers, heads, images), with the table of layers and
        heads kept.
        """
        if not all(np.isfinite(values).any() for values in scores.values()):
            raise MuseError("no test image has an object of two patches or more")
        return {
            metric: self.mean(
                metric,
                torch.from_numpy(values.mean(axis=(0, 1))),
                f"{PROTOCOLS[metric]}; mean over layers, heads and images",
                by_layer_and_head=np.nanmean(values, axis=-1).round(4).tolist(),
            )
            for metric, values in scores.items()
        }


def _pixels(bench: Bench) -> dict[str, Measurement]:
    if not bench.test.pixels:
        raise MuseError("this network makes no pixels")
    return {
        name: bench.mean(name, values, bench.words(name))
        for name, values in bench.test.pixels.items()
    }


def _frechet(bench: Bench) -> dict[str, Measurement]:
    if not bench.test.frechet:
        raise MuseError("this network makes no pixels")
    return {
        name: measured_frechet(real, other, bench.words(name), bench.protocol.seed)
        for name, (real, other) in bench.test.frechet.items()
    }


def _zero_shot(bench: Bench) -> dict[str, Measurement]:
    labels, source = bench.labels(bench.test), bench.protocol.test
    if bench.test.embedding is None:
        raise MuseError("this network has no embedding in the text space")
    if bench.test.embedding.shape[1] != bench.classes.shape[1]:
        raise MuseError(
            f"this network's text space is {bench.test.embedding.shape[1]} wide and that of the "
            f"preset's text tower {bench.classes.shape[1]}: name the preset it was trained with"
        )
    ranked = ranked_classes(bench.test.embedding, bench.classes.cpu())
    prompts, count = len(source.class_prompts()[0]), ranked.shape[1]
    words = f"nearest of {count} classes, mean of {prompts} prompts a class"
    each = accuracy_by_class(ranked[:, 0], labels, count)
    by_class = dict(zip(source.class_names, each, strict=True))
    hits = ranked == labels[:, None]
    top1 = bench.share("zero_shot", hits[:, 0], words, by_class=by_class)
    top5 = Measurement.missing("there are five classes or fewer")
    if count > 5:
        top5 = bench.share("zero_shot_top5", hits[:, :5].any(1), words + ", any of five")
    return {"zero_shot": top1, "zero_shot_top5": top5}


def _linear_probe(bench: Bench) -> dict[str, Measurement]:
    labels, known = bench.labels(bench.test), bench.labels(bench.train)
    classes, seed, test = len(bench.classes), bench.protocol.seed, bench.test.pooled
    probes = {
        name: linear_probe(train, known, test[name], classes, seed)
        for name, train in bench.train.pooled.items()
    }
    right = {name: (each.predicted == labels) for name, each in probes.items()}
    by_feature = {name: each[labels >= 0].float().mean().item() for name, each in right.items()}
    found = {
        name: bench.share(
            name, right[feature], f"{feature}, mean over tokens; {probes[feature].protocol}"
        )
        for name, feature in _columns("linear_probe", bench.extractor.probed, right)
    }
    details = {"by_feature": by_feature}
    found["linear_probe"] = replace(found["linear_probe"], details=details)
    return found | _absent("linear_probe", right)


def _segmentation(bench: Bench) -> dict[str, Measurement]:
    train, test, p = bench.train, bench.test, bench.protocol
    if train.class_masks is None or test.class_masks is None:
        raise MuseError("this data has no masks")
    names, test_tokens = p.test.mask_class_names, test.tokens
    heads = {
        name: segmentation_probe(
            tokens,
            train.class_masks,
            test_tokens[name],
            test.class_masks,
            train.grid[name],
            len(names),
            p.seed,
            steps=p.segmentation_steps,
        )
        for name, tokens in train.tokens.items()
    }
    found = {
        name: _miou(heads[feature], feature, p.seed)
        for name, feature in _columns("miou", bench.extractor.segmented, heads)
    }
    bench.tensors["confusion"] = confusion = heads[bench.extractor.segmented].confusion
    by_class = [None if np.isnan(each) else each for each in iou(confusion.sum(0)).tolist()]
    details = {
        "by_feature": {name: mean_iou(each.confusion) for name, each in heads.items()},
        "by_class": dict(zip(names, by_class, strict=True)),
    }
    found["miou"] = replace(found["miou"], details=details)
    return found | _absent("miou", heads)


def _miou(head: Segmented, feature: str, seed: int) -> Measurement:
    confusion = head.confusion
    ends = interval(lambda images: mean_iou(confusion[images]), len(confusion), seed)
    low, high = ends or (None, None)
    words = f"{feature}; {head.protocol}"
    return Measurement(mean_iou(confusion), len(confusion), words, low, high)


COLUMNS = {"z": LATENT, "output": HIDDEN, "trunk": TRUNK, "backbone": PATCHES}
"""Features that studies compare in columns of their own: ending of a metric's name -> feature."""


def _columns(metric: str, headline: str, there: Collection[str]) -> Iterator[tuple[str, str]]:
    """Metrics with the feature that each is of."""
    yield metric, headline
    yield from ((f"{metric}_{end}", name) for end, name in COLUMNS.items() if name in there)


def _absent(metric: str, there: Collection[str]) -> dict[str, Measurement]:
    """The columns that this network has no feature for."""
    why = Measurement.missing("this network has no such feature")
    return {f"{metric}_{end}": why for end, name in COLUMNS.items() if name not in there}


def _attention(bench: Bench) -> dict[str, Measurement]:
    maps, masks = bench.maps, bench.batch.instance_masks
    if masks is None or not masks.any():
        raise MuseError("this data has no instance masks")
    scores = object_scores(maps, patch_instances(masks, bench.grid), bench.grid)
    return bench.over_heads({f"attention_{name}": values for name, values in scores.items()})


def _against_teacher(bench: Bench) -> dict[str, Measurement]:
    teacher = bench.protocol.networks.teacher
    if bench.extractor.network is teacher:
        raise MuseError("this is the teacher")
    if len(bench.maps) != len(teacher.layers):
        raise MuseError("this network's attention has no layers that correspond to the teacher's")
    images = bench.batch.images.to(bench.extractor.device)
    targets = teacher_attention(teacher, images, bench.grid, bench.maps[0].shape[1])
    scores = teacher_scores([each.cpu() for each in targets], bench.maps)
    return bench.over_heads({f"attention_{name}": values for name, values in scores.items()})


Measure = tuple[tuple[str, ...], Callable[[Bench], dict[str, Measurement]]]
"""The metrics that a function answers for, and the function."""

MEASURES: tuple[Measure, ...] = (
    (("psnr", "ssim", "perceptual_judge"), _pixels),
    (("fd_judge",), _frechet),
    (("zero_shot", "zero_shot_top5"), _zero_shot),
    (("linear_probe", *(f"linear_probe_{each}" for each in COLUMNS)), _linear_probe),
    (("miou", *(f"miou_{each}" for each in COLUMNS)), _segmentation),
    (("attention_auc", "attention_iou", "attention_pointing"), _attention),
    (("attention_kl", "attention_rank"), _against_teacher),
)
"""All that a row is measured by; `evaluate` takes others."""
