"""The former way to show a figure, until no notebook is left that calls it."""

import base64
from typing import Any


def show(
    figure: Any = None, still: Any = None, *, name: str, alt: str, cover: bool = False
) -> None:
    """Display a picture's two faces under this name and with these words."""
    from IPython.display import display

    from muse_core.figures import PLOTLY_MIME, interactive
    from muse_core.figures.still import png

    image = still if isinstance(still, bytes) else png(still)
    data: dict[str, Any] = {"text/plain": alt, "image/png": base64.b64encode(image).decode()}
    if figure is not None:
        data[PLOTLY_MIME] = interactive.plain_json(figure, name)
    notes = {"name": name, "alt": alt, "cover": cover}
    display(data, metadata={"image/png": {"alt": alt}, "muse": notes}, raw=True)
