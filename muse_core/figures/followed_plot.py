"""A loss plot that follows a stage which another process trains: fed with new rows, and a still of
what it has seen.
"""

import plotly.graph_objects as go

from muse_core.figures.curves import colour_of, loss_curves
from muse_core.figures.picture import Picture
from muse_core.results.metrics_tail import StageFollower, losses_of


class WatchPlot:
    """The curves of one stage after the other as a plotly widget that is fed with new rows, and a
    still of the last.
    """

    def __init__(self) -> None:
        self.widget = go.FigureWidget(
            layout={"height": 420, "xaxis_title": "step", "yaxis_title": "loss"}
        )
        self.stage: StageFollower | None = None

    def show(self, follower: StageFollower) -> None:
        """Draw what the follower has; only what is new travels to the browser as a longer line."""
        with self.widget.batch_update():
            if self.stage is not follower:
                self.stage, self.widget.data = follower, ()
            drawn = {trace.name: trace for trace in self.widget.data}
            for at, name in enumerate(losses_of(follower.rows)):
                steps, values = zip(
                    *((row["step"], row[name]) for row in follower.rows if name in row), strict=True
                )
                if name in drawn:
                    drawn[name].x, drawn[name].y = steps, values
                else:
                    line = {"color": colour_of(name, at)}
                    self.widget.add_scatter(x=steps, y=values, name=name, mode="lines", line=line)
            self.widget.layout.title.text = f"{follower.name}, step {follower.rows[-1]['step']:,}"

    def picture(self) -> Picture | None:
        """The still face, with its curves smoothed; None before anything was seen."""
        if self.stage is None or not losses_of(self.stage.rows):
            return None
        rows = self.stage.rows
        return loss_curves(
            rows, losses_of(rows), title=f"{self.stage.name}, step {rows[-1]['step']:,}"
        )
