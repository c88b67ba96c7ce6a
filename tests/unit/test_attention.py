"""A layer as queries and keys against the map it stands for."""

import torch

from muse_core.attention import QueryKeys


def layer(tokens: int = 7, dtype: torch.dtype = torch.float32) -> QueryKeys:
    return QueryKeys(
        torch.randn(2, 3, tokens, 4, dtype=dtype), torch.randn(2, 3, tokens, 4, dtype=dtype), 0.5
    )


def test_rows_are_rows_of_the_whole_map() -> None:
    found = layer()
    expected = torch.einsum("bhqd,bhkd->bhqk", found.queries, found.keys) * 0.5
    torch.testing.assert_close(found.logits(), expected)
    torch.testing.assert_close(
        found.probabilities(slice(2, 5)), torch.softmax(expected, -1)[:, :, 2:5]
    )
    torch.testing.assert_close(found.of_images(slice(1, 2)).logits(), expected[1:])
    assert (found.num_heads, found.num_tokens) == (3, 7)


def test_without_prefix_drops_tokens_on_both_axes_and_renormalises() -> None:
    found = layer()
    patches = found.without_prefix(3).probabilities()
    assert patches.shape == (2, 3, 4, 4)
    for query in range(4):
        row = found.probabilities()[0, 1, 3 + query, 3:]
        torch.testing.assert_close(patches[0, 1, query], row / row.sum())


def test_half_precision_becomes_single_before_the_product_and_double_stays() -> None:
    half = layer(dtype=torch.bfloat16)
    single = QueryKeys(half.queries.float(), half.keys.float(), half.scale)
    assert (
        torch.equal(half.probabilities(), single.probabilities())
        and half.logits().dtype == torch.bfloat16
    )
    assert layer(dtype=torch.float64).probabilities().dtype == torch.float64


def test_detached_it_carries_no_gradient() -> None:
    found = layer()
    found.queries.requires_grad_()
    assert found.logits().requires_grad and not found.detach().logits().requires_grad
