"""What the notebook ``tools/watch`` does around its story: a plot that follows a run in another
process.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from muse_core.config.parameters import WatchParameters
from muse_core.figures import LivePlot
from muse_core.report.watch import followers
from muse_core.results.metrics_tail import StageFollower, updates


@dataclass
class WatchSession:
    """A run about to be followed. ``stages``: name -> its rows so far."""

    parameters: WatchParameters
    plot: LivePlot = field(default_factory=lambda: LivePlot(seconds=0))
    stages: dict[str, StageFollower] = field(default_factory=dict)

    def follow(self) -> int:
        """Feed the plot until the run's stages have ended or the time is over; returns how many
        rows there are.
        """
        p = self.parameters
        for follower in updates(partial(followers, p.run), p.seconds, p.every):
            self.stages[follower.name] = follower
            self.plot.update(follower.rows, follower.name)
        return sum(len(follower.rows) for follower in self.stages.values())

    @property
    def lines(self) -> list[str]:
        """How each stage stands."""
        return [
            f"{name}: step {follower.rows[-1]['step']:,}, {'finished' if follower.finished else 'not finished'}"
            for name, follower in self.stages.items()
        ]


def begin_watch(**parameters: Any) -> WatchSession:
    """Check the parameters. Raises MuseError, one sentence, for a wrong one and for a run that has
    not begun.
    """
    checked = WatchParameters.check(**parameters)
    followers(checked.run)
    return WatchSession(checked)
