"""What the explorer is given is what it can give back: maps to 1/510 of their largest value, in a
page without requests.
"""

import base64
import gzip
import json
import re

import numpy as np
import pytest
import torch

from muse_core.errors import MuseError
from muse_core.evaluation.attention.map_geometry import rollout
from muse_core.figures.explorer import (
    AttentionView,
    FeatureView,
    GradientView,
    Words,
    explorer_data,
    explorer_fragment,
    explorer_widget,
    first_selection,
    looked_at,
    principal_colours,
    within_budget,
)
from muse_core.report.html import external_requests


def maps(
    images: int = 2, layers: int = 3, heads: int = 2, tokens: int = 4, seed: int = 0
) -> np.ndarray:
    scores = np.random.default_rng(seed).normal(size=(images, layers, heads, tokens, tokens)) * 3
    weights = np.exp(scores)
    return weights / weights.sum(-1, keepdims=True)


def source(name: str = "student", role: str = "student", **shape: int) -> AttentionView:
    return AttentionView(name, role, maps(**shape), (2, 2))


def data(*sources: AttentionView) -> dict:
    images = np.random.default_rng(0).random((2, 8, 8, 3))
    return explorer_data(
        images, ["a <b>", "c"], sources or (source(), source("teacher", "teacher"))
    )


def test_maps_survive_eight_bits() -> None:
    given = source()
    packed = data(given)["sources"][0]
    whole = np.frombuffer(gzip.decompress(base64.b64decode(packed["maps"])), np.uint8).reshape(
        given.maps.shape
    )
    scales = np.reshape(packed["scales"], given.maps.shape[:3])[..., None, None]
    assert np.abs(whole / 255 * scales - given.maps).max() <= (scales / 509).max()


def unpacked(text: str, *shape: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), np.uint8).reshape(shape)


def test_features_become_cosines_and_colours_of_their_own_components() -> None:
    tokens = np.random.default_rng(1).normal(size=(3, 4, 6))
    words = Words(("a", "b"), np.random.default_rng(2).normal(size=(2, 6)))
    view = FeatureView("stream", tokens, (2, 2), 1, projected=tokens)
    images = np.zeros((2, 8, 8, 3))
    data = explorer_data(images, ["a", "c"], [source()], [view], words)
    (packed,) = data["features"]
    assert data["words"] == ["a", "b"] and (packed["name"], packed["stage"]) == ("stream", 1)
    units = tokens[:2] / np.linalg.norm(tokens[:2], axis=-1, keepdims=True)
    cosines = unpacked(packed["cosines"], 2, 4, 4) / 127.5 - 1
    assert np.abs(cosines - units @ units.swapaxes(1, 2)).max() < 1 / 254
    named = words.embeddings / np.linalg.norm(words.embeddings, axis=-1, keepdims=True)
    found = unpacked(packed["words"], 2, 2, 4) / 127.5 - 1
    assert np.abs(found - named @ units.swapaxes(1, 2)).max() < 1 / 254
    # Red is the first principal component, of the shown images alone.
    flat = tokens[:2].reshape(8, 6) - tokens[:2].reshape(8, 6).mean(0)
    first = np.linalg.svd(flat)[2][0]
    red = unpacked(packed["colours"], 8, 3)[:, 0]
    assert abs(np.corrcoef(red, flat @ first)[0, 1]) > 0.97


def test_gradients_keep_their_zeros_and_places() -> None:
    view = GradientView(2, {"topology": {("W_Q", 0): 1 / 3, ("projector", -1): 0.0}})
    data = explorer_data(np.zeros((1, 8, 8, 3)), ["a"], [source(images=1)], gradients=[view])
    losses = {"topology": [["W_Q", 0, 0.3333], ["projector", -1, 0.0]]}
    assert data["gradients"] == [{"stage": 2, "losses": losses}]


def test_colours_have_one_sign_and_few_dimensions_are_enough() -> None:
    tokens = np.random.default_rng(1).normal(size=(2, 9, 6))
    assert (principal_colours(tokens) == principal_colours(tokens.copy())).all()
    thin = principal_colours(tokens[..., :2])
    assert thin.shape == (2, 9, 3) and (thin[..., 2] == 128).all()
    assert principal_colours(np.ones((1, 4, 3))).shape == (1, 4, 3)
    tokens[0, 0, 0] = np.nan
    assert principal_colours(tokens).shape == (2, 9, 3), "a network that diverged is shown, too"


def test_features_count_in_a_page_s_budget() -> None:
    view = FeatureView("stream", np.zeros((2, 4, 3)), (2, 2))
    budget = int(2 * 3 * 16 * 0.75)
    assert within_budget([source(heads=1)], budget)[1] == 2
    assert within_budget([source(heads=1)], budget, [view])[1] == 1


def test_equal_data_makes_equal_bytes() -> None:
    assert json.dumps(data()) == json.dumps(data())


def test_the_fragment_carries_its_data_and_asks_nothing_of_the_network() -> None:
    page = explorer_fragment(data(), {"layer": 1})
    assert external_requests(page) == []
    found = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(found) == {"data": data(), "selection": {"layer": 1}}
    assert "export " not in page


def test_the_widget_starts_with_the_same_data_and_falls_back_to_the_fragment() -> None:
    widget = explorer_widget(data())
    assert widget.data == data() and widget.selection == first_selection(data())
    bundle, _ = widget._repr_mimebundle_()
    assert "data-muse-explorer" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


@pytest.mark.parametrize("keys", [False, True])
def test_what_is_looked_at_is_the_row_of_the_query_or_the_column_of_the_key(keys: bool) -> None:
    given = source()
    chosen = first_selection(data(given)) | {
        "image": 1,
        "layer": 2,
        "head": 1,
        "patch": 3,
        "keys": keys,
    }
    truth = given.maps[1, 2, 1]
    np.testing.assert_array_equal(
        looked_at([given], chosen)["student"].ravel(), truth[:, 3] if keys else truth[3]
    )


@pytest.mark.parametrize("keys", [False, True])
def test_rollout_of_a_patch_is_that_of_the_whole_product(keys: bool) -> None:
    given = source()
    chosen = first_selection(data(given)) | {"mode": "rollout", "image": 1, "keys": keys}
    whole = rollout(list(torch.tensor(given.maps[1])[:, None]))[0]
    truth = (whole.T if keys else whole)[chosen["patch"]]
    np.testing.assert_allclose(looked_at([given], chosen)["student"].ravel(), truth, rtol=1e-5)


def test_what_is_looked_at_of_features_is_what_the_mode_shows() -> None:
    tokens = np.random.default_rng(2).normal(size=(3, 4, 5))
    views = [
        FeatureView("stream", tokens, (2, 2), 0, tokens[..., :2]),
        FeatureView("later", tokens, (2, 2), 1),
    ]
    words, chosen = (
        Words(("red", "blue"), np.eye(2)),
        first_selection(data()) | {"image": 1, "word": 1},
    )
    seen = lambda mode: looked_at([source()], chosen | {"mode": mode}, views, words)
    assert seen("pca").keys() == seen("cosine").keys() == seen("words").keys() == {"stream"}
    assert (seen("pca")["stream"] == principal_colours(tokens[:2])[1].reshape(2, 2, 3)).all()
    cosine = lambda a, b: a @ b / np.linalg.norm(a, axis=-1) / np.linalg.norm(b)
    truth = cosine(tokens[1], tokens[1, chosen["patch"]])
    np.testing.assert_allclose(seen("cosine")["stream"].ravel(), truth, rtol=1e-5)
    named = cosine(tokens[1, :, :2], np.array([0, 1]))
    np.testing.assert_allclose(seen("words")["stream"].ravel(), named, rtol=1e-5)
    assert seen("gradients") == {}
    with pytest.raises(MuseError, match="no word 2 to look at: choose 0 to 1"):
        looked_at([source()], chosen | {"mode": "words", "word": 2}, views, words)


def test_a_patch_off_the_grid_is_a_sentence() -> None:
    with pytest.raises(MuseError, match="no patch 4 to look at: choose 0 to 3"):
        looked_at([source()], first_selection(data(source())) | {"patch": 4})


def test_an_image_dropped_on_the_widget_becomes_data_or_a_sentence() -> None:
    def add(name: str, content: bytes) -> dict:
        if not content:
            raise MuseError(f"{name} is empty.")
        return {**data(), "names": ["a <b>", name]}

    widget, sent = explorer_widget(data(), add), []
    widget.send = lambda content, buffers=None: sent.append(content)
    widget._handle_custom_msg({"name": "new.png"}, [b"1"])
    assert widget.data["names"][-1] == "new.png" and widget.asks == ["image"] and not sent
    widget._handle_custom_msg({"name": "bad.png"}, [b""])
    assert sent == [{"says": "bad.png is empty."}]


def test_a_page_s_budget_costs_heads_first_and_then_images() -> None:
    given = [source(heads=4, images=5)]
    all_of_it, count, note = within_budget(given, 10**6)
    assert (all_of_it[0].maps.shape, count, note) == (given[0].maps.shape, 5, "")
    each = given[0].maps[0].size * 0.75
    fewer, count, note = within_budget(given, int(3.5 * each))
    assert count == 3 and fewer[0].maps.shape[2] == 4 and "3 of 5 images" in note
    halved, count, note = within_budget(given, int(1.6 * each))
    np.testing.assert_allclose(halved[0].maps[:, :, 0], given[0].maps[:3, :, :2].mean(2))
    assert count == 3 and "groups of 2" in note
    with pytest.raises(MuseError, match="lower the resolution"):
        within_budget(given, 1)


def test_a_page_stays_under_eight_megabytes_even_with_maps_that_do_not_compress() -> None:
    noise = np.random.default_rng(0).random((8, 6, 4, 64, 64), dtype=np.float32)
    given = [AttentionView(f"network {at}", "student", noise, (8, 8)) for at in range(8)]
    sources, count, _ = within_budget(given)
    page = explorer_fragment(explorer_data(np.zeros((count, 8, 8, 3)), ["x"] * count, sources))
    assert 3 <= count < 8 and len(page) < 8_000_000
