"""A report page made light for the gallery: pictures as WebP files beside it, plotly packed,
attention in 64 steps.

Measured on run tiny, pages 00 to 05, 18.6 MB with plotly: lossless WebP files instead of PNG in
base64 save 5.2 MB, and a picture that did not change keeps its file, so that git stores it once;
plotly, compressed, saves 2.8 MB; the explorer's maps in 64 steps save 1.7 MB; stills that an
interactive figure covers at once, stored lossily and as large as they are shown, save 0.5 MB. The
rest is text."""

import base64
import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from PIL import Image

from muse_core.report.covers import on_white
from muse_core.report.gallery_explorer import in_64_steps

PLOTLY = "assets/plotly.packed.js"
"""Where the pages find `gallery_script.packed_plotly`."""
FALLBACK_QUALITY = 80

Encoder = Callable[[bytes, int], tuple[bytes, str]]
"""(PNG, shown width in pixels or 0) -> (picture, its kind)."""

_FIGURE = re.compile(r'<figure data-plotly="1">(.*?)</figure>', re.DOTALL)
_IMAGE = re.compile(r'<img\b[^>]*?\ssrc="data:image/png;base64,([A-Za-z0-9+/=\s]+)"[^>]*>')
_PLOTLY_SCRIPT = re.compile(r'<script\b[^>]*\bsrc="assets/plotly\.min\.js"[^>]*></script>')
_DATA = re.compile(r'(<script type="application/json">)(.*?)(</script>)', re.DOTALL)


@dataclass(frozen=True)
class LightPage:
    """The page's HTML, and the files it needs: place beside the page -> content."""

    html: str
    files: dict[str, bytes] = field(default_factory=dict)


def lighten(page: str, *, interactive: bool) -> LightPage:
    """A light copy. ``interactive``: whether plotly's figures stay alive, or only their stills; the
    explorer always does.
    """
    files: dict[str, bytes] = {}
    figures = (lambda found: _woken(found, files)) if interactive else _still
    page = _FIGURE.sub(figures, page)
    page = _PLOTLY_SCRIPT.sub(
        f'<script defer src="{PLOTLY}"></script>' if interactive else "", page
    )
    page = _DATA.sub(lambda found: found[1] + in_64_steps(found[2]) + found[3], page)
    return LightPage(_IMAGE.sub(lambda found: _filed(found, files, _lossless), page), files)


def _woken(figure: re.Match[str], files: dict[str, bytes]) -> str:
    """An interactive figure with a smaller still, which readers see without JavaScript only."""
    return _IMAGE.sub(lambda found: _filed(found, files, _fallback), figure[0])


def _still(figure: re.Match[str]) -> str:
    """The figure's still alone, or its words where it has none."""
    image, words = (
        _IMAGE.search(figure[1]),
        re.search(r'aria-label=("[^"]*"|\'[^\']*\')', figure[1]),
    )
    inside = image[0] if image else f"<figcaption>{words[1][1:-1] if words else ''}</figcaption>"
    return f"<figure>{inside}</figure>"


def _filed(image: re.Match[str], files: dict[str, bytes], encode: Encoder) -> str:
    """The ``img`` tag with its picture in a file that is named after its content; unchanged if it
    cannot be read.
    """
    width = re.search(r'\swidth="(\d+)"', image[0])
    try:
        data, kind = encode(base64.b64decode(image[1]), int(width[1]) if width else 0)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return image[0]
    name = f"assets/{hashlib.sha256(data).hexdigest()[:16]}.{kind}"
    files[name] = data
    return image[0].replace(f"data:image/png;base64,{image[1]}", name)


@lru_cache(maxsize=256)
def _lossless(png: bytes, _: int) -> tuple[bytes, str]:
    """Every pixel as it was, as WebP or PNG, whichever is smaller."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).save(
        buffer, format="WEBP", lossless=True, quality=90, method=4, exact=True
    )
    return min((buffer.getvalue(), "webp"), (png, "png"), key=lambda one: len(one[0]))


@lru_cache(maxsize=256)
def _fallback(png: bytes, width: int) -> tuple[bytes, str]:
    """As large as it is shown, and lossy."""
    image, buffer = on_white(Image.open(io.BytesIO(png))), io.BytesIO()
    if 0 < width < image.width:
        image = image.resize(
            (width, round(image.height * width / image.width)), Image.Resampling.LANCZOS
        )
    image.save(buffer, format="WEBP", quality=FALLBACK_QUALITY, method=6)
    return buffer.getvalue(), "webp"
