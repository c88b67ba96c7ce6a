"""Linear probe: which class an image shows, read from frozen features by the best linear classifier
that a fifth of the training images chooses.

Hyper-parameters are chosen on a fifth of the training images, never on the test images; the
classifier is then fitted on all of them. The same standardisation, choice and fit for every row of
a table."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor

from muse_core.errors import MuseError

C_GRID = (0.003, 0.03, 0.3, 3.0)
"""Inverse strengths of the L2 penalty tried by logistic regression."""
RATE_GRID = (0.03, 0.1, 0.3, 1.0)
"""Learning rates tried by SGD."""
SGD_FROM = 20_000
"""Training images from which on SGD in batches takes over from scikit-learn's own solver."""
BATCH_SIZE = 1024
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
        MuseError: for fewer than two classes.
    """
    known = labels >= 0
    features, classes = _array(train[known]), labels[known].numpy()
    if (occurring := len(np.unique(classes))) < 2:
        raise MuseError(
            f"A linear probe needs two classes, but the {len(classes)} labelled training images "
            f"show {occurring}: use more images or other data."
        )
    fitted, held = split_for_validation(len(features), seed)
    kind, name, grid = LogisticRegression(max_iter=500, tol=1e-3), "C", C_GRID
    method = "logistic regression (scikit-learn), C"
    if len(features) >= SGD_FROM:
        # Without hidden layers it is softmax regression.
        steps: dict[str, Any] = {
            "batch_size": min(BATCH_SIZE, len(fitted)),
            "max_iter": 20,
            "random_state": seed,
        }
        kind = MLPClassifier((), solver="sgd", alpha=0, **steps)
        name, grid = "learning_rate_init", RATE_GRID
        method = "SGD (scikit-learn), momentum 0.9, lr"
    model = Pipeline([("scale", StandardScaler()), ("fit", kind)])
    # Two threads make such a small fit fifty times slower (reports/LOG.md).
    with threadpool_limits(1), warnings.catch_warnings():
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


def _array(features: Tensor) -> np.ndarray:
    return features.double().numpy()
