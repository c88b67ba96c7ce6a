"""Signed-distance pictures of the ten shapes that `scenes` draws (distance < 0 inside, in units of
the object's radius).
"""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

Point = tuple[float, float]

TEMPLATE_SIZE = 96
TEMPLATE_EXTENT = 1.5
"""A template covers [-1.5, 1.5] on both axes; shapes live inside the unit circle, or close to it.
"""


def _star() -> np.ndarray:
    angle = np.arange(10) * np.pi / 5 - np.pi / 2
    radius = np.where(np.arange(10) % 2 == 0, 1.1, 0.46)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y + 2], 1) / 16.5


def _mirrored(upper: list[Point], tip: list[Point]) -> list[Point]:
    """The upper edge of an outline, its tip on the axis, and the upper edge back below it."""
    return [*upper, *tip, *((x, -y) for x, y in reversed(upper))]


def _turned(arm: list[Point]) -> list[Point]:
    """A quarter of an outline, and its three turns by 90 degrees."""
    points = list(arm)
    for _ in range(3):
        arm = [(-y, x) for x, y in arm]
        points += arm
    return points


POLYGONS: dict[str, Any] = {
    "square": _turned([(-0.8, -0.8)]),
    "triangle": [(0, -1.0), (1.0, 0.75), (-1.0, 0.75)],
    "star": _star(),
    "heart": _heart(),
    "cross": _turned([(-0.3, -1.0), (0.3, -1.0), (0.3, -0.3)]),
    "arrow": _mirrored([(-1.0, -0.3), (0.05, -0.3), (0.05, -0.85)], tip=[(1.05, 0.0)]),
    "hourglass": [
        (-0.85, -0.95),
        (0.85, -0.95),
        (0.16, 0),
        (0.85, 0.95),
        (-0.85, 0.95),
        (-0.16, 0),
    ],
}


def _polygon_distance(points: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Signed distance from points (n, 2) to a closed polygon (m, 2)."""
    start, end = vertices[None], np.roll(vertices, -1, axis=0)[None]
    edge, offset = end - start, points[:, None] - start
    along = np.clip((offset * edge).sum(-1) / (edge**2).sum(-1), 0, 1)
    distance = np.linalg.norm(offset - along[..., None] * edge, axis=-1).min(1)
    straddles = (start[..., 1] > points[:, None, 1]) != (end[..., 1] > points[:, None, 1])
    height = np.where(edge[..., 1] == 0, 1.0, edge[..., 1])
    crossing = start[..., 0] + edge[..., 0] * (points[:, None, 1] - start[..., 1]) / height
    inside = (straddles & (points[:, None, 0] < crossing)).sum(1) % 2 == 1
    return np.where(inside, -distance, distance)


def _disc_distance(points: np.ndarray, centre: tuple[float, float], radius: float) -> np.ndarray:
    return np.linalg.norm(points - np.asarray(centre), axis=1) - radius


ROUND = {
    "circle": lambda p: _disc_distance(p, (0.0, 0.0), 0.95),
    "ring": lambda p: np.abs(_disc_distance(p, (0.0, 0.0), 0.75)) - 0.25,
    "crescent": lambda p: np.maximum(
        _disc_distance(p, (-0.1, 0.0), 1.0), -_disc_distance(p, (0.42, 0.0), 0.82)
    ),
}

SHAPES = (*ROUND, *POLYGONS)


@lru_cache(maxsize=1)
def templates() -> Tensor:
    """(shapes, 1, TEMPLATE_SIZE, TEMPLATE_SIZE) float32 signed distances, y pointing down as in
    images.
    """
    axis = (np.arange(TEMPLATE_SIZE) + 0.5) / TEMPLATE_SIZE * 2 - 1
    y, x = np.meshgrid(axis * TEMPLATE_EXTENT, axis * TEMPLATE_EXTENT, indexing="ij")
    points = np.stack([x.ravel(), y.ravel()], 1)
    distances = [
        ROUND[shape](points)
        if shape in ROUND
        else _polygon_distance(points, np.asarray(POLYGONS[shape], float))
        for shape in SHAPES
    ]
    return torch.tensor(np.stack(distances), dtype=torch.float32).reshape(
        -1, 1, TEMPLATE_SIZE, TEMPLATE_SIZE
    )
