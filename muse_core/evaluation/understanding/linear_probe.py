"""A linear classifier on frozen features: what they say about the class, and no more than a line
can read.

Hyper-parameters are chosen on a fifth of the training images, never on the test images; the
classifier is then fitted on all of them. The same standardisation, choice and fit for every row of
a table."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from muse_core.errors import MuseError

C_GRID = (0.003, 0.03, 0.3, 3.0)
"""Inverse strengths of the L2 penalty tried by logistic regression."""
RATE_GRID = (0.03, 0.1, 0.3, 1.0)
"""Learning rates tried by SGD."""
SGD_FROM = 20_000
"""Training images from which on SGD in batches takes over from scikit-learn."""
VALIDATION_SHARE = 0.2

Classify = Callable[[np.ndarray], np.ndarray]
"""Features (images, width) -> class scores (images, classes)."""
Fit = Callable[[np.ndarray, np.ndarray, float], Classify]
"""Features, labels, hyper-parameter -> a classifier."""


@dataclass(frozen=True)
class Probed:
    """``scores`` (test images, classes) and how they were made; ``chosen`` is the hyper-parameter
    validation picked.
    """

    scores: Tensor
    chosen: float
    protocol: str

    @property
    def predicted(self) -> Tensor:
        return self.scores.argmax(-1)


def linear_probe(
    train: Tensor, labels: Tensor, test: Tensor, num_classes: int, seed: int = 0
) -> Probed:
    """Fit on ``train`` (images, width) with ``labels``, score ``test``. Images labelled -1 are left
    out of the fit.

    Raises MuseError for fewer than two classes, labels outside the class list and features that are
    not finite."""
    features, classes = _checked(train, labels, test, num_classes)
    large = len(features) >= SGD_FROM
    fit, grid = (
        (_sgd(num_classes, seed), RATE_GRID)
        if large
        else (_logistic_regression(num_classes), C_GRID)
    )
    chosen = _choose(fit, grid, features, classes, seed)
    scores = fit(features, classes, chosen)(_array(test))
    method = "SGD, momentum 0.9, cosine, lr" if large else "logistic regression (scikit-learn), C"
    protocol = (
        f"{method} {chosen:g} chosen on {VALIDATION_SHARE:.0%} of the training images, standardised features, "
        f"{len(features)} training images"
    )
    return Probed(torch.from_numpy(scores), chosen, protocol)


def split_for_validation(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices to fit on and indices to choose on: a random fifth."""
    order = np.random.default_rng(seed).permutation(n)
    held = max(1, round(n * VALIDATION_SHARE))
    return order[held:], order[:held]


def _checked(
    train: Tensor, labels: Tensor, test: Tensor, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    if labels.numel() and int(labels.max()) >= num_classes:
        raise MuseError(
            f"A label is {int(labels.max())} but there are {num_classes} classes: mend the class list."
        )
    if not (torch.isfinite(train).all() and torch.isfinite(test).all()):
        raise MuseError(
            "The features to probe are not finite: look for NaN in the weights or in the images."
        )
    known = labels >= 0
    features, classes = _array(train[known]), labels[known].numpy()
    if len(np.unique(classes)) < 2:
        raise MuseError(
            f"A linear probe needs two classes, but the {len(classes)} labelled training images show "
            f"{len(np.unique(classes))}: use more images or other data."
        )
    return features, classes


def _array(features: Tensor) -> np.ndarray:
    return features.double().numpy()


def _choose(
    fit: Fit, grid: tuple[float, ...], features: np.ndarray, classes: np.ndarray, seed: int
) -> float:
    """The hyper-parameter with the best accuracy on the validation fifth; the smaller one where two
    are equal.
    """
    fitted, held = split_for_validation(len(features), seed)
    if len(np.unique(classes[fitted])) < 2:
        return grid[0]
    right = lambda value: np.mean(
        fit(features[fitted], classes[fitted], value)(features[held]).argmax(-1) == classes[held]
    )
    return max(grid, key=right)


def _logistic_regression(num_classes: int) -> Fit:
    def fit(features: np.ndarray, classes: np.ndarray, strength: float) -> Classify:
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=strength, max_iter=500, tol=1e-3)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features, classes)
        return lambda given: _spread(model.predict_proba(given), model[-1].classes_, num_classes)

    return fit


def _spread(scores: np.ndarray, seen: np.ndarray, num_classes: int) -> np.ndarray:
    """Scores of the classes that occurred, as columns among all classes; the others score below any
    probability.
    """
    full = np.full((len(scores), num_classes), -1.0)
    full[:, seen] = scores
    return full


def _sgd(num_classes: int, seed: int, epochs: int = 20, batch_size: int = 1024) -> Fit:
    def fit(features: np.ndarray, classes: np.ndarray, rate: float) -> Classify:
        scaler = StandardScaler().fit(features)
        inputs = torch.from_numpy(scaler.transform(features)).float()
        targets = torch.from_numpy(classes)
        generator = torch.Generator().manual_seed(seed)
        head = nn.Linear(inputs.shape[1], num_classes)
        nn.init.zeros_(head.weight), nn.init.zeros_(head.bias)
        optimiser = torch.optim.SGD(head.parameters(), lr=rate, momentum=0.9, nesterov=True)
        steps = epochs * -(-len(inputs) // batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        with torch.enable_grad():
            for _ in range(epochs):
                for part in torch.randperm(len(inputs), generator=generator).split(batch_size):
                    optimiser.zero_grad()
                    F.cross_entropy(head(inputs[part]), targets[part]).backward()
                    optimiser.step()
                    schedule.step()
        return lambda given: (
            head(torch.from_numpy(scaler.transform(given)).float()).detach().double().numpy()
        )

    return fit
