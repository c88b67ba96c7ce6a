"""The attentions of `attention_variants`, each measured on a small random connector: isolation,
size and time.
"""

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from muse_core.config.stage import TRUNK_CLOSED, TRUNK_OPEN, Loss
from muse_core.models.block_variants import VARIANTS, AttentionVariant
from muse_core.models.connector import Connector
from muse_core.models.gradient_routes import ORTHOGONAL, may_reach
from muse_core.models.weight_groups import group_of
from muse_core.results.measurements import VariantRow

WIDTH, HEADS, BLOCKS, GRID, IMAGES = 96, 4, 3, (8, 8), 16
REPEATS = 15


def variant_rows() -> list[VariantRow]:
    """A row a variant, the plain block first; a few seconds on one core. Random state is left as
    found.
    """
    with torch.random.fork_rng():
        seconds = _seconds()
        plain = seconds[next(iter(VARIANTS))]
        return [_row(variant, seconds[name] / plain) for name, variant in VARIANTS.items()]


def _row(variant: AttentionVariant, ratio: float) -> VariantRow:
    connector = _connector(variant)
    found = list(_forbidden(connector))
    return VariantRow(
        name=variant.name,
        words=variant.words,
        parameters=sum(weight.numel() for weight in connector.blocks[0].parameters()),
        forbidden=max(found),
        pairs=len(found),
        time=ratio,
    )


def _forbidden(connector: Connector) -> Iterator[float]:
    """The largest absolute gradient of every (task, weight) pair that the table closes."""
    for trunk_hears in (TRUNK_CLOSED, TRUNK_OPEN):
        for task, loss in _losses(connector, trunk_hears).items():
            gradients = torch.autograd.grad(
                loss, list(connector.parameters()), retain_graph=True, allow_unused=True
            )
            for (name, _), gradient in zip(connector.named_parameters(), gradients, strict=True):
                if not may_reach(
                    task, group_of(f"connector.{name}"), trunk_hears, trains_backbone=True
                ):
                    yield 0.0 if gradient is None else gradient.abs().max().item()


def _losses(connector: Connector, trunk_hears: frozenset[Loss]) -> dict[Loss, Tensor]:
    """A scalar of what each task looks at."""
    output = connector(
        torch.randn(IMAGES, GRID[0] * GRID[1], 48), GRID, trunk_hears, with_attention=True
    )
    maps = torch.stack(
        [layer.logits().log_softmax(-1).square().mean() for layer in output.attention]
    ).sum()
    return {
        Loss.TOPOLOGY: maps,
        Loss.ANCHOR: output.semantic.mean(1).square().mean(),
        Loss.RECONSTRUCTION: output.hidden.square().mean(),
    }


def _seconds() -> dict[str, float]:
    """Shortest time of a forward and backward pass after a first one; variants take turns, forth
    and back, so that a busy machine slows all alike."""
    connectors = {name: _connector(variant) for name, variant in VARIANTS.items()}
    taken: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for turn in range(REPEATS + 1):
        for name in list(connectors)[:: 1 if turn % 2 else -1]:
            began = time.perf_counter()
            torch.stack(list(_losses(connectors[name], TRUNK_OPEN).values())).sum().backward()
            taken[name].append(time.perf_counter() - began)
    return {name: min(values[1:]) for name, values in taken.items()}


def _connector(variant: AttentionVariant) -> Connector:
    torch.manual_seed(0)
    return Connector(48, 1, WIDTH, HEADS, BLOCKS, 8 / 3, GRID[0], ORTHOGONAL, variant)
