"""One look for every picture: font, sizes, and one fixed colour-blind-safe colour per loss and per
stage.
"""

from types import MappingProxyType
from typing import Any

INK, MUTED, GRID, PAPER = "#1f2933", "#5b6770", "#e3e7eb", "#ffffff"
MARK = "#ff2d55"
"""The colour of rings and outlines laid over images and maps."""
FONT_SIZE = 13
OTHER_SCRIPTS = ("Noto Sans CJK JP", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei")

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

VIRIDIS = "#440154 #482878 #3e4989 #31688e #26828e #1f9e89 #35b779 #6ece58 #b5de2b #fde725"
HEAT = tuple(VIRIDIS.split())
"""Viridis in ten steps, as `explorer.js` has it: no number is darker than a smaller one."""


def plotly_template() -> dict[str, Any]:
    """About 0.9 KB, where plotly's own takes 6.6 KB in every figure."""
    axis = {"gridcolor": GRID, "linecolor": MUTED, "zeroline": False, "ticks": "outside"}
    axis |= {"automargin": True, "title": {"standoff": 10, "font": {"size": FONT_SIZE}}}
    family = "system-ui, -apple-system, 'Segoe UI', sans-serif"
    title = {"x": 0, "xanchor": "left", "xref": "container", "font": {"size": FONT_SIZE + 2}}
    layout = {"font": {"family": family, "size": FONT_SIZE, "color": INK}, "title": title}
    layout |= {"paper_bgcolor": PAPER, "plot_bgcolor": PAPER, "xaxis": axis, "yaxis": axis}
    return {"layout": layout | {"hoverlabel": {"align": "left"}, "colorway": list(SEQUENCE)}}


def matplotlib_settings() -> dict[str, Any]:
    """The rcParams that stills are drawn with; captions in other scripts use what fonts
    there are.
    """
    from matplotlib.font_manager import get_font_names

    return {
        "font.family": ["DejaVu Sans", *sorted({*OTHER_SCRIPTS} & {*get_font_names()})],
        "figure.facecolor": PAPER,
        "font.size": FONT_SIZE - 3,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.titlesize": FONT_SIZE - 3,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "legend.frameon": False,
        "legend.fontsize": FONT_SIZE - 4,
        "image.interpolation": "nearest",
    }
