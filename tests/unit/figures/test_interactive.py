"""The interactive face is light, and nothing in its texts runs."""

import json

import numpy as np

from muse_core.figures import bars, similarity_matrix
from muse_core.figures.interactive import inert, plain_json
from muse_core.figures.theme import LOSS_COLOURS


def test_the_template_stays_small() -> None:
    spec = plain_json(bars({"a": 1.0}, "t").figure, "curve")
    assert len(json.dumps(spec)) < 2600
    assert spec["layout"]["template"]["layout"]["colorway"][0] == LOSS_COLOURS["topology"]
    assert spec["config"]["toImageButtonOptions"] == {"filename": "curve"}


def test_tags_are_harmless_but_for_our_own() -> None:
    given = {"text": ["<script>x</script>", "a<br><b>b</b>", 1]}
    assert inert(given) == {"text": ["&lt;script>x&lt;/script>", "a<br><b>b</b>", 1]}


def test_long_captions_are_cut_on_the_axis_and_whole_in_the_hover() -> None:
    caption = "a small red triangle to the left of a very large blue circle on grey"
    figure = similarity_matrix(np.zeros((2, 1)), [caption, caption], ["image"]).figure
    assert len(set(figure.data[0].y)) == 2
    assert figure.data[0].y[0].replace("<br>", " ") == f"1: {caption}"
    assert len(figure.layout.yaxis.ticktext[0]) < len(caption)
