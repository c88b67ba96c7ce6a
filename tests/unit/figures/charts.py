"""A picture of every kind, small and with planted numbers."""

import numpy as np

from muse_core import figures
from muse_core.figures import Curve, Picture
from muse_core.results.measurements import Measurement, Row, StudyCell, StudyRecord, StudyRow
from muse_core.results.records import provenance

RNG = np.random.default_rng(0)
STEPS = np.arange(0.0, 50.0, 10.0)
ROWS = [
    {"step": step, "loss/topology": 1 + 1 / step, "loss/anchor": 3 / step} for step in range(1, 40)
]
NOTHING = Curve(STEPS, np.full((2, 5), np.nan))
SHARED = Curve(STEPS, RNG.normal(size=(2, 5)) / 3)
TRUNK = np.array([0.1, -0.2, np.nan])
MAPS = np.full((2, 3, 15, 15), 1 / 15, dtype=np.float32)


def measured(name: str, value: float) -> Row:
    return Row(name, name, {"psnr": Measurement(value, 9, "", value - 1, value + 2)})


def study() -> StudyRecord:
    first = StudyRow("full", "MUSE", {}, "", {}, {"psnr": StudyCell(25.0, 24.0, 26.0, [25.0] * 2)})
    cell = StudyCell(24.0, 23.0, 25.0, [24.0, 23.5], -1.0, -1.5, -0.5, [-1.2, -0.8])
    rows = [first, StudyRow("shared", "one W_V", {}, "drops", {"psnr": "lower"}, {"psnr": cell})]
    return StudyRecord("s", "tiny", "scenes", [0, 1], 100, rows, ["abc"], provenance())


def every_chart() -> dict[str, Picture]:
    """Name of the function -> its picture."""
    images, masks = RNG.random((3, 6, 10, 3)), np.arange(180).reshape(3, 6, 10) % 3
    follows = {"MUSE": {"shape": (0.8, 0.7, 0.9), "count": (0.6, 0.5, 0.7)}}
    pairs = {"pixels and semantics": (TRUNK, TRUNK - 0.1, TRUNK + 0.1)}
    energy = {"W_Q": {"semantics": RNG.random(30), "topology": np.array([0.2, 0.4])}}
    cosines = {"W_Q": {"shared": RNG.random(30), "orthogonal": np.array([])}}
    opened = {"topology": {"W_Q": True, "W_V": False, "trunk": True, "backbone": False}}
    table = np.array([[True, False]]), np.array([[0.9, 0.1]])
    return {
        "loss_curves": figures.loss_curves(ROWS),
        "convergence": figures.convergence({"a": ([1, 9], [3.0, 1.0])}, "t", "FD", ("real", 0.5)),
        "frontier": figures.frontier(study(), ["psnr"], "psnr", "t"),
        "bars": figures.bars({"a": 24.1, "b": 21.3, "c": float("nan")}, "t", target=23.0),
        "intervals": figures.intervals([measured("a", 20.0), measured("b", 22.0)], "psnr", "t"),
        "study_differences": figures.study_differences(study(), "psnr", "t"),
        "following_bars": figures.following_bars(follows, {"shape": 0.9}, {"count": 0.1}, "t"),
        "by_layer": figures.by_layer({"a": RNG.random((4, 3))}, "t", "u", {"chance": 0.5}),
        "similarity_matrix": figures.similarity_matrix(RNG.random((3, 3)), "abc", "xyz"),
        "route_table": figures.route_table(*table, ["pixels"], ["W_V", "W_Q"], "t"),
        "stage_routes": figures.stage_routes({"topology": 2}, opened, ["trunk"], ["backbone"]),
        "cosine_curves": figures.cosine_curves(
            {"p": {"shared": SHARED, "orthogonal": NOTHING}}, "t"
        ),
        "trunk_conflict": figures.trunk_conflict({"a": pairs, "b": pairs}, ["0", "1", "2"], "t"),
        "energy_violins": figures.energy_violins(energy, "t", "share"),
        "cosine_boxes": figures.cosine_boxes(cosines, "t"),
        "attention_atlas": figures.attention_atlas(MAPS, (3, 5), 7),
        "attention_comparison": figures.attention_comparison(
            images[0], {"a": MAPS[0, 0]}, (3, 5), [7]
        ),
        "saliency_comparison": figures.saliency_comparison(images, {"a": RNG.random((3, 2, 2))}),
        "image_grid": figures.image_grid(images, ["$a$ caption", "日本語", ""], columns=2),
        "reconstruction_grid": figures.reconstruction_grid(images, images, [40.0, 41.0, 39.0]),
        "mask_overlay": figures.mask_overlay(images, masks, ["background", "cat"]),
        "segmentation_overlays": figures.segmentation_overlays(
            images, masks, masks, ["background", "cat"], [0.5, 1.0, float("nan")]
        ),
        "sample_grid": figures.sample_grid(images, ["a", "b", "c"], "t"),
        "sample_strips": figures.sample_strips({"a": images, "b": images}, "t"),
        "edit_strip": figures.edit_strip({"a": images}, masks > 1, "t"),
    }
