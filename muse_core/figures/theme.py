"""One look for every picture: font, sizes, and one fixed colour-blind-safe colour per loss and per
stage.
"""

from types import MappingProxyType
from typing import Any

INK, MUTED, GRID, PAPER = "#1f2933", "#5b6770", "#e3e7eb", "#ffffff"
FONT_SIZE = 13
WIDE = (9.0, 4.2)
"""The usual size of a still, in inches."""

LOSS_COLOURS = MappingProxyType(
    {
        "topology": "#0072B2",
        "anchor": "#D55E00",
        "reconstruction": "#009E73",
        "perceptual": "#CC79A7",
        "adversarial": "#E69F00",
        "total": "#3B4248",
    }
)
"""Okabe and Ito's palette (2008), told apart by readers with any common colour blindness."""

STAGE_COLOURS = MappingProxyType({1: "#9C82C7", 2: "#6A4A9C", 3: "#34175F"})
"""One hue that darkens from stage to stage, so the order survives a grey print."""

SEQUENCE = (*LOSS_COLOURS.values(), "#56B4E9")
"""Colours for anything that is neither a loss nor a stage, in this order."""

ATTENTION_MAP = "viridis"


def loss_colour(name: str) -> str:
    """The colour of a loss; an unknown name gets the quiet grey of a side note."""
    return LOSS_COLOURS.get(name, MUTED)


def stage_colour(stage: int) -> str:
    """The colour of stage 1, 2 or 3; grey beyond."""
    return STAGE_COLOURS.get(stage, MUTED)


def plotly_layout(**changes: Any) -> dict[str, Any]:
    """A small plotly layout: ``figure.update_layout(**plotly_layout(title="..."))``."""
    axis = {
        "gridcolor": GRID,
        "linecolor": MUTED,
        "zeroline": False,
        "ticks": "outside",
        "automargin": True,
    }
    layout = {
        "font": {
            "family": "system-ui, -apple-system, 'Segoe UI', sans-serif",
            "size": FONT_SIZE,
            "color": INK,
        },
        "colorway": list(SEQUENCE),
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "margin": {"l": 60, "r": 24, "t": 56, "b": 52},
        "title": {"x": 0, "xanchor": "left", "xref": "paper", "font": {"size": FONT_SIZE + 2}},
        "xaxis": axis,
        "yaxis": dict(axis),
        "hoverlabel": {"align": "left"},
    }
    return layout | changes


def plotly_template() -> dict[str, Any]:
    """The same layout as a template: about 0.9 KB, where plotly's own takes 6.6 KB in every figure."""
    return {"layout": plotly_layout()}


def matplotlib_settings() -> dict[str, Any]:
    """The rcParams behind `apply_matplotlib`."""
    from cycler import cycler

    return {
        "figure.figsize": WIDE,
        "figure.dpi": 100,
        "figure.facecolor": PAPER,
        "font.size": FONT_SIZE - 2,
        "text.color": INK,
        "axes.titlesize": FONT_SIZE,
        "axes.titlelocation": "left",
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": cycler(color=SEQUENCE),
        "grid.color": GRID,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "legend.frameon": False,
        "image.cmap": ATTENTION_MAP,
        "image.interpolation": "nearest",
    }


def apply_matplotlib() -> None:
    """Give every later matplotlib figure of this process the theme."""
    import matplotlib

    matplotlib.rcParams.update(matplotlib_settings())
