"""A box to type a prompt in, beside the image it makes: for JupyterLab; an exported page shows the
first image.
"""

from collections.abc import Callable
from html import escape

import ipywidgets as widgets
import numpy as np
from PIL import Image

from muse_core.errors import MuseError
from muse_core.figures.images import image_grid
from muse_core.figures.picture import Picture

Draw = Callable[[str, float, int], Image.Image]
"""(prompt, guidance, seed) -> an image."""

WIDTH = 256
"""Pixels of the image as it is shown."""


class PromptBox:
    """``draw`` is asked at every change; a `MuseError` it raises is shown as its sentence, and the
    last image stays.
    """

    def __init__(self, draw: Draw, prompt: str, guidance: float = 3.0, seed: int = 0) -> None:
        self.draw = draw
        self.prompt = widgets.Text(
            prompt, description="prompt", continuous_update=False, layout={"width": "32em"}
        )
        self.guidance = widgets.FloatSlider(
            guidance, min=0, max=8, step=0.5, description="guidance", continuous_update=False
        )
        self.seed = widgets.BoundedIntText(seed, min=0, max=2**31 - 1, description="seed")
        self.image = widgets.Image(format="png", width=WIDTH)
        self.sentence = widgets.HTML()
        for control in (self.prompt, self.guidance, self.seed):
            control.observe(lambda change: self.redraw(), names="value")
        self.redraw()
        controls = widgets.VBox([self.prompt, self.guidance, self.seed, self.sentence])
        self.widget = widgets.HBox([controls, self.image])

    def redraw(self) -> None:
        """Draw what the controls say now."""
        self.sentence.value = "drawing ..."
        try:
            self.shown = self.draw(
                self.prompt.value, float(self.guidance.value), int(self.seed.value)
            )
        except MuseError as error:
            self.sentence.value = escape(str(error))
            return
        # Enlarged without smoothing, so that a small image's pixels stay what they are.
        size = WIDTH, WIDTH * self.shown.height // self.shown.width
        self.image.value = self.shown.resize(size, Image.Resampling.NEAREST)._repr_png_() or b""
        self.sentence.value = ""

    def picture(self) -> Picture:
        """The image shown last, for pages without a kernel."""
        return image_grid(np.asarray(self.shown.convert("RGB"))[None] / 255, [self.prompt.value])
