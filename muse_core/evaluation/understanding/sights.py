"""Which tokens of a network a language model reads: those it is understood by, its latent, or both
side by side.
"""

from collections.abc import Callable
from typing import Any

import torch

from muse_core.errors import MuseError, chosen
from muse_core.evaluation.feature_extractors import LATENT, FeatureExtractor, Features
from muse_core.losses.topology import Grid
from muse_core.shapes import Images, Tokens
from muse_core.unified.sight import Look

Extractor = FeatureExtractor[Any]
SEMANTIC, OF_LATENT, BOTH = "semantic", "latent", "both"


def _semantic(extractor: Extractor) -> tuple[str, ...]:
    if extractor.segmented == LATENT:
        raise MuseError(f"{extractor.name} has no tokens but its latent")
    return (extractor.segmented,)


def _latent(extractor: Extractor) -> tuple[str, ...]:
    if not extractor.has_latent:
        raise MuseError(f"{extractor.name} has no latent")
    return (LATENT,)


def _both(extractor: Extractor) -> tuple[str, ...]:
    return (*_semantic(extractor), *_latent(extractor))


READ: dict[str, Callable[[Extractor], tuple[str, ...]]] = {
    SEMANTIC: _semantic,
    OF_LATENT: _latent,
    BOTH: _both,
}
"""What is read -> names of the features that are laid side by side."""


def sight_of(extractor: Extractor, read: str) -> Look:
    """A network as a language model sees it.

    Args:
        extractor: The frozen network.
        read: A name of `READ`.

    Raises:
        MuseError: An unknown name, or tokens that this network does not have.
    """
    names = chosen("kind of tokens", read, READ)(extractor)

    def look(images: Images) -> tuple[Tokens, Grid]:
        features = extractor.features(images.to(extractor.device), pixels=False)
        return _side_by_side(features, names)

    return Look(look, f"{extractor.fingerprint}/{read}")


def _side_by_side(features: Features, names: tuple[str, ...]) -> tuple[Tokens, Grid]:
    grids = {name: features.grid[name] for name in names}
    if len(set(grids.values())) > 1:
        told = " and ".join(f"{name} {grid[0]} x {grid[1]}" for name, grid in grids.items())
        raise MuseError(f"{told} tokens cannot lie side by side: read one of them.")
    return torch.cat([features.tokens[name] for name in names], -1), grids[names[0]]
