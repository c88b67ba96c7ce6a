"""What stands for an image before a language model: a network's tokens, or, as the ceiling, the
scene told in words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from muse_core.data.scene_questions import CELL_WORDS, cell_words, scene_objects, word_shares
from muse_core.data.scenes import SceneParameters, draw, visible_pixels
from muse_core.losses.topology import Grid
from muse_core.shapes import Images, Tokens


@runtime_checkable
class Sight(Protocol):
    """`Look` or `InWords`; ``fingerprint`` changes with what it sees of the same scene."""

    @property
    def fingerprint(self) -> str: ...

    def see(self, scenes: SceneParameters, size: int) -> tuple[Tokens, Grid]:
        """Tokens of drawn scenes in raster order, and their grid; ``size``: pixels along a side."""
        ...


@dataclass(frozen=True)
class Look:
    """A network's tokens.

    Args:
        at: Images (batch, 3, height, width) in [0, 1] -> tokens in raster order, and their grid.
        fingerprint: Of the network's weights and of which tokens these are.
    """

    at: Callable[[Images], tuple[Tokens, Grid]]
    fingerprint: str

    def see(self, scenes: SceneParameters, size: int) -> tuple[Tokens, Grid]:
        with torch.no_grad():
            return self.at(draw(scenes, size)[0])


@dataclass(frozen=True)
class InWords:
    """No network looks: a cell's token says which share of it each word of `CELL_WORDS` holds of.

    Args:
        cells: Along a side.
    """

    cells: int = 8

    @property
    def fingerprint(self) -> str:
        return f"words/{self.cells}"

    def see(self, scenes: SceneParameters, size: int) -> tuple[Tokens, Grid]:
        instances = draw(scenes, size)[1]
        visible, tables = visible_pixels(instances), []
        for row in range(len(instances)):
            objects = scene_objects(scenes, visible, row, size)
            cells = cell_words(objects, instances[row : row + 1], self.cells)
            tables.append(word_shares(cells, CELL_WORDS))
        return torch.stack(tables), (self.cells, self.cells)
