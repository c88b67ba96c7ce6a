"""Quantisers against loops over codes, and sums made by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from muse_core.baselines.quantisers import (
    COMMITMENT,
    SharedIndex,
    SubCodebooks,
    codebook_loss,
    codebook_use,
    straight_through,
)
from muse_core.errors import MuseError


def unit(vector: Tensor) -> Tensor:
    return vector / vector.norm()


def distance(first: Tensor, second: Tensor) -> float:
    return (unit(first) - unit(second)).square().sum().item()


def nearest_pair(quantiser: SharedIndex, semantic: Tensor, pixel: Tensor) -> int:
    """Of one token, by a loop over codes."""
    sums = [
        distance(semantic, quantiser.semantic[k]) + distance(pixel, quantiser.pixel[k])
        for k in range(len(quantiser.pixel))
    ]
    return sums.index(min(sums))


def shared_index(scales=(1, 2, 4), codes: int = 11) -> SharedIndex:
    """Its codes are not of unit length: training does not keep them there."""
    quantiser = SharedIndex(codes, 3, 2, scales)
    with torch.no_grad():
        for book in (quantiser.semantic, quantiser.pixel):
            book.mul_(torch.rand(codes, 1) * 3 + 0.2)
    return quantiser


def test_the_shared_index_is_the_least_sum_of_both_distances() -> None:
    quantiser, semantic, pixel = shared_index(), torch.randn(4, 9, 3), torch.randn(4, 9, 2)
    found = quantiser.nearest(semantic, pixel)
    alone = {"semantic": 0, "pixel": 0}
    for image in range(4):
        for token in range(9):
            pair = semantic[image, token], pixel[image, token]
            assert found[image, token] == nearest_pair(quantiser, *pair)
            for point, name in zip(pair, alone, strict=True):
                apart = [distance(point, code) for code in getattr(quantiser, name)]
                alone[name] += apart.index(min(apart)) != found[image, token]
    assert min(alone.values()) > 5, "each codebook alone would have chosen otherwise"


def test_residual_scales_add_up_as_by_hand() -> None:
    quantiser, semantic, pixel = shared_index(), torch.randn(2, 3, 4, 4), torch.randn(2, 2, 4, 4)
    found = quantiser(semantic, pixel)
    together = torch.cat([semantic, pixel], 1)
    rest, total, codes, losses = together.clone(), torch.zeros_like(together), [], []
    for scale in (1, 2, 4):
        size = 4 // scale
        grown, apart = torch.zeros(2, 5, scale, scale), ([], [])
        for image in range(2):
            for row in range(scale):
                for column in range(scale):
                    rows = slice(row * size, row * size + size)
                    columns = slice(column * size, column * size + size)
                    point = rest[image, :, rows, columns].mean((1, 2))
                    halves = unit(point[:3]), unit(point[3:])
                    index = nearest_pair(quantiser, *halves)
                    codes.append((image, index))
                    pair = unit(quantiser.semantic[index]), unit(quantiser.pixel[index])
                    grown[image, :, row, column] = torch.cat(pair)
                    for at, (half, code) in enumerate(zip(halves, pair, strict=True)):
                        apart[at].append((half - code).square().mean())
        if scale < 4:
            grown = F.interpolate(grown, (4, 4), mode="bicubic")
        total, rest = total + grown, rest - grown
        losses += [(1 + COMMITMENT) * torch.stack(each).mean() for each in apart]
    torch.testing.assert_close(found.latent, total)
    assert found.codes.shape == (2, 1 + 4 + 16, 1)
    for image in range(2):
        assert found.codes[image, :, 0].tolist() == [k for at, k in codes if at == image]
    torch.testing.assert_close(found.loss, 2 * torch.stack(losses).mean())


def test_a_latent_of_another_grid_has_no_scale() -> None:
    with pytest.raises(MuseError, match=r"A latent of 4 x 6 tokens has no scale among 1, 2, 4"):
        shared_index()(torch.randn(1, 3, 4, 6), torch.randn(1, 2, 4, 6))


def test_sub_codebooks_quantise_each_slice_alone() -> None:
    quantiser, latent = SubCodebooks(3, 5, 2), torch.randn(2, 6, 3, 4)
    found = quantiser(latent)
    assert found.codes.shape == (2, 12, 3)
    losses = []
    for part, book in enumerate(quantiser.codebooks):
        channels = slice(2 * part, 2 * part + 2)
        alone = SubCodebooks(1, 5, 2)
        alone.codebooks[0] = book
        one = alone(latent[:, channels])
        torch.testing.assert_close(found.latent[:, channels], one.latent)
        assert torch.equal(found.codes[..., part], one.codes[..., 0])
        losses.append(one.loss)
        for image in range(2):
            for place in range(12):
                point = latent[image, channels, place // 4, place % 4]
                apart = [distance(point, code) for code in book]
                best = apart.index(min(apart))
                assert best == found.codes[image, place, part]
                chosen = found.latent[image, channels, place // 4, place % 4]
                torch.testing.assert_close(chosen, unit(book[best]))
    torch.testing.assert_close(found.loss, torch.stack(losses).mean())


def test_the_gradient_passes_straight_through() -> None:
    points, chosen = (torch.randn(3, 4, requires_grad=True) for _ in range(2))
    found, sent = straight_through(points, chosen), torch.randn(3, 4)
    torch.testing.assert_close(found, chosen)
    found.backward(sent)
    assert points.grad is not None and torch.equal(points.grad, sent)
    assert chosen.grad is None


def test_quantised_latents_have_the_gradient_of_what_was_quantised() -> None:
    semantic, pixel = torch.randn(2, 3, 4, 4), torch.randn(2, 2, 4, 4)
    sent, quantiser = torch.randn(2, 5, 4, 4), SharedIndex(7, 3, 2, (4,))
    quantiser(semantic.requires_grad_(), pixel.requires_grad_()).latent.backward(sent)
    halves = F.normalize(semantic, dim=1), F.normalize(pixel, dim=1)
    expected = torch.autograd.grad(torch.cat(halves, 1), (semantic, pixel), sent)
    torch.testing.assert_close((semantic.grad, pixel.grad), expected)
    assert all(book.grad is None for book in quantiser.parameters())
    latent, sub = torch.randn(2, 4, 3, 3, requires_grad=True), SubCodebooks(2, 5, 2)
    sent = torch.randn_like(latent)
    sub(latent).latent.backward(sent)
    normed = torch.cat([F.normalize(part, dim=1) for part in latent.chunk(2, 1)], 1)
    (expected,) = torch.autograd.grad(normed, latent, sent)
    torch.testing.assert_close(latent.grad, expected)
    assert all(book.grad is None for book in sub.parameters())


def test_codes_go_to_points_and_points_a_quarter_as_fast_to_codes() -> None:
    points, chosen = (torch.randn(5, 2, requires_grad=True) for _ in range(2))
    codebook_loss(points, chosen).backward()
    apart = 2 * (chosen - points).detach() / 10
    torch.testing.assert_close(chosen.grad, apart)
    torch.testing.assert_close(points.grad, -0.25 * apart)


def test_the_loss_of_both_quantisers_reaches_codes_and_points() -> None:
    for quantiser, widths in ((shared_index(), (3, 2)), (SubCodebooks(2, 5, 2), (4,))):
        given = [torch.randn(2, width, 4, 4, requires_grad=True) for width in widths]
        quantiser(*given).loss.backward()
        for reached in [*given, *quantiser.parameters()]:
            assert reached.grad is not None and reached.grad.any()


@pytest.mark.parametrize("codes", [0, 1])
def test_a_codebook_of_one_code_is_refused(codes) -> None:
    said = f"A codebook of {codes} codes says nothing: give at least 2"
    with pytest.raises(MuseError, match=said):
        SubCodebooks(2, codes, 4)
    with pytest.raises(MuseError, match=said):
        SharedIndex(codes, 4, 2, (1, 2))


def test_perplexity_counts_the_codes_that_are_used_alike() -> None:
    alike = torch.arange(8).repeat(5)[:, None, None]
    found = codebook_use(alike, 8)
    assert (found.used, found.tokens) == (1.0, 40)
    assert found.perplexity == pytest.approx(8) and found.warning == ""
    one = codebook_use(torch.full((5, 8, 1), 3), 8)
    assert one.used == 1 / 8 and one.perplexity == pytest.approx(1)
    half = codebook_use(alike % 4, 8)
    assert half.used == 0.5 and half.perplexity == pytest.approx(4)
    both = codebook_use(torch.cat([alike, torch.zeros_like(alike)], -1), 8)
    assert both.perplexity == pytest.approx((8 + 1) / 2), "the mean over codebooks"
    assert both.least == pytest.approx(1)
    many = torch.arange(100).repeat(5)[:, None, None]
    one_of_two = codebook_use(torch.cat([many, torch.zeros_like(many)], -1), 100)
    assert "collapsed: a perplexity of 1.0" in one_of_two.warning


def test_a_collapsed_codebook_and_one_too_large_are_told() -> None:
    collapsed = codebook_use(torch.full((5, 20, 1), 3), 50)
    assert collapsed.warning.startswith(
        "The codebook has collapsed: a perplexity of 1.0 of 50 codes;"
    )
    large = codebook_use(torch.arange(8)[:, None, None], 1024)
    assert "1,024 codes was asked for 8 tokens alone" in large.warning
