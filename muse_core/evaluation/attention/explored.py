"""What the attention explorer shows, and keeps showing when a reader drops an image of his own on
it or types a word.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from muse_core.data.own_images import OwnImages, image_from_bytes, joined
from muse_core.errors import MuseError
from muse_core.evaluation.attention.run_attention import AttentionNetwork
from muse_core.evaluation.attention.run_features import feature_views, joined_views
from muse_core.figures.explorer import (
    GradientView,
    Words,
    explorer_data,
    explorer_widget,
    looked_at,
    within_budget,
)
from muse_core.foundations.text_tower import TextTower, text_embeddings


class ExploredAttention:
    """Images, and everybody's attention and features on them.

    ``views``: one `AttentionView` a network; ``features``: a `FeatureView` a stream; ``note``: what
    was left out to keep a page light, or "".

    Args:
        networks: whose attention is shown.
        shown: the images to begin with.
        fit: how a dropped image becomes square, "crop" or "pad".
        text: the tower that reads words; None for no words.
        words: patches are compared with these to begin with.
        gradients: where those of each student go.
    """

    def __init__(
        self,
        networks: Sequence[AttentionNetwork],
        shown: OwnImages,
        fit: str = "crop",
        text: TextTower | None = None,
        words: Sequence[str] = (),
        gradients: Sequence[GradientView] = (),
    ) -> None:
        self.gradients = gradients
        self.networks, self.shown, self.fit, self.text = networks, shown, fit, text
        self.views = [network.view(shown.images) for network in networks]
        self.features = feature_views(networks, shown.images)
        self.words = tuple(words) if text is not None else ()
        self.data = self._data()

    def widget(self) -> Any:
        """The explorer; ``widget.selection`` is what is being looked at, and may be set."""
        return explorer_widget(self.data, self.add, self.add_word if self.text else None)

    def add(self, name: str, content: bytes) -> dict[str, Any]:
        """Show one more image, and return the explorer's new data.

        Raises:
            MuseError: where the bytes are no image, and where one more makes it too heavy.
        """
        new = image_from_bytes(name, content, self.shown.images.shape[-1], self.fit)
        more = [network.view(new.images) for network in self.networks]
        before = self.shown, self.views, self.features
        self.shown = joined([self.shown, new])
        self.views = [
            replace(old, maps=torch.cat([old.maps, one.maps]))
            for old, one in zip(self.views, more, strict=True)
        ]
        self.features = joined_views(self.features, feature_views(self.networks, new.images))
        self.data = self._data()
        if len(self.data["names"]) < len(self.shown.names):
            self.shown, self.views, self.features = before
            self.data = self._data()
            raise MuseError(f"There is no room for {name} too: begin with fewer images.")
        return self.data

    def add_word(self, word: str) -> dict[str, Any]:
        """Compare patches with one more word, and return the explorer's new data.

        Raises:
            MuseError: where it is compared already, or no text tower is there.
        """
        if self.text is None:
            raise MuseError("No text tower reads words here: give ExploredAttention one.")
        if word in self.words:
            raise MuseError(f"{word!r} is among the words already: choose it.")
        self.words = (*self.words, word)
        self.data = self._data()
        return self.data

    def looked_at(self, selection: dict[str, Any]) -> dict[str, np.ndarray]:
        """What the explorer shows for a selection: name -> (rows, columns) of attention or cosines;
        (rows, columns, 3) of colours; nothing where gradients are shown.

        Raises:
            MuseError: for a selection that there is not.
        """
        return looked_at(self.sources, selection, self.features, self._embedded())

    def _data(self) -> dict[str, Any]:
        self.sources, count, self.note = within_budget(self.views, features=self.features)
        images, names = self.shown.images[:count].numpy(), self.shown.names[:count]
        words = self._embedded()
        return explorer_data(images, names, self.sources, self.features, words, self.gradients)

    def _embedded(self) -> Words:
        if self.text is None or not self.words:
            return Words()
        return Words(self.words, text_embeddings(self.text, self.words))
