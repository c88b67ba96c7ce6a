"""Paired differences: their sign, their verdict in the metric's own direction, and that pairing
helps.
"""

import math

import pytest
import torch
from scipy.stats import ttest_rel

from muse_core.evaluation.comparisons import compare, verdicts
from muse_core.evaluation.evaluate import Evaluated
from muse_core.evaluation.intervals import mean_interval
from muse_core.evaluation.understanding.segmentation import mean_iou
from muse_core.results.measurements import Comparison, Measurement, Row

N = 200


def row(name: str, confusion: torch.Tensor | None = None, **per_image: torch.Tensor) -> Evaluated:
    """A row that measured these values."""
    measurements = {
        metric: Measurement(values.double().nanmean().item())
        for metric, values in per_image.items()
    }
    tensors = {f"per_image/{metric}": values for metric, values in per_image.items()}
    if confusion is not None:
        tensors["confusion"] = confusion
        measurements["miou"] = Measurement(mean_iou(confusion))
    return Evaluated(Row(name, "", measurements), tensors)


def confusions(right: float) -> torch.Tensor:
    """Of 2 x 2 classes, 100 pixels an image; ``right`` of them, give or take."""
    hits = (100 * (right + 0.05 * torch.randn(N))).clamp(0, 100).long() // 2
    wrong = 50 - hits
    return torch.stack([torch.stack([hits, wrong], -1), torch.stack([wrong, hits], -1)], 1)


@pytest.mark.parametrize(
    ("metric", "more"),
    [("psnr", "better"), ("perceptual_judge", "worse"), ("attention_kl", "worse")],
)
def test_the_sign_is_a_minus_b_and_the_verdict_the_metrics_own(metric, more) -> None:
    low, less = torch.randn(N), "worse" if more == "better" else "better"
    high = low + 0.5 + 0.1 * torch.randn(N)
    (up,), (down,) = (
        compare(row("a", **{metric: one}), row("b", **{metric: other}), [metric])
        for one, other in ((high, low), (low, high))
    )
    assert up.difference == pytest.approx(0.5, abs=0.05) and up.low <= up.difference <= up.high
    assert (up.verdict, down.verdict) == (more, less) and down.difference == pytest.approx(
        -up.difference
    )
    assert (up.metric, up.a, up.b) == (metric, "a", "b")


def test_the_interval_is_that_of_a_paired_t_test_and_narrower_than_an_unpaired_one() -> None:
    one = 20 + 3 * torch.randn(N)
    other = one + 0.3 * torch.randn(N)
    (found,) = compare(row("a", psnr=one), row("b", psnr=other), ["psnr"])
    expected = ttest_rel(one, other).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.01)
    alone = mean_interval(one.numpy())
    assert found.high - found.low < 0.2 * (alone[1] - alone[0])


def test_identical_rows_do_not_differ() -> None:
    given = dict(
        psnr=torch.randn(N),
        linear_probe=torch.randint(0, 2, (N,)).float(),
        confusion=confusions(0.7),
    )
    found = compare(row("a", **given), row("b", **given), ["psnr", "linear_probe", "miou"])
    assert [(each.difference, each.low, each.high, each.verdict) for each in found] == [
        (0, 0, 0, "no difference")
    ] * 3


def test_noise_is_no_difference() -> None:
    (found,) = compare(row("a", psnr=torch.randn(N)), row("b", psnr=torch.randn(N)), ["psnr"])
    assert found.verdict == "no difference" and found.low < 0 < found.high


def test_miou_is_compared_on_sums_of_matrices() -> None:
    good, poor = confusions(0.9), confusions(0.6)
    (found,) = compare(row("a", good), row("b", poor), ["miou"])
    assert found.difference == pytest.approx(mean_iou(good) - mean_iou(poor))
    assert found.low < found.difference < found.high and found.verdict == "better"


def test_a_metric_that_either_row_lacks_is_left_out() -> None:
    full, bare = row("a", confusions(0.7), psnr=torch.randn(N)), row("b", ssim=torch.randn(N))
    assert compare(full, bare, ["psnr", "ssim", "miou", "fd_judge", "lpips"]) == []


def test_the_order_asked_for_is_kept() -> None:
    given = dict(psnr=torch.randn(N), ssim=torch.randn(N), confusion=confusions(0.7))
    names = ["miou", "ssim", "psnr"]
    assert [each.metric for each in compare(row("a", **given), row("b", **given), names)] == names


def test_images_without_a_value_are_left_out_of_the_interval() -> None:
    one = torch.randn(N)
    one[::3] = math.nan
    (found,) = compare(
        row("a", attention_auc=one), row("b", attention_auc=one - 0.2), ["attention_auc"]
    )
    assert (found.difference, found.low, found.high) == pytest.approx((0.2, 0.2, 0.2), abs=1e-6)


def test_a_single_image_is_not_compared() -> None:
    assert compare(row("a", psnr=torch.ones(1)), row("b", psnr=torch.zeros(1)), ["psnr"]) == []


def test_the_same_seed_gives_the_same_interval() -> None:
    pair = (
        row("a", confusions(0.8), psnr=torch.randn(N)),
        row("b", confusions(0.7), psnr=torch.randn(N)),
    )
    assert compare(*pair, ["psnr", "miou"], seed=2) == compare(*pair, ["psnr", "miou"], seed=2)
    assert compare(*pair, ["psnr"], seed=2) != compare(*pair, ["psnr"], seed=3)


def test_verdicts_say_better_worse_and_not_told_apart() -> None:
    given = [("psnr", 1.0, 0.5, 1.5), ("miou", -0.02, -0.03, -0.01), ("zero_shot", 0.0, -0.1, 0.1)]
    compared = [Comparison(metric, "MUSE", "shared", *ends) for metric, *ends in given]
    (sentence,) = verdicts(compared)
    assert "Against shared" in sentence
    assert "better in PSNR; worse in mIoU; not told apart in zero-shot" in sentence
