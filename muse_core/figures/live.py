"""A loss plot that grows while a stage trains: one output that is redrawn, in JupyterLab and under
papermill alike.
"""

import io
import time
from collections.abc import Sequence

from IPython.display import Image, display

from muse_core.figures.curves import loss_curves


class LivePlot:
    """Call it with all metric rows so far; it redraws at most every ``seconds``."""

    def __init__(self, names: Sequence[str], seconds: float = 5.0) -> None:
        self.names, self.seconds = list(names), seconds
        self.handle, self.drawn_at = None, time.monotonic()

    def __call__(self, rows: list[dict[str, float]]) -> None:
        if len(rows) < 2 or time.monotonic() - self.drawn_at < self.seconds:
            return
        image = Image(self._picture(rows), metadata={"alt": "Losses of the running stage so far"})
        if self.handle is None:
            self.handle = display(image, display_id=True)
        else:
            self.handle.update(image)
        self.drawn_at = time.monotonic()

    def _picture(self, rows: list[dict[str, float]]) -> bytes:
        import matplotlib.pyplot as plt

        picture = loss_curves(rows, self.names, title=f"Training, step {rows[-1]['step']:.0f}")
        buffer = io.BytesIO()
        picture.still.savefig(buffer, format="png", dpi=80)
        plt.close(picture.still)
        return buffer.getvalue()
