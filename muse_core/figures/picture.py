"""`Picture`, a figure as data: panels of marks, their numbers computed once.

`interactive` (plotly) and `still` (matplotlib) draw the very same marks, and `image_page` (HTML)
those of images; a notebook shows a picture that stands on a cell's last line with both faces.
"""

import base64
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from muse_core.errors import MuseError
from muse_core.figures.marks import Drawing

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

PLOTLY_MIME = "application/vnd.plotly.v1+json"


@dataclass(frozen=True, eq=False, repr=False)
class Picture(Drawing):
    """A drawing with its words. ``alt``: what it shows (else its title); ``cover``: it stands for
    its notebook in the index, where else the first picture would. `shown` sets both.
    """

    alt: str = ""
    cover: bool = False

    def shown(self, name: str = "", alt: str = "", cover: bool = False) -> "Picture":
        """The same picture under this file name and with these words; put it on a cell's last line.

        Args:
            name: A file name without suffix: letters, digits, "_" and "-".
            alt: One sentence on what it shows, for readers who do not see it.
            cover: Whether it stands for its notebook in the index.

        Raises:
            MuseError: The name is no file name.
        """
        given = name or self.name
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", given):
            raise MuseError(
                f"The figure name {given!r} is not a file name: use letters, digits, '_' and '-'."
            )
        return replace(self, name=given, alt=alt.strip() or self.alt, cover=cover)

    @cached_property
    def still(self) -> "Figure":
        """The picture as matplotlib draws it."""
        from muse_core.figures import still

        return still.drawn(self)

    @cached_property
    def figure(self) -> "go.Figure | None":
        """The picture as plotly draws it; None for images."""
        from muse_core.figures import interactive

        return None if self.is_image else interactive.drawn(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        from muse_core.figures import image_page, interactive, still

        png = still.png(self.still)
        data: dict[str, Any] = {"text/plain": repr(self)}
        data["image/png"] = base64.b64encode(png).decode("ascii")
        if self.figure is not None:
            data[PLOTLY_MIME] = interactive.plain_json(self.figure, self.name)
        else:
            data["text/html"] = image_page.html(self)
        width = round(int.from_bytes(png[16:20], "big") * 100 / still.DPI)
        notes = {"name": self.name, "alt": repr(self), "cover": self.cover}
        if self.cover:
            small = (image_page if self.is_image else still).thumbnail(self)
            notes["thumbnail"] = base64.b64encode(small).decode("ascii")
        return data, {"image/png": {"alt": repr(self), "width": width}, "muse": notes}

    def __repr__(self) -> str:
        return self.alt or self.title


def nothing(title: str, what: str) -> MuseError:
    """The sentence for a figure without data."""
    return MuseError(f"There is nothing to draw in {title!r}: give at least one {what}.")
