"""Arrays and records in, pictures and tables out; nothing here knows torch.

A figure function returns a `Picture`: data that both plotly and matplotlib draw, shown by standing
on the last line of a notebook's cell.
"""

from muse_core.figures.attention_overlay import (
    attention_atlas,
    attention_comparison,
    saliency_comparison,
)
from muse_core.figures.comparison_plots import bars, following_bars, intervals, study_differences
from muse_core.figures.curves import LivePlot, convergence, loss_curves
from muse_core.figures.gradient_plots import (
    Curve,
    cosine_boxes,
    cosine_curves,
    energy_violins,
    trunk_conflict,
)
from muse_core.figures.heads import by_layer
from muse_core.figures.images import (
    edit_strip,
    image_grid,
    mask_overlay,
    reconstruction_grid,
    sample_grid,
    sample_strips,
    segmentation_overlays,
)
from muse_core.figures.matrices import route_table, similarity_matrix, stage_routes
from muse_core.figures.picture import PLOTLY_MIME, Picture
from muse_core.figures.result_tables import (
    comparison_table,
    features_table,
    outcome_sentences,
    results_table,
    study_table,
    variant_table,
)
from muse_core.figures.table_one import ORDERS, frontier, order, table_one
