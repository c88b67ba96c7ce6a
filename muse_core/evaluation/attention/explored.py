"""What the attention explorer shows, and keeps showing when a reader drops an image of his own on
it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from muse_core.data.own_images import OwnImages, image_from_bytes, joined
from muse_core.evaluation.attention.run_attention import AttentionNetwork
from muse_core.figures.explorer import (
    explorer_data,
    explorer_widget,
    looked_at,
    within_budget,
)


class ExploredAttention:
    """Images and everybody's attention on them.

    ``views``: one `AttentionView` a network; ``note``: what was left out to keep a page light, or
    "".

    Args:
        networks: whose attention is shown.
        shown: the images to begin with.
        fit: how a dropped image becomes square, "crop" or "pad".
    """

    def __init__(
        self, networks: Sequence[AttentionNetwork], shown: OwnImages, fit: str = "crop"
    ) -> None:
        self.networks, self.shown, self.fit = networks, shown, fit
        self.views = [network.view(shown.images) for network in networks]
        self.data = self._data()

    def widget(self) -> Any:
        """The explorer; ``widget.selection`` is what is being looked at, and may be set."""
        return explorer_widget(self.data, self.add)

    def add(self, name: str, content: bytes) -> dict[str, Any]:
        """Show one more image, and return the explorer's new data.

        Raises:
            MuseError: where the bytes are no image.
        """
        new = image_from_bytes(name, content, self.shown.images.shape[-1], self.fit)
        more = [network.view(new.images) for network in self.networks]
        self.shown = joined([self.shown, new])
        self.views = [
            replace(old, maps=torch.cat([old.maps, one.maps]))
            for old, one in zip(self.views, more, strict=True)
        ]
        self.data = self._data()
        return self.data

    def looked_at(self, selection: dict[str, Any]) -> dict[str, np.ndarray]:
        """What the explorer shows for a selection: network -> attention (rows, columns) of that
        patch.

        Raises:
            MuseError: for a selection that there is not.
        """
        return looked_at(self.sources, selection)

    def _data(self) -> dict[str, Any]:
        self.sources, count, self.note = within_budget(self.views)
        images, names = self.shown.images[:count].numpy(), self.shown.names[:count]
        return explorer_data(images, names, self.sources)
