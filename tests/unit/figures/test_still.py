"""The still face: drawn without a trace in global state, whatever letters its texts hold."""

import warnings

import numpy as np
from matplotlib import pyplot as plt

from muse_core.figures import by_layer, image_grid, saliency_comparison, still
from muse_core.figures.still import png
from muse_core.figures.theme import drawable


def overlaps(boxes: list) -> list:
    return [
        (one, other) for at, one in enumerate(boxes) for other in boxes[:at] if one.overlaps(other)
    ]


def test_no_figure_is_left_to_be_shown_a_second_time() -> None:
    before = dict(plt.rcParams)
    assert by_layer({"a": np.ones((2, 2))}, "t", "u").still is not None
    assert plt.get_fignums() == [] and dict(plt.rcParams) == before


def test_dollars_are_letters() -> None:
    png(image_grid(np.zeros((1, 8, 8, 3)), [r"$\frac{1$ of"]).still)


def test_six_images_and_seven_labels_fit_a_page_without_touching() -> None:
    labels = ["topology teacher (DINOv3)", *(f"MUSE, after stage {at}" for at in (1, 2, 3))]
    labels += ["frozen backbone (InternViT)", "shared routing, after stage 3"]
    labels += ["an untrained student with random weights"]
    values = {label: np.ones((6, 3, 5)) for label in labels}
    title = "A title long enough to need two lines " * 3
    still = saliency_comparison(np.full((6, 30, 50, 3), 0.5), values, title).still
    still.draw_without_rendering()
    assert len(still.axes) == 6 * 8 + 1 and still.get_figwidth() <= 9.6
    parts = [part for axes in still.axes for part in (axes.title, axes.xaxis.label)]
    boxes = [part.get_window_extent() for part in parts if part.get_text()]
    boxes += [image.get_window_extent() for axes in still.axes[:-1] for image in axes.images]
    assert not overlaps([*boxes, still._suptitle.get_window_extent()])


def test_the_name_of_a_level_stands_outside_the_plot() -> None:
    heads = np.random.default_rng(0).random((6, 4))
    still = by_layer({"a": heads}, "t", "u", {"nearness of all patches": 0.505}).still
    still.draw_without_rendering()
    (axes,) = still.axes
    (text,) = axes.texts
    assert (
        text.get_window_extent().x0 > axes.bbox.x1 and text.get_window_extent().x1 < still.bbox.x1
    )


def test_the_legend_lies_outside_the_plot_and_inside_the_page() -> None:
    values = {f"a network with quite a long name, number {at}": np.ones((6, 4)) for at in range(7)}
    still = by_layer(values, "t", "u").still
    still.draw_without_rendering()
    legend = still.legends[0].get_window_extent()
    assert not legend.overlaps(still.axes[0].get_tightbbox()) and still.get_figwidth() <= 9.6
    assert legend.x0 >= 0 and legend.x1 <= still.bbox.x1


def test_letters_without_a_font_are_boxes_and_said_once(capsys, monkeypatch) -> None:
    monkeypatch.setattr(still, "_SAID", [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for words in ("plain", "犬と猫", "又一只 🐱"):
            still.png(image_grid(np.zeros((1, 3, 8, 8)), [words], title="x").still)
    said = capsys.readouterr().out.splitlines()
    missing = [letter for letter in "犬と猫" if ord(letter) not in drawable()]
    assert len(said) == bool(missing) and all(letter in said[0] for letter in missing)
