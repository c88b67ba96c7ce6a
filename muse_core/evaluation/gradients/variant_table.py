"""The attentions of `block_variants`, each measured on a small random connector: isolation, size
and time.
"""

import time
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from muse_core.config.stage import TRUNK_CLOSED, TRUNK_OPEN, Loss
from muse_core.models.block_variants import VARIANTS
from muse_core.models.connector import Connector
from muse_core.models.gradient_routes import ORTHOGONAL, may_reach
from muse_core.models.synergistic_block import SynergisticBlock
from muse_core.models.weight_groups import group_of
from muse_core.results.measurements import VariantRow

WIDTH, HEADS, BLOCKS, GRID, IMAGES = 96, 4, 3, (8, 8), 16
REPEATS = 15


def variant_rows(
    variants: Mapping[str, type[SynergisticBlock]] = VARIANTS,
) -> list[VariantRow]:
    """A row a variant, times against the first; a few seconds on one core. Random state is left as
    found.
    """
    with torch.random.fork_rng():
        connectors = {name: _connector(block) for name, block in variants.items()}
        seconds = _seconds(connectors)
        plain = next(iter(seconds.values()))
        return [
            _row(name, variants[name].words, connector, seconds[name] / plain)
            for name, connector in connectors.items()
        ]


def _connector(block: type[SynergisticBlock]) -> Connector:
    torch.manual_seed(0)
    return Connector(48, 1, WIDTH, HEADS, BLOCKS, 8 / 3, GRID[0], ORTHOGONAL, block)


def _row(name: str, words: str, connector: Connector, ratio: float) -> VariantRow:
    closed = [found for trunk in (TRUNK_CLOSED, TRUNK_OPEN) for found in _closed(connector, trunk)]
    return VariantRow(
        name=name,
        words=words,
        parameters=sum(weight.numel() for weight in connector.blocks[0].parameters()),
        forbidden=max(closed),
        pairs=len(closed),
        time=ratio,
    )


def _closed(connector: Connector, trunk_hears: frozenset[Loss]) -> Iterator[float]:
    """The largest absolute gradient of every (loss, weight) pair that the routing table closes."""
    names, weights = zip(*connector.named_parameters(), strict=True)
    for loss, value in _losses(connector, trunk_hears).items():
        found = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
        for name, gradient in zip(names, found, strict=True):
            if not may_reach(loss, group_of(f"connector.{name}"), trunk_hears, True):
                yield 0.0 if gradient is None else gradient.abs().max().item()


def _losses(connector: Connector, trunk_hears: frozenset[Loss]) -> dict[Loss, Tensor]:
    """A scalar of what each loss looks at."""
    tokens = torch.randn(IMAGES, GRID[0] * GRID[1], 48)
    output = connector(tokens, GRID, trunk_hears, with_attention=True)
    maps = [layer.logits().log_softmax(-1).square().mean() for layer in output.attention]
    return {
        Loss.TOPOLOGY: torch.stack(maps).sum(),
        Loss.ANCHOR: output.semantic.mean(1).square().mean(),
        Loss.RECONSTRUCTION: output.hidden.square().mean(),
    }


def _seconds(connectors: dict[str, Connector]) -> dict[str, float]:
    """Shortest time of a forward and backward pass after a first one; variants take turns, so that
    a busy machine slows all alike.
    """
    taken: dict[str, list[float]] = {name: [] for name in connectors}
    for _ in range(REPEATS + 1):
        for name, connector in connectors.items():
            began = time.perf_counter()
            torch.stack(list(_losses(connector, TRUNK_OPEN).values())).sum().backward()
            taken[name].append(time.perf_counter() - began)
    return {name: min(values[1:]) for name, values in taken.items()}
