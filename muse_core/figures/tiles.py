"""Many small maps as one heatmap: one trace of uint8 is a tenth of the page that a grid of subplots
costs.
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from matplotlib import colormaps
from matplotlib.colors import to_hex

from muse_core.figures.picture import Z_STEPS, colour_scale, interactive, quantised
from muse_core.figures.theme import ATTENTION_MAP


def tiled(maps: np.ndarray) -> np.ndarray:
    """Maps (rows, columns, h, w) as one picture, one empty (NaN) line between neighbours."""
    rows, columns, height, width = maps.shape
    sheet = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan, dtype=np.float32)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + 1), column * (width + 1)
            sheet[top : top + height, left : left + width] = maps[row, column]
    return sheet


def tiled_heatmap(
    sheet: np.ndarray,
    grid: tuple[int, int],
    row_names: Sequence[str],
    column_names: Sequence[str],
    title: str,
    queries: Sequence[int],
) -> go.Figure:
    """The interactive face of a `tiled` sheet of shares in [0, 1]; a ring marks the row's query in
    each tile.
    """
    height, width = grid
    middles_x = [at * (width + 1) + (width - 1) / 2 for at in range(len(column_names))]
    middles_y = [at * (height + 1) + (height - 1) / 2 for at in range(len(row_names))]
    figure = interactive(
        title,
        max(320, min(1000, 130 + 700 * sheet.shape[0] // sheet.shape[1])),
        margin={"l": 90, "t": 100},
    )
    figure.add_heatmap(
        z=quantised(sheet, 0, 1),
        zmin=0,
        zmax=Z_STEPS,
        colorscale=_heat_scale(),
        colorbar=_BAR,
        hovertemplate="%{z}/255 of the row's largest<extra></extra>",
    )
    rings = [
        (left * (width + 1) + query % width, top * (height + 1) + query // width)
        for top, query in enumerate(queries)
        for left in range(len(column_names))
    ]
    figure.add_scatter(
        x=[x for x, _ in rings],
        y=[y for _, y in rings],
        mode="markers",
        hoverinfo="skip",
        showlegend=False,
        marker={"symbol": "circle-open", "color": "#ff2d55", "size": 7},
    )
    figure.update_xaxes(
        tickvals=middles_x, ticktext=list(column_names), side="top", showgrid=False, zeroline=False
    )
    figure.update_yaxes(
        tickvals=middles_y, ticktext=list(row_names), autorange="reversed", scaleanchor="x"
    )
    figure.update_yaxes(showgrid=False, zeroline=False)
    return figure


_BAR = {"tickvals": [1, Z_STEPS], "ticktext": ["0", "row's largest"], "len": 0.6}


def _heat_scale() -> list[list[object]]:
    return colour_scale([to_hex(colormaps[ATTENTION_MAP](at)) for at in np.linspace(0, 1, 9)])
