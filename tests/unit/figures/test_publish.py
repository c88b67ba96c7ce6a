"""One output with two faces, and the words that go with it."""

import base64
import io
import json
from typing import Any

import matplotlib
import plotly.graph_objects as go
import pytest
from PIL import Image

from muse_core.errors import MuseError
from muse_core.figures import publish, theme

matplotlib.use("Agg")
from matplotlib import pyplot as plt


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What `show` displays, as (data, metadata) pairs."""
    calls: list[tuple[dict[str, Any], dict[str, Any]]] = []
    monkeypatch.setattr(
        "IPython.display.display", lambda data, metadata, raw: calls.append((data, metadata))
    )
    return calls


def still() -> Any:
    figure, axes = plt.subplots(figsize=(4, 3))
    axes.plot([1, 2])
    return figure


def test_a_figure_has_two_faces_and_its_words(shown: list[Any]) -> None:
    publish.show(go.Figure(go.Scatter(y=[1, 2])), still(), name="curve", alt="A curve rises.")
    ((data, metadata),) = shown
    assert set(data) == {"text/plain", "image/png", publish.PLOTLY_MIME}
    assert metadata["image/png"]["alt"] == metadata["muse"]["alt"] == "A curve rises."
    assert base64.b64decode(data["image/png"]).startswith(publish.PNG_SIGNATURE)


def test_a_still_alone_has_no_interactive_face(shown: list[Any]) -> None:
    publish.show(None, Image.new("RGB", (8, 8)), name="map", alt="A map.")
    assert publish.PLOTLY_MIME not in shown[0][0]


def test_a_picture_can_be_the_cover_of_its_notebook(shown: list[Any]) -> None:
    publish.show(None, Image.new("RGB", (8, 8)), name="map", alt="A map.")
    publish.show(None, Image.new("RGB", (8, 8)), name="best", alt="The best map.", cover=True)
    assert [metadata["muse"]["cover"] for _, metadata in shown] == [False, True]


def test_the_template_stays_small() -> None:
    spec = publish.plotly_json(go.Figure(go.Scatter(y=[1, 2])))
    assert len(json.dumps(spec)) < 2000
    assert spec["layout"]["template"]["layout"]["colorway"][0] == theme.LOSS_COLOURS["topology"]


def test_the_given_figure_is_left_as_it_was() -> None:
    figure = go.Figure(go.Scatter(y=[1, 2]))
    before = figure.to_json()
    publish.plotly_json(figure)
    assert figure.to_json() == before


def test_a_matplotlib_still_is_closed_lest_it_shows_twice(shown: list[Any]) -> None:
    publish.show(None, still(), name="curve", alt="A curve.")
    assert plt.get_fignums() == []
    assert 300 < shown[0][1]["image/png"]["width"] < 450


def test_png_bytes_pass_through() -> None:
    buffer = io.BytesIO()
    Image.new("L", (2, 2)).save(buffer, format="PNG")
    assert publish.png_bytes(buffer.getvalue()) == buffer.getvalue()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"alt": " "}, "has no alt text"),
        ({"name": "a b"}, "not a file name"),
        ({"still": None}, "has no still"),
        ({"still": "x.png"}, "a still of type str"),
        ({"figure": [1]}, "plotly Figure or None"),
    ],
)
def test_mistakes_are_one_sentence(shown: list[Any], values: dict[str, Any], sentence: str) -> None:
    good = {"figure": None, "still": Image.new("L", (2, 2)), "name": "map", "alt": "A map."}
    with pytest.raises(MuseError, match=sentence):
        publish.show(**good | values)
    assert shown == []


def test_every_loss_and_stage_has_its_own_colour() -> None:
    colours = [*theme.LOSS_COLOURS.values(), *theme.STAGE_COLOURS.values()]
    assert len(set(colours)) == 9
    assert theme.loss_colour("unheard of") == theme.MUTED
