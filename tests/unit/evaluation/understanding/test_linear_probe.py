"""The linear probe: scikit-learn's figures on real digits, chance on noise, and never a look at the
test images.
"""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, top_k_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from muse_core.errors import MuseError
from muse_core.evaluation.understanding import linear_probe as module
from muse_core.evaluation.understanding.linear_probe import (
    C_GRID,
    RATE_GRID,
    linear_probe,
    split_for_validation,
)

Split = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def real_digits(n: int = 600) -> Split:
    """Pixels of handwritten digits as features: train, labels, test, labels."""
    images, labels = (torch.from_numpy(each) for each in load_digits(return_X_y=True))
    return images[:n].float(), labels[:n], images[n : 2 * n].float(), labels[n : 2 * n]


def separable(n: int = 300, classes: int = 4, width: int = 6) -> Split:
    """Gaussian clouds far apart."""
    labels = torch.arange(2 * n) % classes
    features = torch.randn(2 * n, width) * 0.5 + 4 * torch.randn(classes, width)[labels]
    return features[:n], labels[:n], features[n:], labels[n:]


def accuracy_of(probed: module.Probed, labels: torch.Tensor) -> float:
    return accuracy_score(labels, probed.predicted)


def test_it_is_scikit_learns_classifier_with_the_chosen_strength() -> None:
    train, labels, test, truth = real_digits()
    probed = linear_probe(train, labels, test, 10)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=probed.chosen, max_iter=500)).fit(
        train, labels
    )
    assert accuracy_of(probed, truth) == pytest.approx(model.score(test, truth), abs=0.005)
    top5 = probed.scores.topk(5).indices.eq(truth[:, None]).any(1).float().mean().item()
    assert top5 == pytest.approx(
        top_k_accuracy_score(truth, model.predict_proba(test), k=5), abs=0.005
    )
    assert accuracy_of(probed, truth) > 0.85


def test_the_chosen_strength_is_the_best_on_the_validation_fifth() -> None:
    train, labels, test, _ = real_digits()
    fitted, held = split_for_validation(len(train), seed=0)
    fit = lambda c: make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=500)).fit(
        train[fitted], labels[fitted]
    )
    scores = {c: fit(c).score(train[held], labels[held]) for c in C_GRID}
    assert scores[linear_probe(train, labels, test, 10).chosen] == pytest.approx(
        max(scores.values()), abs=0.01
    )


def test_the_validation_images_are_a_fifth_and_apart() -> None:
    fitted, held = split_for_validation(101, seed=0)
    assert len(held) == 20 and sorted([*fitted, *held]) == list(range(101))
    assert not np.array_equal(held, split_for_validation(101, seed=1)[1])


@pytest.mark.parametrize("sgd_from", [1, 20_000], ids=["SGD", "logistic regression"])
def test_nothing_is_chosen_on_the_test_images(monkeypatch, sgd_from) -> None:
    monkeypatch.setattr(module, "SGD_FROM", sgd_from)
    train, labels, test, _ = real_digits(300)
    chosen = {
        linear_probe(train, labels, other, 10).chosen
        for other in (test, -test, torch.randn(7, 64) * 99)
    }
    assert len(chosen) == 1
    together, alone = (linear_probe(train, labels, some, 10).scores for some in (test, test[:5]))
    assert torch.allclose(together[:5], alone, atol=1e-5)


@pytest.mark.parametrize("sgd_from", [1, 20_000], ids=["SGD", "logistic regression"])
def test_shuffled_labels_bring_it_to_chance(monkeypatch, sgd_from) -> None:
    monkeypatch.setattr(module, "SGD_FROM", sgd_from)
    """On average: images of one digit are alike, so that a single shuffle is right or wrong for
    many of them at once.
    """
    train, labels, test, truth = real_digits(300)
    shuffles = [labels[torch.randperm(len(labels))] for _ in range(12)]
    found = [accuracy_of(linear_probe(train, shuffled, test, 10), truth) for shuffled in shuffles]
    assert np.mean(found) == pytest.approx(0.1, abs=0.04)


def test_random_features_are_at_chance() -> None:
    _, labels, _, truth = real_digits(800)
    probed = linear_probe(torch.randn(800, 16), labels, torch.randn(len(truth), 16), 10)
    assert accuracy_of(probed, truth) == pytest.approx(0.1, abs=0.05)


def test_sgd_agrees_with_logistic_regression_on_separable_data(monkeypatch) -> None:
    train, labels, test, truth = separable()
    regression = linear_probe(train, labels, test, 4)
    monkeypatch.setattr(module, "SGD_FROM", 1)
    sgd = linear_probe(train, labels, test, 4)
    assert torch.equal(sgd.predicted, regression.predicted) and accuracy_of(sgd, truth) == 1
    assert regression.chosen in C_GRID and "logistic regression" in regression.protocol
    assert sgd.chosen in RATE_GRID and "SGD" in sgd.protocol


def test_sgd_comes_near_logistic_regression_on_real_digits(monkeypatch) -> None:
    train, labels, test, truth = real_digits()
    regression = accuracy_of(linear_probe(train, labels, test, 10), truth)
    monkeypatch.setattr(module, "SGD_FROM", 1)
    assert accuracy_of(linear_probe(train, labels, test, 10), truth) == pytest.approx(
        regression, abs=0.03
    )


@pytest.mark.parametrize("sgd_from", [1, 20_000], ids=["SGD", "logistic regression"])
def test_the_same_seed_gives_the_same_scores(monkeypatch, sgd_from) -> None:
    monkeypatch.setattr(module, "SGD_FROM", sgd_from)
    train, labels, test, _ = separable()
    first = linear_probe(train, labels, test, 4, seed=1).scores
    torch.rand(3)
    assert torch.equal(linear_probe(train, labels, test, 4, seed=1).scores, first)


def test_the_scale_of_a_feature_is_no_advantage() -> None:
    train, labels, test, _ = separable()
    scale = torch.tensor([1e-3, 1, 1e3, 5, 7, 0.1])
    scaled = linear_probe(train * scale + 50, labels, test * scale + 50, 4)
    assert torch.equal(scaled.predicted, linear_probe(train, labels, test, 4).predicted)


def test_images_without_a_label_are_left_out_of_the_fit() -> None:
    train, labels, test, _ = separable()
    known = linear_probe(train[:200], labels[:200], test, 4)
    unknown = torch.cat([labels[:200], torch.full((100,), -1)])
    wild = torch.cat([train[:200], 1e3 * torch.randn(100, 6)])
    assert torch.equal(linear_probe(wild, unknown, test, 4).scores, known.scores)
    assert "200 training images" in known.protocol


def test_label_zero_counts() -> None:
    train, labels, test, truth = separable(classes=2)
    assert (linear_probe(train, labels, test, 2).predicted == truth)[truth == 0].all()


@pytest.mark.parametrize("sgd_from", [1, 20_000], ids=["SGD", "logistic regression"])
def test_a_class_without_training_images_keeps_its_place_and_is_never_predicted(
    monkeypatch, sgd_from
) -> None:
    monkeypatch.setattr(module, "SGD_FROM", sgd_from)
    train, labels, test, truth = separable(classes=3)
    probed = linear_probe(train, 2 * labels, test, 6)
    assert probed.scores.shape == (len(test), 6)
    assert torch.equal(probed.predicted, 2 * truth)


def test_features_that_never_change_are_no_obstacle() -> None:
    train, labels, test, truth = separable()
    still = lambda features: torch.cat([features, torch.ones(len(features), 2)], dim=1)
    assert accuracy_of(linear_probe(still(train), labels, still(test), 4), truth) == 1


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0] * 9, "needs two classes, but the 9 labelled training images show 1"),
        ([-1] * 9, "needs two classes, but the 0 labelled training images show 0"),
    ],
)
def test_labels_that_cannot_be_fitted_are_refused(labels, sentence) -> None:
    with pytest.raises(MuseError, match=sentence):
        linear_probe(torch.rand(9, 4), torch.tensor(labels), torch.rand(2, 4), 2)


def test_two_training_images_are_enough() -> None:
    probed = linear_probe(torch.eye(2), torch.tensor([0, 1]), torch.eye(2), 2)
    assert probed.predicted.tolist() == [0, 1]
