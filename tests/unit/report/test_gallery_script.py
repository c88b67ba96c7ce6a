"""Plotly travels compressed and whole, with its licence in the open."""

import base64
import gzip
import re

from plotly.offline import get_plotlyjs

from muse_core.report.gallery_script import packed_plotly


def test_the_script_holds_the_whole_library_in_half_the_bytes() -> None:
    script = packed_plotly().decode()
    packed = re.search(r'atob\("([A-Za-z0-9+/=]+)"\)', script)[1]
    assert gzip.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()
    assert len(script) < 0.5 * len(get_plotlyjs())


def test_the_licence_can_be_read() -> None:
    assert "MIT" in packed_plotly().decode()[:600]


def test_it_is_the_same_every_time() -> None:
    assert packed_plotly() == packed_plotly()
