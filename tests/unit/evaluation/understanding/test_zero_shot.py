"""A class is the mean of its prompts; accuracy counts class 0 and leaves unlabelled images out."""

import math

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, recall_score, top_k_accuracy_score
from torch import nn

from muse_core.data.scenes import Scenes
from muse_core.evaluation.understanding.zero_shot import (
    PROMPTS_AT_ONCE,
    accuracy,
    accuracy_by_class,
    class_embeddings,
    predicted_classes,
    ranked_classes,
)
from muse_core.foundations.text_tower import TextTower


class Lettered(TextTower):
    """A sentence's embedding is how often it holds each letter a to h; ``calls`` are the numbers of
    sentences asked.
    """

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.calls: list[int] = []

    def forward(self, captions):
        self.calls.append(len(captions))
        return torch.tensor(
            [[float(caption.count(letter)) for letter in "abcdefgh"] for caption in captions]
        )


class Worded(Scenes):
    """Scenes whose classes have the prompts they are given."""

    def __init__(self, prompts: list[list[str]]) -> None:
        super().__init__()
        self.prompts = prompts

    def class_prompts(self) -> list[list[str]]:
        return self.prompts


def test_a_class_is_the_unit_mean_of_its_unit_prompts() -> None:
    classes = class_embeddings(Lettered(), Worded([["a", "bbbb"], ["c", "c"]]))
    half = math.sqrt(0.5)
    assert torch.allclose(classes[0], torch.tensor([half, half, 0, 0, 0, 0, 0, 0]))
    assert torch.allclose(classes[1], torch.eye(8)[2])


def test_many_prompts_are_embedded_in_parts() -> None:
    tower, prompts = (
        Lettered(),
        [["a" * (1 + index) + "abcdefgh"[index % 8] for index in range(90)]] * 7,
    )
    classes = class_embeddings(tower, Worded(prompts))
    alone = F.normalize(F.normalize(Lettered()(prompts[0]), dim=-1).mean(dim=0), dim=0)
    assert tower.calls == [PROMPTS_AT_ONCE, PROMPTS_AT_ONCE, 7 * 90 - 2 * PROMPTS_AT_ONCE]
    assert classes.shape == (7, 8) and torch.allclose(classes, alone.expand(7, 8))


def test_the_nearest_prompt_wins_whatever_the_lengths() -> None:
    classes = torch.eye(3)
    images = torch.tensor([[10.0, 1.0, 0.0], [0.0, 0.01, 0.0], [0.1, 0.2, 5.0]])
    assert predicted_classes(images, classes).tolist() == [0, 1, 2]


def test_accuracy_agrees_with_scikit_learn_and_counts_class_zero() -> None:
    predicted, labels = torch.randint(0, 4, (200,)), torch.randint(0, 4, (200,))
    assert math.isclose(
        accuracy(predicted, labels), accuracy_score(labels, predicted), rel_tol=1e-6
    )
    assert accuracy(torch.tensor([0]), torch.tensor([0])) == 1.0


def test_unlabelled_images_are_left_out() -> None:
    assert accuracy(torch.tensor([1, 2]), torch.tensor([1, -1])) == 1.0
    assert math.isnan(accuracy(torch.tensor([1]), torch.tensor([-1])))


def digits() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Real images, their labels, and the unit mean of each class as its "text"."""
    images, labels = (torch.from_numpy(each) for each in load_digits(return_X_y=True))
    means = torch.stack([images[labels == one].mean(0) for one in range(10)])
    return images.float(), labels, F.normalize(means, dim=-1).float()


def random_embeddings() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        torch.randn(300, 6),
        torch.randint(0, 10, (300,)),
        F.normalize(torch.randn(10, 6), dim=-1),
    )


@pytest.mark.parametrize("given", [digits, random_embeddings])
def test_top_1_and_top_5_are_scikit_learns(given) -> None:
    images, labels, classes = given()
    ranked, scores = ranked_classes(images, classes), F.normalize(images, dim=-1) @ classes.T
    for k in (1, 5):
        expected = top_k_accuracy_score(labels, scores, k=k, labels=range(10))
        assert (ranked[:, :k] == labels[:, None]).any(1).double().mean().item() == pytest.approx(
            expected, abs=1e-9
        )


@pytest.mark.parametrize("given", [digits, random_embeddings])
def test_ranks_hold_every_class_once_the_nearest_first(given) -> None:
    images, _, classes = given()
    ranked = ranked_classes(images, classes)
    assert torch.equal(ranked.sort(dim=1).values, torch.arange(10).expand(len(images), 10))
    assert torch.equal(ranked[:, 0], predicted_classes(images, classes))


def test_accuracy_by_class_is_scikit_learns_recall() -> None:
    images, labels, classes = digits()
    predicted = predicted_classes(images, classes)
    expected = recall_score(labels, predicted, average=None)
    assert accuracy_by_class(predicted, labels, 10) == pytest.approx(expected.tolist())


def test_a_class_without_images_has_no_accuracy_and_unlabelled_images_count_for_none() -> None:
    predicted, labels = torch.tensor([0, 1, 0, 2, 2]), torch.tensor([0, 0, -1, 2, -1])
    assert accuracy_by_class(predicted, labels, 4) == [0.5, None, 1.0, None]
