"""Linear probe: which class an image shows, read from frozen features by the best linear classifier
that a fifth of the training images chooses.

Hyper-parameters are chosen on a fifth of the training images, never on the test images; the
classifier is then fitted on all of them. The same standardisation, choice and fit for every row of
a table."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
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
    """Fit a linear classifier on training features, score test features.

    Args:
        train: features (images, width).
        labels: class of each training image; those labelled -1 are left out of the fit.
        test: features (test images, width).
        num_classes: how many classes there are, whether all of them occur or not.
        seed: of the validation split and of SGD.

    Raises:
        MuseError: for fewer than two classes, labels outside the class list and features that are
            not finite.
    """
    features, classes = _checked(train, labels, test, num_classes)
    kind, name, grid = LogisticRegression(max_iter=500, tol=1e-3), "C", C_GRID
    method = "logistic regression (scikit-learn), C"
    if len(features) >= SGD_FROM:
        kind, name, grid = SoftmaxSGD(seed=seed), "rate", RATE_GRID
        method = "SGD, momentum 0.9, cosine, lr"
    model = Pipeline([("scale", StandardScaler()), ("fit", kind)])
    fitted, held = split_for_validation(len(features), seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if len(np.unique(classes[fitted])) < 2:
            chosen, best = grid[0], model.set_params(**{f"fit__{name}": grid[0]})
            best.fit(features, classes)
        else:
            search = GridSearchCV(model, {f"fit__{name}": grid}, cv=[(fitted, held)])
            search.fit(features, classes)
            chosen, best = search.best_params_[f"fit__{name}"], search.best_estimator_
    # classes that never occurred score below any probability
    scores = np.full((len(test), num_classes), -1.0)
    scores[:, best.classes_] = best.predict_proba(_array(test))
    protocol = (
        f"{method} {chosen:g} chosen on {VALIDATION_SHARE:.0%} of the training images, "
        f"standardised features, {len(features)} training images"
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
            f"A label is {int(labels.max())} but there are {num_classes} classes: mend the class "
            "list."
        )
    if not (torch.isfinite(train).all() and torch.isfinite(test).all()):
        raise MuseError(
            "The features to probe are not finite: look for NaN in the weights or in the images."
        )
    known = labels >= 0
    features, classes = _array(train[known]), labels[known].numpy()
    occurring = len(np.unique(classes))
    if occurring < 2:
        raise MuseError(
            f"A linear probe needs two classes, but the {len(classes)} labelled training images "
            f"show {occurring}: use more images or other data."
        )
    return features, classes


def _array(features: Tensor) -> np.ndarray:
    return features.double().numpy()


class SoftmaxSGD(ClassifierMixin, BaseEstimator):
    """Softmax regression by SGD in batches (Nesterov momentum 0.9, cosine), as a scikit-learn
    estimator; for more images than scikit-learn's own solver takes.
    """

    def __init__(
        self, rate: float = 0.1, seed: int = 0, epochs: int = 20, batch_size: int = 1024
    ) -> None:
        self.rate, self.seed, self.epochs, self.batch_size = rate, seed, epochs, batch_size

    def fit(self, features: np.ndarray, labels: np.ndarray) -> "SoftmaxSGD":
        self.classes_, codes = np.unique(labels, return_inverse=True)
        inputs, targets = torch.from_numpy(features).float(), torch.from_numpy(codes)
        generator = torch.Generator().manual_seed(self.seed)
        self.head_ = nn.Linear(inputs.shape[1], len(self.classes_))
        nn.init.zeros_(self.head_.weight)
        nn.init.zeros_(self.head_.bias)
        optimiser = torch.optim.SGD(
            self.head_.parameters(), lr=self.rate, momentum=0.9, nesterov=True
        )
        steps = self.epochs * -(-len(inputs) // self.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        with torch.enable_grad():
            for _ in range(self.epochs):
                order = torch.randperm(len(inputs), generator=generator)
                for part in order.split(self.batch_size):
                    optimiser.zero_grad()
                    F.cross_entropy(self.head_(inputs[part]), targets[part]).backward()
                    optimiser.step()
                    schedule.step()
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            logits = self.head_(torch.from_numpy(features).float()).double()
        return logits.softmax(-1).numpy()

    def predict(self, features: np.ndarray) -> np.ndarray:
        return self.classes_[self.predict_proba(features).argmax(-1)]
