"""Pairs lie over each other, their words are escaped, and uneven numbers are a sentence."""

import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures.before_after import before_after


def test_each_pair_is_one_picture_with_its_caption() -> None:
    images = np.zeros((2, 3, 8, 8), dtype=np.float32)
    page = before_after(images, images + 1, ["make <it> red", "remove it"], "Edits")
    assert page.count('alt="before"') == page.count('alt="after"') == 2
    assert page.count('type="range"') == 1 and "make &lt;it&gt; red" in page and "<it>" not in page
    sources = [part.split('"')[0] for part in page.split('src="')[1:]]
    assert sources[0] == sources[2] != sources[1] == sources[3]


def test_uneven_numbers_are_a_sentence() -> None:
    images = np.zeros((2, 3, 8, 8), dtype=np.float32)
    with pytest.raises(MuseError, match="2 images before, 1 after and 2 captions"):
        before_after(images, images[:1], ["a", "b"])
