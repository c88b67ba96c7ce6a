"""mIoU by hand, by torchmetrics and by scikit-learn; the probe on planted, random and
real tokens.
"""

import re
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, jaccard_score
from torchmetrics.functional.classification import multiclass_jaccard_index

from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.evaluation.understanding import segmentation
from muse_core.evaluation.understanding.segmentation import (
    IN_BATCHES,
    WHOLE,
    confusions,
    iou,
    mean_iou,
    predict,
    segmentation_probe,
)

GRID, CLASSES = (4, 4), 3
probed = partial(segmentation_probe, steps=60)


def planted(images: int = 24, noise: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens (images, 16, 6) that say the class of their 8 x 8 pixels, and masks
    (images, 32, 32).
    """
    cells = torch.randint(0, CLASSES, (images, *GRID))
    tokens = rearrange(F.one_hot(cells, 6).float(), "b h w c -> b (h w) c")
    return tokens + noise * torch.randn_like(tokens), cells.repeat_interleave(
        8, 1
    ).repeat_interleave(8, 2)


def by_images(predicted: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """A confusion matrix an image from a head that says exactly ``predicted``: tokens are one-hot
    pixels.
    """
    tokens = rearrange(F.one_hot(predicted, CLASSES).float(), "b h w c -> b (h w) c")
    return confusions(
        tokens, masks, tuple(masks.shape[-2:]), torch.eye(CLASSES), torch.zeros(CLASSES)
    )


def test_a_confusion_matrix_of_known_ious() -> None:
    """Rows are truth. Class 0: 6 / (8 + 7 - 6); class 1: 3 / (5 + 5 - 3); class 2: 4 /
    (5 + 6 - 4).
    """
    matrix = torch.tensor([[6, 1, 1], [1, 3, 1], [0, 1, 4]])
    assert iou(matrix).tolist() == pytest.approx([6 / 9, 3 / 7, 4 / 7])
    assert mean_iou(matrix[None]) == pytest.approx((6 / 9 + 3 / 7 + 4 / 7) / 3)


def test_a_class_that_never_occurs_is_left_out_and_one_only_predicted_is_not() -> None:
    absent = torch.tensor([[5, 0, 0], [0, 5, 0], [0, 0, 0]])
    assert iou(absent)[2].isnan() and mean_iou(absent[None]) == 1
    only_predicted = torch.tensor([[4, 0, 1], [0, 5, 0], [0, 0, 0]])
    assert iou(only_predicted).tolist() == pytest.approx([0.8, 1, 0])


def test_rows_are_the_truth() -> None:
    masks, predicted = torch.zeros(1, 4, 4, dtype=torch.long), torch.full((1, 4, 4), 2)
    assert by_images(predicted, masks)[0, 0, 2] == 16


@pytest.mark.parametrize("real", [False, True], ids=["random", "scenes"])
def test_miou_is_torchmetrics_and_scikit_learns(real) -> None:
    masks = torch.randint(0, CLASSES, (40, 12, 12))
    if real:
        masks = Scenes("test", 32).first(40).class_masks.clamp(max=CLASSES - 1)
    predicted = torch.where(
        torch.rand(masks.shape) < 0.7, masks, torch.randint(0, CLASSES, masks.shape)
    )
    masks = torch.where(torch.rand(masks.shape) < 0.1, 255, masks)
    found, known = by_images(predicted, masks), masks != 255
    assert np.array_equal(found.sum(0), confusion_matrix(masks[known], predicted[known]))
    of_torchmetrics = multiclass_jaccard_index(
        predicted, masks, CLASSES, average="macro", ignore_index=255
    )
    assert mean_iou(found) == pytest.approx(of_torchmetrics.item(), abs=1e-6)
    assert mean_iou(found) == pytest.approx(
        jaccard_score(masks[known], predicted[known], average="macro"), abs=1e-9
    )


def test_what_is_predicted_on_void_pixels_changes_nothing() -> None:
    masks, predicted = torch.randint(0, CLASSES, (2, 4, 8, 8))
    masks[:, :3] = 255
    other = torch.where(masks == 255, (predicted + 1) % CLASSES, predicted)
    assert torch.equal(by_images(predicted, masks), by_images(other, masks))
    assert by_images(predicted, masks).sum() == (masks != 255).sum()


def test_tokens_that_say_the_class_are_read() -> None:
    (train, train_masks), (test, test_masks) = planted(), planted()
    found = probed(train, train_masks, test, test_masks, GRID, CLASSES)
    assert mean_iou(found.confusion) > 0.85
    assert (
        found.confusion.shape == (24, CLASSES, CLASSES) and "24 training images" in found.protocol
    )


def test_a_shorter_training_is_another_head_and_says_so() -> None:
    train, masks = planted(noise=1.0)
    short, long = (
        probed(train, masks, train, masks, GRID, CLASSES, steps=steps) for steps in (3, 150)
    )
    assert "stopped after 3 iterations" in short.protocol
    assert "converged after" in long.protocol
    assert mean_iou(short.confusion) < mean_iou(long.confusion)


def test_the_head_is_the_minimum_that_scikit_learn_finds() -> None:
    """Where a token is a pixel, it is multinomial logistic regression on every seventh of them."""
    masks = torch.randint(0, CLASSES, (120, 15, 15))
    tokens = rearrange(F.one_hot(masks, 6).float(), "b h w c -> b (h w) c")
    tokens = tokens + torch.randn_like(tokens)
    found = probed(tokens, masks, tokens, masks, (15, 15), CLASSES, steps=300)
    standard = (tokens - tokens.mean((0, 1))) / tokens.std((0, 1))
    at = lambda each: rearrange(each, "b (h w) ... -> b h w ...", h=15)[:, 3::7, 3::7].flatten(0, 2)
    penalty = float(re.search(r"L2 ([\d.e-]+)", found.protocol)[1])
    chosen, truth = at(standard), at(masks.flatten(1))
    fitted = LogisticRegression(C=1 / (penalty * len(truth)), tol=1e-8, max_iter=1000)
    fitted.fit(chosen, truth)
    logits = F.linear(tokens, found.weight, found.bias).log_softmax(-1)
    expected = torch.from_numpy(fitted.predict_log_proba(standard.flatten(0, 1).numpy()))
    assert (logits.flatten(0, 1) - expected).abs().max() < 0.05


@pytest.mark.parametrize("fit", [WHOLE, IN_BATCHES], ids=["whole", "in batches"])
def test_either_fit_reads_tokens_that_say_the_class(fit, monkeypatch) -> None:
    monkeypatch.setattr(segmentation, "MOST_WHOLE", 99 if fit is WHOLE else 2)
    (train, train_masks), (test, test_masks) = planted(), planted()
    found = probed(train, train_masks, test, test_masks, GRID, CLASSES, steps=200)
    assert mean_iou(found.confusion) > 0.85
    assert ("L-BFGS" in found.protocol) == (fit is WHOLE)


def test_the_head_reads_raw_tokens() -> None:
    """Weight and bias are those of the confusion matrix: nothing is standardised behind the
    reader's back.
    """
    (train, train_masks), (test, test_masks) = planted(), planted()
    scale, shift = torch.tensor([1e-2, 1, 50, 1, 3, 9]), torch.arange(6.0)
    moved = lambda tokens: tokens * scale + shift
    found = probed(moved(train), train_masks, moved(test), test_masks, GRID, CLASSES)
    predicted = predict(moved(test), GRID, found.weight, found.bias, (32, 32))
    assert torch.equal(found.confusion, by_images(predicted, test_masks))
    plain = probed(train, train_masks, test, test_masks, GRID, CLASSES)
    assert mean_iou(found.confusion) == pytest.approx(mean_iou(plain.confusion), abs=0.01)


def test_random_tokens_do_no_better_than_the_commonest_class() -> None:
    masks = Scenes("train", 32).first(48).class_masks
    train, test = masks[:24], masks[24:]
    draw = lambda: torch.randn(24, 16, 12)
    found = probed(draw(), train, draw(), test, GRID, 11)
    commonest = torch.full_like(test, int(train.flatten().mode().values))
    of_commonest = multiclass_jaccard_index(commonest, test, 11, average="none")
    occurring = torch.cat([test.unique(), commonest.unique()]).unique()
    assert mean_iou(found.confusion) <= of_commonest[occurring].mean().item() + 0.03


def test_colours_find_the_objects_of_scenes_better_than_chance() -> None:
    """Real tokens: mean and deviation of colour of each 8 x 8 cell; two classes, object or not."""
    batch = Scenes("train", 32).first(64)
    cells = rearrange(batch.images, "b c (h p) (w q) -> b (h w) c (p q)", h=4, w=4)
    tokens, masks = torch.cat([cells.mean(-1), cells.std(-1)], -1), (batch.class_masks > 0).long()
    planted_in = probed(tokens[:32], masks[:32], tokens[32:], masks[32:], GRID, 2)
    strange = probed(tokens[:32], masks[:32], tokens[32:].flip(0), masks[32:], GRID, 2)
    assert mean_iou(planted_in.confusion) > mean_iou(strange.confusion) + 0.05


def test_nothing_is_chosen_or_fitted_on_the_test_images() -> None:
    (train, train_masks), (test, test_masks) = planted(), planted()
    one = probed(train, train_masks, test, test_masks, GRID, CLASSES)
    other = probed(train, train_masks, -9 * test[:5], 2 - test_masks[:5], GRID, CLASSES)
    assert (
        torch.equal(one.weight, other.weight)
        and torch.equal(one.bias, other.bias)
        and one.protocol == other.protocol
    )


def test_the_same_seed_gives_the_same_head() -> None:
    train, masks = planted(noise=1.0)
    probe = lambda: probed(train, masks, train, masks, GRID, CLASSES)
    first = probe()
    torch.rand(3)
    again = probe()
    assert torch.equal(again.weight, first.weight)
    assert torch.equal(again.confusion, first.confusion)


def test_void_pixels_of_training_masks_teach_nothing() -> None:
    train, masks = planted()
    half = masks.clone()
    half[:, :, 16:] = 255
    filled = torch.where(torch.rand(half.shape) < 0.5, half, 255)
    filled[3] = 255
    found = probed(train, filled, train, masks, GRID, CLASSES)
    assert torch.isfinite(found.weight).all() and mean_iou(found.confusion) > 0.85


@pytest.mark.parametrize("side", [3, 30, 33, 50])
def test_masks_of_another_size_than_the_grids_multiple_work(side) -> None:
    tokens, masks = planted()
    resized = F.interpolate(masks[:, None].float(), (side, side), mode="nearest-exact")[:, 0].long()
    found = probed(tokens, resized, tokens, resized, GRID, CLASSES)
    assert found.confusion.sum() == len(masks) * side * side
    assert mean_iou(found.confusion) > (0.8 if side > 3 else 0.4)


def test_logits_are_resized_bilinearly() -> None:
    """One row, two tokens, classes 0 and 1: the border lies half way, not at a token's edge, when
    logits differ in strength.
    """
    tokens = torch.tensor([[[1.0, 0.0], [0.0, 3.0]]])
    predicted = predict(tokens, (1, 2), torch.eye(2), torch.zeros(2), (1, 8))
    logits = F.interpolate(torch.tensor([[[[1.0, 0.0]], [[0.0, 3.0]]]]), (1, 8), mode="bilinear")
    assert torch.equal(predicted, logits.argmax(1)) and predicted.sum() > 4


def test_a_grid_need_not_be_square() -> None:
    tokens, _ = planted()
    wide = rearrange(tokens, "b (h w) c -> b (h w) c", h=2)
    assert predict(wide, (2, 8), torch.zeros(CLASSES, 6), torch.zeros(CLASSES), (16, 64)).shape == (
        24,
        16,
        64,
    )


@pytest.mark.parametrize(
    ("masks", "sentence"),
    [
        (torch.full((24, 32, 32), 255), "Every pixel of the masks is void"),
        (torch.full((24, 32, 32), 3), "holds class 3 but there are 3 classes"),
    ],
)
@pytest.mark.parametrize("where", ["train", "test"])
def test_masks_that_do_not_fit_are_refused(masks, sentence, where) -> None:
    tokens, good = planted()
    given = (masks, good) if where == "train" else (good, masks)
    with pytest.raises(MuseError, match=sentence):
        probed(tokens, given[0], tokens, given[1], GRID, CLASSES)


def test_what_was_cut_off_is_not_said_to_have_converged() -> None:
    tokens, masks = planted(noise=1.0)
    found = segmentation._whole(1000 * tokens, masks, GRID, CLASSES, 1e-3, 0, 5, None)
    assert "stopped after" in found.words


@pytest.mark.parametrize("kind", [torch.float16, torch.float64])
def test_tokens_and_masks_of_any_kind_are_read(kind) -> None:
    tokens, masks = planted()
    found = probed(tokens.to(kind), masks.int(), tokens.to(kind), masks.byte(), GRID, CLASSES)
    assert mean_iou(found.confusion) > 0.85


def test_tokens_that_are_not_finite_and_labels_between_the_pixels_read_are_sentences() -> None:
    tokens, masks = planted()
    rare = torch.full_like(masks, 255)
    rare[:, 0, 0] = 1
    with pytest.raises(MuseError, match="Too few pixels of the masks are labelled"):
        probed(tokens, rare, tokens, masks, GRID, CLASSES)
    tokens[0, 0, 0] = torch.nan
    with pytest.raises(MuseError, match="tokens that are not finite"):
        probed(tokens, masks, tokens, masks, GRID, CLASSES)


def test_one_image_is_too_few_to_choose_a_rate_on() -> None:
    masks = torch.zeros(1, 8, 8, dtype=torch.long)
    with pytest.raises(MuseError, match="needs two training images with masks, and there is 1"):
        segmentation_probe(
            torch.randn(1, 16, 8), masks, torch.randn(1, 16, 8), masks, (4, 4), 3, steps=2
        )
