"""What all rows of a table share: the data, its sizes, the seed, and the networks that judge."""

from dataclasses import dataclass
from hashlib import blake2b

from torch import Tensor

from muse_core.config.preset import Preset
from muse_core.data.batch import Source
from muse_core.evaluation.reconstruction.metric_networks import Instruments


@dataclass(frozen=True)
class Protocol:
    """Data, sizes, seed and judges of a table.

    ``classes``: text embedding of each class (classes, width), or None for data without classes.
    """

    train: Source
    test: Source
    instruments: Instruments
    classes: Tensor | None
    n_train: int = 4000
    n_test: int = 1000
    n_dense: int = 1000
    n_attention: int = 48
    segmentation_steps: int = Preset.segmentation_steps
    seed: int = 0

    def key(self) -> dict[str, object]:
        """What a remembered row depends on, besides its subject."""
        return {
            "train": self.train.fingerprint,
            "test": self.test.fingerprint,
            "instruments": self.instruments.fingerprint,
            "sizes": [
                self.n_train,
                self.n_test,
                self.n_dense,
                self.n_attention,
                self.segmentation_steps,
                self.seed,
            ],
            "classes": None if self.classes is None else _digest(self.classes),
        }


def _digest(tensor: Tensor) -> str:
    return blake2b(tensor.cpu().contiguous().numpy().tobytes(), digest_size=8).hexdigest()
