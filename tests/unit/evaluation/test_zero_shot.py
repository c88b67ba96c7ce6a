"""Accuracy counts class 0 and leaves unlabelled images out."""

import math

import torch
from sklearn.metrics import accuracy_score

from muse_core.evaluation.zero_shot import accuracy, predicted_classes


def test_the_nearest_prompt_wins_whatever_the_lengths() -> None:
    classes = torch.eye(3)
    images = torch.tensor([[10.0, 1.0, 0.0], [0.0, 0.01, 0.0], [0.1, 0.2, 5.0]])
    assert predicted_classes(images, classes).tolist() == [0, 1, 2]


def test_accuracy_agrees_with_scikit_learn_and_counts_class_zero() -> None:
    predicted, labels = torch.randint(0, 4, (200,)), torch.randint(0, 4, (200,))
    assert math.isclose(accuracy(predicted, labels), accuracy_score(labels, predicted), rel_tol=1e-6)
    assert accuracy(torch.tensor([0]), torch.tensor([0])) == 1.0


def test_unlabelled_images_are_left_out() -> None:
    assert accuracy(torch.tensor([1, 2]), torch.tensor([1, -1])) == 1.0
    assert math.isnan(accuracy(torch.tensor([1]), torch.tensor([-1])))
