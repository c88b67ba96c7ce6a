"""What all rows of a table share: the data, its sizes, the seed, and the networks that compare
images.
"""

from dataclasses import dataclass
from hashlib import blake2b

from torch import Tensor

from muse_core import paths
from muse_core.config.preset import Preset
from muse_core.data.batch import Source
from muse_core.evaluation.feature_extractors import tensor_bytes
from muse_core.evaluation.reconstruction.metric_networks import MetricNetworks, load_metric_networks
from muse_core.evaluation.run_rows import teacher_fingerprint
from muse_core.evaluation.understanding.zero_shot import class_embeddings
from muse_core.foundations.topology_teacher import TopologyTeacher
from muse_core.training.teachers import Teachers


@dataclass(frozen=True)
class Protocol:
    """Data, sizes, seed and metric networks of a table.

    ``classes``: text embedding of each class (classes, width), or None for data without classes.
    ``n_train`` and ``n_test``: images that probes are fitted and everything is measured on;
    ``n_dense``: of how many of them every token is kept; ``n_attention``: test images whose
    attention is looked at.
    """

    train: Source
    test: Source
    networks: MetricNetworks
    classes: Tensor | None
    n_train: int = 4000
    n_test: int = 1000
    n_dense: int = 1000
    n_attention: int = 48
    segmentation_steps: int = Preset.segmentation_steps
    seed: int = 0

    def key(self) -> dict[str, object]:
        """What a remembered row depends on, besides its network."""
        known = b"" if self.classes is None else tensor_bytes(self.classes)
        return {
            **{name: value for name, value in vars(self).items() if isinstance(value, int)},
            "train": self.train.fingerprint,
            "test": self.test.fingerprint,
            "networks": self.networks.fingerprint,
            "classes": blake2b(known, digest_size=8).hexdigest(),
        }

    @property
    def images_used(self) -> str:
        """How many images its rows are fitted on and measured on, in words."""
        n_train, n_test = min(self.n_train, len(self.train)), min(self.n_test, len(self.test))
        return f"{n_train:,} train, {n_test:,} test"


def open_protocol(
    preset: Preset,
    train: Source,
    test: Source,
    teachers: Teachers,
    seed: int = 0,
    download: bool = False,
) -> Protocol:
    """What all rows of a preset's table share.

    Args:
        preset: says how many images (``probe_images``, ``held_out_images``).
        train: what probes are fitted on.
        test: what everything is measured on.
        teachers: the frozen networks; the topology one judges images that are no scenes.
        seed: of validation splits, heads and bootstrap.
        download: fetch the weights of Inception and LPIPS where they are absent.
    """
    return Protocol(
        train=train,
        test=test,
        networks=metric_networks(preset, teachers.topology, test, download),
        classes=class_embeddings(teachers.text, test).cpu() if test.class_names else None,
        n_train=preset.probe_images,
        n_test=preset.held_out_images,
        n_dense=max(2, preset.probe_images // 3),
        segmentation_steps=preset.segmentation_steps,
        seed=seed,
    )


def metric_networks(
    preset: Preset, teacher: TopologyTeacher, images: Source, download: bool = False
) -> MetricNetworks:
    """What compares these images: for scenes their detector among it.

    Raises:
        MuseError: A wanted download fails.
    """
    device, fingerprint = next(teacher.parameters()).device, teacher_fingerprint(preset, teacher)
    detector = paths.foundations("tiny") / "scene_detector" if images.name == "scenes" else None
    return load_metric_networks(teacher, fingerprint, download, device, detector)
