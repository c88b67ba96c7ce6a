"""One look for every picture: font, sizes, and one fixed colour-blind-safe colour per loss and per
stage.
"""

from functools import cache
from types import MappingProxyType
from typing import Any

INK, MUTED, GRID, PAPER = "#1f2933", "#5b6770", "#e3e7eb", "#ffffff"
MARK = "#ff2d55"
"""The colour of rings and outlines laid over images and maps."""
DARK = MappingProxyType(
    {
        INK: "#e4e8eb",
        MUTED: "#a3adb6",
        GRID: "#323b44",
        PAPER: "#14181c",
        "rgba(255,255,255,.85)": "rgba(20,24,28,.85)",
        "#0072B2": "#56b4e9",
        "#56B4E9": "#f0e442",
        "#3B4248": "#c3c9ce",
        "#34175F": "#c9b5f5",
        "#6A4A9C": "#a489dd",
        "#9C82C7": "#7f62b8",
        "#8cc3e8": "#2c6a94",
        "#cfe6f5": "#1d4561",
        "#f3f5f7": "#1f262d",
        "#c4cad0": "#48525c",
        "#f6b8ab": "#8a3a2e",
    }
)
"""A colour of figures on white paper -> what stands for it on a dark page."""
FONT_SIZE = 13
OTHER_SCRIPTS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", "IPAexGothic"),
    *("Noto Sans Devanagari", "Noto Sans Thai", "Noto Emoji", "Segoe UI Emoji", "Symbola"),
)
"""Fonts that are used where they are installed."""
BOXES = "Last Resort High-Efficiency"
"""Comes with matplotlib: a box with the script's sign for any letter."""

LOSS_COLOURS = MappingProxyType(
    {
        "topology": "#0072B2",
        "anchor": "#D55E00",
        "reconstruction": "#009E73",
        "perceptual": "#CC79A7",
        "adversarial": "#E69F00",
        "total": "#3B4248",
        "discriminator": "#56B4E9",
    }
)
"""Okabe and Ito's palette (2008), told apart by readers with any common colour blindness."""

STAGE_COLOURS = MappingProxyType({1: "#9C82C7", 2: "#6A4A9C", 3: "#34175F"})
"""One hue that darkens from stage to stage, so the order survives a grey print."""

SEQUENCE = tuple(LOSS_COLOURS.values())
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


@cache
def families() -> tuple[str, ...]:
    """The fonts of stills, in the order in which they are asked for a letter."""
    from matplotlib.font_manager import get_font_names

    return ("DejaVu Sans", *sorted({*OTHER_SCRIPTS} & {*get_font_names()}))


@cache
def drawable() -> frozenset[int]:
    """Code points that one of `families` has."""
    from matplotlib.font_manager import findfont, get_font

    return frozenset().union(*(get_font(findfont(name)).get_charmap() for name in families()))


def matplotlib_settings() -> dict[str, Any]:
    """The rcParams that stills are drawn with; captions in other scripts use what fonts
    there are.
    """
    return {
        "font.family": [*families(), BOXES],
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
