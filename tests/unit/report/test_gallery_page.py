"""Light pages: the same pictures in fewer bytes, figures alive or still, nothing else changed."""

import base64
import io
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from PIL import Image

from muse_core.figures import PLOTLY_MIME
from muse_core.figures.explorer import AttentionSource, explorer_data, explorer_fragment
from muse_core.report import html
from muse_core.report.gallery_page import PLOTLY, lighten

from .executed import picture, png

SPEC = {"data": [{"type": "scatter", "y": [1, 2], "name": "</figure>"}], "layout": {"height": 300}}


def chart(width: int = 900, height: int = 300) -> bytes:
    """Two colours and a slope, as in a plot."""
    rows, columns = np.mgrid[:height, :width]
    buffer = io.BytesIO()
    Image.fromarray(np.where(rows * 3 > columns, 255, 40).astype(np.uint8)).convert("RGB").save(
        buffer, format="PNG"
    )
    return buffer.getvalue()


def page_of(tmp_path: Path, *outputs: Any) -> str:
    """The page as the runner exports it."""
    cells = [nbformat.v4.new_code_cell("1", outputs=[output]) for output in outputs]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "00_a.ipynb")
    return html.export(tmp_path / "00_a.ipynb").read_text()


def two_faced(**notes: Any) -> Any:
    output = picture('A "curve" <falls>', chart(), **notes)
    output.data[PLOTLY_MIME] = SPEC
    output.metadata["image/png"] = {"width": 300}
    return output


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


@pytest.mark.parametrize("interactive", [True, False])
def test_pictures_move_into_files_pixel_by_pixel(tmp_path: Path, interactive: bool) -> None:
    light = lighten(page_of(tmp_path, picture("A chart", chart())), interactive=interactive)
    ((name, data),) = light.files.items()
    assert (
        f'src="{name}"' in light.html
        and 'alt="A chart"' in light.html
        and "data:image/png" not in light.html
    )
    assert opened(data).tobytes() == opened(chart()).tobytes() and len(data) < len(chart())


def test_the_same_picture_is_stored_once(tmp_path: Path) -> None:
    light = lighten(
        page_of(tmp_path, picture("One", chart()), picture("Two", chart())), interactive=True
    )
    assert len(light.files) == 1 and light.html.count(next(iter(light.files))) == 2


def test_a_live_figure_keeps_a_still_as_large_as_it_is_shown(tmp_path: Path) -> None:
    light = lighten(page_of(tmp_path, two_faced()), interactive=True)
    assert "data-plotly" in light.html and f'<script defer src="{PLOTLY}">' in light.html
    assert "plotly.min.js" not in light.html
    assert [opened(data).size for data in light.files.values()] == [(300, 100)]


def test_a_stilled_figure_keeps_its_picture_and_its_words_alone(tmp_path: Path) -> None:
    light = lighten(page_of(tmp_path, two_faced()), interactive=False)
    assert (
        "<figure data-plotly" not in light.html
        and "scatter" not in light.html
        and "plotly.min.js" not in light.html
    )
    assert "&lt;falls&gt;" in light.html
    assert [opened(data).size for data in light.files.values()] == [(900, 300)]


def test_a_stilled_figure_without_a_picture_says_what_it_was(tmp_path: Path) -> None:
    output = two_faced()
    del output.data["image/png"]
    assert "<figcaption>A &quot;curve&quot; &lt;falls&gt;</figcaption>".replace(
        "&quot;", '"'
    ) in lighten(page_of(tmp_path, output), interactive=False).html.replace("&quot;", '"')


def test_a_picture_that_cannot_be_read_stays(tmp_path: Path) -> None:
    page = page_of(tmp_path, picture("Damaged", b"\x89PNG\r\n\x1a\nnothing"))
    light = lighten(page, interactive=True)
    assert (
        light.files == {} and base64.b64encode(b"\x89PNG\r\n\x1a\nnothing").decode() in light.html
    )


def test_the_explorer_stays_and_gets_lighter(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).dirichlet(np.ones(16), (1, 2, 2, 16)).astype(np.float32)
    source = AttentionSource("student", "student", maps, (4, 4))
    fragment = explorer_fragment(explorer_data(np.zeros((1, 8, 8, 3)), ["black"], [source]))
    page = page_of(tmp_path, nbformat.v4.new_output("display_data", data={"text/html": fragment}))
    light = lighten(page, interactive=False)
    assert "data-muse-explorer" in light.html and len(light.html) < len(page)


def test_equal_pages_give_equal_bytes(tmp_path: Path) -> None:
    page = page_of(tmp_path, two_faced(), picture("A tile", png()))
    assert lighten(page, interactive=True) == lighten(page, interactive=True)
