"""The block against its three equations written out, with the attention map really formed."""

import pytest
import torch
import torch.nn.functional as F
from timm.layers import RotaryEmbeddingCat
from torch import Tensor

from muse_core.config.stage import TRUNK_OPEN, Loss
from muse_core.models.gradient_routes import ROUTINGS
from muse_core.models.synergistic_block import BlockState, SynergisticBlock

WIDTH, HEADS, GRID = 32, 2, (3, 5)
DEPTH = WIDTH // HEADS


def rotary(grid: tuple[int, int] = GRID) -> Tensor:
    return RotaryEmbeddingCat(DEPTH, in_pixels=False, temperature=100.0).get_embed(list(grid))


def block(routing: str) -> SynergisticBlock:
    built = SynergisticBlock(WIDTH, HEADS, 8 / 3, ROUTINGS[routing])
    # Norms start at one, which would hide a missing norm.
    for weight in built.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return built


def state(tokens: int = GRID[0] * GRID[1]) -> BlockState:
    return BlockState(*(torch.randn(2, tokens, WIDTH) for _ in range(3)))


def normed(x: Tensor, gain: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * gain


def heads(x: Tensor) -> Tensor:
    return torch.stack(x.split(DEPTH, dim=-1), dim=1)


def merged(x: Tensor) -> Tensor:
    return torch.cat(list(x.unbind(1)), dim=-1)


def turned(x: Tensor, embedding: Tensor) -> Tensor:
    """Each pair of neighbouring channels, turned by its angle."""
    sine, cosine = embedding.chunk(2, dim=-1)
    even, odd = x[..., ::2], x[..., 1::2]
    swapped = torch.stack([-odd, even], -1).flatten(-2)
    return x * cosine + swapped * sine


def explicit(
    b: SynergisticBlock, s: BlockState, embedding: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(H_{l+1}, S_{l+1}, logits) by the equations of the module's docstring."""
    read = normed(s.hidden, b.topology_norm.weight)
    q = turned(normed(heads(read @ b.query.weight.T), b.query_norm.weight), embedding)
    k = turned(normed(heads(read @ b.key.weight.T), b.key_norm.weight), embedding)
    logits = torch.einsum("bhqd,bhkd->bhqk", q, k) / DEPTH**0.5
    attention = logits.exp() / logits.exp().sum(-1, keepdim=True)
    v_sem = heads(normed(s.hidden, b.semantic_norm.weight) @ b.semantic_value.weight.T)
    values = v_sem
    if b.routing.separate_values:
        values = heads(normed(s.hidden, b.texture_norm.weight) @ b.texture_value.weight.T) + v_sem
    hidden = s.hidden + merged(attention @ values) @ b.output.weight.T
    inner = normed(hidden, b.feedforward_norm.weight)
    f = b.feedforward
    gate = F.silu(F.linear(inner, f.fc1_g.weight, f.fc1_g.bias))
    hidden = hidden + F.linear(
        gate * F.linear(inner, f.fc1_x.weight, f.fc1_x.bias), f.fc2.weight, f.fc2.bias
    )
    return hidden, s.semantic + merged(attention @ v_sem), logits


@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize("trunk_hears", [frozenset(), TRUNK_OPEN, frozenset({Loss.RECONSTRUCTION})])
def test_the_block_computes_its_equations(routing: str, trunk_hears: frozenset[Loss]) -> None:
    """Routing changes gradients, never values."""
    b, s, embedding = block(routing), state(), rotary()
    after, attention = b(s, embedding, trunk_hears, True)
    hidden, semantic, expected = explicit(b, s, embedding)
    torch.testing.assert_close(attention.logits(), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(after.hidden, hidden, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(after.semantic, semantic, atol=1e-4, rtol=1e-4)
    assert after.trunk is s.trunk


def test_the_semantic_stream_is_a_running_sum() -> None:
    b, s = block("orthogonal"), state()
    moved, _ = b(s, rotary(), TRUNK_OPEN, False)
    shifted, _ = b(BlockState(s.hidden, s.semantic + 1, s.trunk), rotary(), TRUNK_OPEN, False)
    torch.testing.assert_close(shifted.semantic, moved.semantic + 1)
    assert torch.equal(shifted.hidden, moved.hidden)


def test_queries_and_keys_are_handed_out_only_when_asked_for_and_change_nothing() -> None:
    b, s = block("orthogonal"), state()
    without, none = b(s, rotary(), TRUNK_OPEN, False)
    with_attention, attention = b(s, rotary(), TRUNK_OPEN, True)
    assert none is None and attention.logits().shape == (2, HEADS, 15, 15)
    assert torch.equal(without.hidden, with_attention.hidden)


def test_rotary_makes_attention_depend_on_relative_position_only() -> None:
    """Equal tokens everywhere: the logit of (i, j) depends on row and column distance alone, and
    really depends on it.
    """
    b, grid = block("orthogonal"), (4, 4)
    same = torch.randn(1, 1, WIDTH).expand(1, 16, WIDTH).contiguous()
    in_steps = RotaryEmbeddingCat(DEPTH, in_pixels=False, temperature=100.0).get_embed(list(grid))
    _, attention = b(BlockState(same, same, same), in_steps, TRUNK_OPEN, True)
    logits = attention.logits()
    by_distance: dict[tuple[int, int], list[float]] = {}
    for i in range(16):
        for j in range(16):
            distance = (i // 4 - j // 4, i % 4 - j % 4)
            by_distance.setdefault(distance, []).append(logits[0, 0, i, j].item())
    assert all(max(values) - min(values) < 1e-3 for values in by_distance.values())
    means = torch.tensor([sum(values) / len(values) for values in by_distance.values()])
    assert means.std() > 1e-2
