"""Coarser maps: 64 steps, a small known error, the ends exact, and everything else untouched."""

import base64
import gzip
import json

import numpy as np
import pytest

from muse_core.report.gallery_explorer import STEPS, in_64_steps


def packed(values: np.ndarray) -> str:
    return base64.b64encode(gzip.compress(values.astype(np.uint8).tobytes())).decode()


def given(maps: str) -> str:
    return json.dumps(
        {"data": {"sources": [{"maps": maps, "name": "<b>"}]}, "selection": {"layer": 2}}
    )


def test_every_value_moves_by_half_a_step_at_most() -> None:
    values = np.arange(256)
    text = in_64_steps(given(packed(values)))
    after = np.frombuffer(
        gzip.decompress(base64.b64decode(json.loads(text)["data"]["sources"][0]["maps"])), np.uint8
    )
    assert len(np.unique(after)) == STEPS and (after[0], after[-1]) == (0, 255)
    assert np.abs(after.astype(int) - values).max() <= 2


def test_the_rest_stays_and_may_stand_in_a_page() -> None:
    text = in_64_steps(given(packed(np.zeros(4))))
    assert json.loads(text)["selection"] == {"layer": 2} and "<" not in text


def test_noisy_maps_get_lighter() -> None:
    maps = given(packed(np.random.default_rng(0).integers(0, 256, 4000)))
    assert len(in_64_steps(maps)) < 0.8 * len(maps)


@pytest.mark.parametrize(
    "text", ['{"data": [1]}', '{"maps": 1}', '{"maps"', given("no maps"), given("AAAA"), "[]"]
)
def test_other_json_is_left_as_it_is(text: str) -> None:
    assert in_64_steps(text) == text
