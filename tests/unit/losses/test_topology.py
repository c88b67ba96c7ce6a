"""Psi and the divergence, against scipy, torch's own resizing, and a map whose orientation cannot
be mistaken.
"""

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from scipy.stats import entropy
from torch import Tensor

from muse_core.errors import MuseError
from muse_core.losses.topology import (
    attention_divergence,
    group_heads,
    resize_attention,
    teacher_targets,
    topology_loss,
)

GRIDS = [((6, 6), (4, 4)), ((4, 4), (6, 6)), ((5, 3), (4, 7)), ((3, 8), (6, 2)), ((12, 12), (8, 8))]
Grid = tuple[int, int]


def random_maps(grid: Grid, batch: int = 2, heads: int = 3) -> Tensor:
    tokens = grid[0] * grid[1]
    return torch.softmax(2 * torch.randn(batch, heads, tokens, tokens), dim=-1)


def interpolated_twice(attention: Tensor, source: Grid, target: Grid) -> Tensor:
    """Psi by two calls of torch's 4-D resizing: the query grid first, then the key grid."""
    options = dict(mode="bilinear", align_corners=False, antialias=True)
    batch, heads = attention.shape[:2]
    rows = rearrange(
        attention, "b n (qh qw) (kh kw) -> (b n) (kh kw) qh qw", qh=source[0], kh=source[0]
    )
    rows = F.interpolate(rows, target, **options)
    columns = rearrange(rows, "bn (kh kw) qh qw -> bn (qh qw) kh kw", kh=source[0])
    columns = F.interpolate(columns, target, **options)
    maps = rearrange(columns, "(b n) q kh kw -> b n q (kh kw)", b=batch, n=heads)
    return maps / maps.sum(-1, keepdim=True)


def permuted(attention: Tensor, order: Tensor) -> Tensor:
    return attention[:, :, order][:, :, :, order]


def symmetry(name: str, grid: Grid) -> Tensor:
    """New place -> old place of each token, for a symmetry of the grid."""
    places = torch.arange(grid[0] * grid[1]).view(grid)
    turned = {
        "upside down": places.flip(0),
        "left right": places.flip(1),
        "turned": places.flip(0, 1),
    }
    return (turned | {"transposed": places.T})[name].flatten()


def test_at_equal_size_psi_is_the_identity_bit_for_bit() -> None:
    for grid in ((4, 4), (3, 5)):
        maps = random_maps(grid)
        assert torch.equal(resize_attention(maps, grid, grid), maps)


@pytest.mark.parametrize(("source", "target"), GRIDS)
def test_psi_equals_a_double_interpolate(source: Grid, target: Grid) -> None:
    maps = random_maps(source)
    expected = interpolated_twice(maps.double(), source, target)
    torch.testing.assert_close(
        resize_attention(maps, source, target).double(), expected, atol=1e-6, rtol=0
    )


def test_a_grid_one_column_wide_is_resized_as_one_row_is() -> None:
    """Where torch's own antialiased resizing goes wrong."""
    maps = random_maps((5, 1))
    torch.testing.assert_close(
        resize_attention(maps, (5, 1), (3, 1)), resize_attention(maps, (1, 5), (1, 3))
    )


@pytest.mark.parametrize(("source", "target"), GRIDS)
def test_rows_are_probabilities(source: Grid, target: Grid) -> None:
    resized = resize_attention(random_maps(source), source, target)
    tokens = target[0] * target[1]
    assert resized.shape == (2, 3, tokens, tokens) and (resized >= 0).all()
    torch.testing.assert_close(resized.sum(-1), torch.ones(2, 3, tokens))


@pytest.mark.parametrize("name", ["upside down", "left right", "turned", "transposed"])
@pytest.mark.parametrize(("source", "target"), GRIDS)
def test_a_symmetry_of_the_grid_commutes_with_psi(source: Grid, target: Grid, name: str) -> None:
    maps = random_maps(source)
    after = permuted(resize_attention(maps, source, target), symmetry(name, target))
    flip = name == "transposed"
    shapes = (source[::-1], target[::-1]) if flip else (source, target)
    before = resize_attention(permuted(maps, symmetry(name, source)), *shapes)
    torch.testing.assert_close(after, before, atol=1e-6, rtol=1e-5)


def test_a_query_stays_a_query() -> None:
    """Everyone looks at the top left corner: that column stays bright, and no row does."""
    maps = torch.full((1, 1, 36, 36), 1e-3)
    maps[..., 0] = 1.0
    maps = maps / maps.sum(-1, keepdim=True)
    resized = resize_attention(maps, (6, 6), (3, 3))[0, 0]
    torch.testing.assert_close(resized[:, 0], resized[0, 0].expand(9))
    assert (resized[:, 0] > 20 * resized[:, 8]).all()
    assert not torch.allclose(resized, resized.T, atol=0.1)


def test_one_planted_pair_lands_where_it_should() -> None:
    """Query (row 0, column 3) of 4 x 4 looks at key (row 3, column 0); on 2 x 2 that is query 1 and
    key 2.
    """
    maps = torch.full((1, 1, 16, 16), 1e-4)
    maps[0, 0, 3, 12] = 1.0
    resized = resize_attention(maps, (4, 4), (2, 2))[0, 0]
    assert resized[1].argmax() == 2 and resized[1, 2] > 0.9
    assert resized[2, 1] < 0.3


@pytest.mark.parametrize("heads", [1, 2])
def test_a_student_equal_to_its_teacher_has_no_divergence_and_no_gradient(heads: int) -> None:
    logits = torch.randn(2, heads, 9, 9, requires_grad=True)
    loss = topology_loss([torch.softmax(logits.detach(), -1)], [logits])
    loss.backward()
    assert abs(loss.item()) < 1e-6
    assert logits.grad.abs().max() < 1e-7


def test_the_divergence_equals_scipys() -> None:
    teacher, student = random_maps((3, 3)), torch.randn(2, 3, 9, 9)
    expected = entropy(
        teacher.double().numpy(), torch.softmax(student.double(), -1).numpy(), axis=-1
    )
    torch.testing.assert_close(
        attention_divergence(teacher, student).double(),
        torch.from_numpy(expected),
        atol=1e-5,
        rtol=1e-5,
    )


def test_the_loss_is_the_mean_over_layers_heads_queries_and_images() -> None:
    teachers, students = (
        [random_maps((2, 2)) for _ in range(3)],
        [torch.randn(2, 3, 4, 4) for _ in range(3)],
    )
    one_by_one = [
        entropy(t[b, h, q].double().numpy(), torch.softmax(s[b, h, q].double(), -1).numpy())
        for t, s in zip(teachers, students, strict=True)
        for b in range(2)
        for h in range(3)
        for q in range(4)
    ]
    assert topology_loss(teachers, students).item() == pytest.approx(
        sum(one_by_one) / len(one_by_one), rel=1e-5
    )


def test_a_uniform_student_costs_log_n_minus_the_teachers_entropy() -> None:
    teacher = random_maps((4, 4))
    expected = torch.log(torch.tensor(16.0)) - torch.from_numpy(entropy(teacher.numpy(), axis=-1))
    torch.testing.assert_close(
        attention_divergence(teacher, torch.zeros(2, 3, 16, 16)), expected, atol=1e-5, rtol=1e-4
    )


def test_it_is_the_teacher_that_weighs_the_error() -> None:
    """KL(teacher || student) of a one-hot teacher is -log of the student's share there: log 4; the
    reverse is infinite.
    """
    teacher = torch.zeros(1, 1, 4, 4)
    teacher[..., 2] = 1.0
    divergence = attention_divergence(teacher, torch.zeros(1, 1, 4, 4))
    torch.testing.assert_close(divergence, torch.full((1, 1, 4), 1.3862944))


def test_zeros_of_the_teacher_are_no_nan_in_loss_or_gradient() -> None:
    teacher, logits = torch.eye(4)[None, None], torch.randn(1, 1, 4, 4, requires_grad=True)
    loss = topology_loss([teacher], [logits])
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


def test_half_precision_logits_are_compared_in_single() -> None:
    teacher, logits = random_maps((4, 4)), torch.randn(2, 3, 16, 16).bfloat16()
    assert attention_divergence(teacher, logits).dtype == torch.float32
    torch.testing.assert_close(
        attention_divergence(teacher, logits), attention_divergence(teacher, logits.float())
    )


def test_teacher_heads_are_averaged_in_consecutive_groups() -> None:
    maps = random_maps((2, 2), heads=6)
    grouped = group_heads(maps, 2)
    torch.testing.assert_close(grouped[:, 0], (maps[:, 0] + maps[:, 1] + maps[:, 2]) / 3)
    torch.testing.assert_close(grouped[:, 1], (maps[:, 3] + maps[:, 4] + maps[:, 5]) / 3)


def test_heads_that_do_not_divide_are_a_sentence() -> None:
    with pytest.raises(MuseError, match="teacher's 6 heads do not divide into the student's 4"):
        group_heads(random_maps((2, 2), heads=6), 4)


def test_targets_are_grouped_and_resized() -> None:
    maps = [random_maps((6, 6), heads=4) for _ in range(2)]
    targets = teacher_targets(maps, (6, 6), (4, 4), 2)
    for target, teacher in zip(targets, maps, strict=True):
        pairs = rearrange(teacher, "b (heads pair) q k -> b heads pair q k", pair=2).mean(2)
        torch.testing.assert_close(
            target, interpolated_twice(pairs, (6, 6), (4, 4)), atol=1e-6, rtol=1e-5
        )


def test_another_number_of_layers_is_a_sentence() -> None:
    with pytest.raises(MuseError, match="3 teacher layers cannot teach 2 student blocks"):
        topology_loss([random_maps((2, 2))] * 3, [torch.randn(2, 3, 4, 4)] * 2)
