"""`show`: one notebook output with two faces, interactive where plotly runs and a still picture
everywhere else.
"""

import base64
import io
import json
import re
import sys
from typing import Any

from muse_core.errors import MuseError
from muse_core.figures import theme

PLOTLY_MIME = "application/vnd.plotly.v1+json"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
STILL_DPI = 160


def show(
    figure: Any = None, still: Any = None, *, name: str, alt: str, cover: bool = False
) -> None:
    """Display a plotly figure together with its still, or a still alone.

    The still is a matplotlib Figure, a PIL image or PNG bytes, drawn from the same arrays. GitHub,
    nbconvert and readers without JavaScript see it; ``alt`` says in words what it shows and reaches
    the page's HTML. ``cover``: this picture stands for its notebook in the index and the gallery,
    where else the first one would. Raises MuseError when the still or its words are missing or of a
    kind that cannot be drawn."""
    from IPython.display import display

    _check_words(name, alt)
    png = png_bytes(still, name)
    data: dict[str, Any] = {"text/plain": alt, "image/png": base64.b64encode(png).decode("ascii")}
    if figure is not None:
        data[PLOTLY_MIME] = plotly_json(figure, name)
    notes = {"name": name, "alt": alt, "cover": cover}
    display(
        data,
        metadata={"image/png": {"alt": alt, **_display_width(still, png)}, "muse": notes},
        raw=True,
    )


def plotly_json(figure: Any, name: str = "figure") -> dict[str, Any]:
    """The figure as plain JSON with the small template in place of plotly's. Raises MuseError if it
    is no figure.
    """
    if not hasattr(figure, "to_json"):
        raise MuseError(
            f"The figure {name!r} is a {type(figure).__name__}: give show() a plotly Figure or None."
        )
    spec = inert(json.loads(figure.to_json(validate=False)))
    spec.setdefault("layout", {})["template"] = theme.plotly_template()
    spec["config"] = {
        "displaylogo": False,
        "responsive": True,
        "toImageButtonOptions": {"filename": name},
    }
    return spec


def inert(value: Any) -> Any:
    """The same JSON with every tag in its texts made harmless but for those that our own figures
    use.

    Plotly reads a little HTML in titles, names, labels and hovers, links and styles included;
    captions and class names reach all of them."""
    if isinstance(value, str):
        return _TAG.sub("&lt;", value)
    if isinstance(value, dict):
        return {name: inert(each) for name, each in value.items()}
    return [inert(each) for each in value] if isinstance(value, list) else value


_TAG = re.compile(r"<(?!/?(?:br|b|i|sub|sup|extra)>)", re.IGNORECASE)


def png_bytes(still: Any, name: str = "figure") -> bytes:
    """PNG bytes of a matplotlib Figure, a PIL image or PNG bytes. Raises MuseError for anything
    else.
    """
    if isinstance(still, bytes) and still.startswith(PNG_SIGNATURE):
        return still
    if hasattr(still, "savefig"):
        return _matplotlib_png(still)
    if hasattr(still, "save") and hasattr(still, "mode"):
        return _pil_png(still)
    given = "no still" if still is None else f"a still of type {type(still).__name__}"
    raise MuseError(
        f"The figure {name!r} has {given}: give show() a matplotlib Figure, a PIL image or PNG bytes."
    )


def _matplotlib_png(figure: Any) -> bytes:
    """Draw it, then close it: an open figure would be shown a second time at the end of its cell."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=STILL_DPI, bbox_inches="tight", facecolor=theme.PAPER)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)
    return buffer.getvalue()


def _pil_png(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _display_width(still: Any, png: bytes) -> dict[str, int]:
    """Matplotlib stills are drawn finer than shown, so their width in CSS pixels is given beside
    them.
    """
    width = int.from_bytes(png[16:20], "big")
    return {"width": round(width * 100 / STILL_DPI)} if hasattr(still, "savefig") else {}


def _check_words(name: str, alt: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise MuseError(
            f"The figure name {name!r} is not a file name: use letters, digits, '_' and '-'."
        )
    if not alt.strip():
        raise MuseError(f"The figure {name!r} has no alt text: say in one sentence what it shows.")
