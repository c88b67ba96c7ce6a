"""A box to ask about an image in: for JupyterLab; an exported page shows what was said."""

import io
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets
from PIL import Image, UnidentifiedImageError

from muse_core.errors import MuseError

Reply = Callable[[Image.Image, str, Sequence[Any]], tuple[str, list[Any]]]
"""(image, question, history) -> the answer, and the history with it."""

WIDTH = 224
"""Pixels of the image as it is shown."""


class ChatBox:
    """``reply`` is asked at every question; a `MuseError` it raises is shown as its sentence, and
    the conversation stays. An image that is dropped on the button begins a new one.
    """

    def __init__(self, reply: Reply, image: Image.Image, questions: Sequence[str] = ()) -> None:
        self.reply, self.history, self.said = reply, [], []
        self.upload = widgets.FileUpload(accept="image/*", description="image of your own")
        self.question = widgets.Combobox(
            placeholder="ask about the image",
            options=tuple(questions),
            continuous_update=False,
            layout={"width": "28em"},
        )
        self.shown = widgets.Image(format="png", width=WIDTH)
        self.log, self.sentence = widgets.HTML(), widgets.HTML()
        self.show(image)
        self.upload.observe(lambda change: self.opened(), names="value")
        self.question.observe(lambda change: self.ask(), names="value")
        talk = widgets.VBox([self.log, self.question, self.sentence])
        self.widget = widgets.HBox([widgets.VBox([self.shown, self.upload]), talk])

    def show(self, image: Image.Image) -> None:
        """Another image; the conversation begins anew."""
        self.image, self.history, self.said = image.convert("RGB"), [], []
        size = WIDTH, WIDTH * self.image.height // self.image.width
        self.shown.value = self.image.resize(size, Image.Resampling.NEAREST)._repr_png_() or b""
        self.log.value = self.sentence.value = ""

    def opened(self) -> None:
        """The file that was dropped, or a sentence where it is no image."""
        if not self.upload.value:
            return
        file = self.upload.value[0]
        try:
            with Image.open(io.BytesIO(bytes(file["content"]))) as opened:
                self.show(opened)
        except (UnidentifiedImageError, OSError, ValueError):
            name = escape(str(file["name"]))
            self.sentence.value = f"{name} is no image that can be read: drop a PNG or JPEG."

    def ask(self) -> None:
        """Say the question that stands in the box, and empty it."""
        question = self.question.value.strip()
        if not question:
            return
        self.sentence.value = "thinking ..."
        try:
            answer, self.history = self.reply(self.image, question, self.history)
        except MuseError as error:
            self.sentence.value = escape(str(error))
            return
        self.said.append((question, answer))
        lines = (f"<b>{escape(one)}</b><br>{escape(other)}" for one, other in self.said)
        self.log.value, self.sentence.value = "<br>".join(lines), ""
        self.question.value = ""
